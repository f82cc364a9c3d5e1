"""Which prompts are the same, or nearly. Nothing here depends on Python's seeded `hash()` or on the order of rows."""

import math
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from preferably.feedback.records import Group

WORDS = 3  # words in a shingle
ALIKE = 0.8  # Jaccard similarity from which two prompts count as nearly equal
BOILERPLATE = 0.05  # shingles in more than this share of the prompts (and in more than 20) say nothing of likeness
MEANING = frozenset("-*/%&@#\\")  # punctuation that makes another question of 6-2 than of 6/2


def prompt_text(group: Group) -> str:
    """The text by which prompts are compared: without the system message, which whole files share.

    Plain text without a prompt is compared by its own text.
    """
    spoken = [message.content for message in group.prompt if message.role != "system"]
    return "\n\n".join(spoken) or "\n\n".join(completion.text for completion in group.completions[:1])


def prompt_key(text: str) -> str:
    """`text` up to case, width, composition, whitespace and punctuation; the same for near-equal prompts."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.translate(_WITHOUT_PUNCTUATION).split()) or " ".join(folded.split())


class _WithoutPunctuation(dict[int, str]):
    """For `str.translate`: a character that says something stays, another is a space; each is looked at once."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        says = character in MEANING or not unicodedata.category(character).startswith("P")
        self[code] = character if says else " "
        return self[code]


_WITHOUT_PUNCTUATION = _WithoutPunctuation()


def cluster_prompts(texts: Sequence[str], alike: float = ALIKE) -> list[int]:
    """The cluster of each text: the index of the first text in it.

    Two texts are in one cluster if their keys are equal, if the sets of their three-word shingles have a Jaccard
    similarity of at least `alike` (boilerplate aside), or if a chain of such texts joins them.
    """
    first: dict[str, int] = {}
    same = [first.setdefault(prompt_key(text), index) for index, text in enumerate(texts)]
    members = list(first.values())
    parent = _joined([shingles.tolist() for shingles in _shingles(list(first))], alike)
    cluster = {member: members[_root(parent, number)] for number, member in enumerate(members)}
    return [cluster[index] for index in same]


def cluster_texts(texts: Sequence[str], alike: float = ALIKE) -> list[int]:
    """The cluster of each text, where thousands may be nearly the same: the index of the text that began it.

    A text joins the first earlier one that began a cluster and is like it (equal keys, or shingles of a similarity of
    at least `alike`), else it begins one. Nothing is boilerplate here, and there are no chains, so the work grows with
    the number of clusters. Texts without words are alike only where they are equal.
    """
    first: dict[str, int] = {}
    same = [first.setdefault(prompt_key(text), index) for index, text in enumerate(texts)]
    members = list(first.values())
    ranked = [shingles.tolist() for shingles in _shingles(list(first), boilerplate=1.0)]
    sets = [frozenset(shingles) for shingles in ranked]
    leader = list(range(len(sets)))
    meeting: dict[int, list[int]] = {}
    for index, (mine, own) in enumerate(zip(ranked, sets, strict=True)):
        rarest = _rarest(mine, alike)
        for other in dict.fromkeys(other for shingle in rarest for other in meeting.get(shingle, ())):
            shared = len(own & sets[other])
            if shared >= alike * (len(own) + len(sets[other]) - shared):
                leader[index] = other
                break
        else:
            for shingle in rarest:
                meeting.setdefault(shingle, []).append(index)
    cluster = {member: members[leader[number]] for number, member in enumerate(members)}
    return [cluster[index] for index in same]


def _rarest(members: list[int], alike: float) -> list[int]:
    """The |x| - ceil(t |x|) + 1 rarest of the members x of a set: sets of similarity t share one of these, as the rest
    is too few to reach t."""
    return members[: len(members) - math.ceil(alike * len(members) - 1e-9) + 1] if members else []


def _root(parent: list[int], index: int) -> int:
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = parent[index]
    return index


def _shingles(keys: list[str], boilerplate: float = BOILERPLATE) -> list[NDArray[np.int64]]:
    """The set of shingles of each key as ranks, the rarest first; what more than a share of them has is left out."""
    numbers: dict[str, int] = {}
    sets = []
    for key in keys:
        words = np.array([numbers.setdefault(word, len(numbers) + 1) for word in key.split()], dtype=np.uint64)
        size = max(min(WORDS, len(words)), 1)
        value = np.zeros(max(len(words) - size + 1, 0), dtype=np.uint64)
        for offset in range(size):
            # Words are numbered, so two shingles are mixed up only where 64 bits collide.
            value = value * np.uint64(0x9E3779B97F4A7C15) + words[offset : offset + len(value)]
        sets.append(np.unique(value))
    if not sets:
        return []
    _, inverse, counts = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    common = int((counts <= max(20, boilerplate * len(keys))).sum())  # the ranks from here on are boilerplate
    ranked = np.split(rank[inverse], np.cumsum([len(shingles) for shingles in sets])[:-1])
    return [np.sort(shingles[shingles < common]) for shingles in ranked]


def _joined(ranked: list[list[int]], alike: float) -> list[int]:
    """A forest over sets, each with its rarest members first, in which those that are alike have the same root: the
    smallest index among them.

    Only sets that meet in their rarest members are compared, as the rest is too few to be alike by: the work grows
    with the number of texts, not its square.
    """
    sets = [frozenset(members) for members in ranked]
    parent = list(range(len(sets)))
    meeting: dict[int, list[int]] = {}
    for index in sorted(parent, key=lambda number: len(sets[number])):  # so that `index` is the larger of the two
        mine, own = ranked[index], sets[index]
        rarest = _rarest(mine, alike)
        for other in dict.fromkeys(other for shingle in rarest for other in meeting.get(shingle, ())):
            one, two = _root(parent, index), _root(parent, other)
            if one == two or len(sets[other]) < alike * len(mine):
                continue
            shared = len(own & sets[other])
            if shared >= alike * (len(mine) + len(sets[other]) - shared):
                parent[max(one, two)] = min(one, two)
        for shingle in rarest:
            meeting.setdefault(shingle, []).append(index)
    return parent
