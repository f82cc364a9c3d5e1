"""Replies that can win without being good: one and the same to everything, empty, or speaking to the judge.

They are counted, shown and warned of; none is taken out, as a flag is a reason to look and no verdict.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from preferably.data.annotations import Annotation
from preferably.data.answer_faults import SPECIAL
from preferably.data.hygiene import cluster_texts
from preferably.evaluation.judge_directed import addresses
from preferably.feedback.records import Group, Message

Kind = Literal["constant", "near_duplicate", "empty", "judge_directed"]
Side = Literal["model", "against"]

# One reply given to more than this share of the prompts is a constant answer: a judge that likes it says nothing about
# the model (a constant reply once topped AlpacaEval 2).
CONSTANT = 0.5
EMPTY = 0.01  # the share of empty replies from which a warning is raised
SHOWN = 3  # examples
LONGEST = 200  # characters of an example

SAYS: dict[Kind, str] = {
    "constant": "prompts got one and the same reply: a judge that likes it says nothing about the model",
    "near_duplicate": "prompts got nearly the same reply: a judge that likes it says nothing about the model",
    "empty": "replies are empty",
    "judge_directed": "replies speak to the judge (instructions, a verdict, a system turn or the like): read them "
    "before believing the win rate",
}


@dataclass(frozen=True, slots=True)
class Flag:
    """Replies of one side that deserve a look; of prompts where it is about many of them, else of replies."""

    kind: Kind
    side: Side
    count: int
    total: int
    warns: bool  # whether there are so many that the win rate is in doubt
    examples: tuple[str, ...]  # shortened

    @property
    def message(self) -> str:
        """What it means, in a sentence."""
        return f"{self.count:,} of {self.total:,} {SAYS[self.kind]}"

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        unit = "prompts" if self.kind in ("constant", "near_duplicate") else "replies"
        return {
            "kind": self.kind, "side": self.side, "count": self.count, "of": self.total, "unit": unit,
            "warning": self.warns, "message": self.message, "examples": list(self.examples),
        }  # fmt: skip


def flags_of(
    prompts: Sequence[Group], model: Sequence[Sequence[str]], against: Sequence[Sequence[str]] | None = None
) -> tuple[Flag, ...]:
    """What there is to flag of both sides, or of one; `model[i]` and `against[i]` are the replies to prompt i.

    Equal and nearly equal replies count by different prompts, because greedy samples of one prompt are alike for a good
    reason. What the prompt itself holds (a chat token, "output A") a reply may say too.
    """
    found: list[Flag] = []
    sides: dict[Side, Sequence[Sequence[str]]] = {"model": model}
    if against is not None:
        sides["against"] = against
    for side, replies in sides.items():
        given = _given(prompts, replies)
        found += [flag for flag in (*_alike(side, given), _empty(side, given), _directed(side, given)) if flag]
    return tuple(found)


def flags_of_outputs(found: Sequence[Annotation]) -> tuple[Flag, ...]:
    """The same of the outputs that annotations compare: `generator_2` is the model."""
    asked = [Group((Message("user", one.instruction),)) for one in found]
    base, ours = ([[one.outputs[side]] for one in found] for side in (0, 1))
    return flags_of(asked, ours, base)


def commonest(prompts: Sequence[Group], replies: Sequence[Sequence[str]]) -> float:
    """The share of different prompts that got the commonest reply; 0 where no reply was given to two of them."""
    return commonest_of(_given(prompts, replies))


def commonest_of(given: Sequence[tuple[str, str]]) -> float:
    """The same of pairs of a prompt and a reply, without white space at its ends."""
    most, _ = _widest([reply for _, reply in given], given)
    return most / len({prompt for prompt, _ in given}) if most > 1 else 0.0


def _given(prompts: Sequence[Group], replies: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """Each reply with its prompt."""
    rows = zip(prompts, replies, strict=True)
    return [(prompt.prompt_text, reply.strip()) for prompt, several in rows for reply in several]


def _alike(side: Side, given: Sequence[tuple[str, str]]) -> list[Flag]:
    total = len({prompt for prompt, _ in given})
    texts = [reply for _, reply in given]
    same, text = _widest(texts, given)
    clusters = cluster_texts(texts)
    near, cluster = _widest(clusters, given)
    found = []
    if same > 1:
        found.append(Flag("constant", side, same, total, same > CONSTANT * total, (_short(text),)))
    if near > max(same, 1):
        different = dict.fromkeys(reply for reply, own in zip(texts, clusters, strict=True) if own == cluster)
        found.append(Flag("near_duplicate", side, near, total, near > CONSTANT * total, _shown(list(different))))
    return found


def _widest(keys: Sequence[Any], given: Sequence[tuple[str, str]]) -> tuple[int, Any]:
    """Of replies that share a key, those given to the most different prompts: to how many, and the key."""
    asked: defaultdict[Any, set[str]] = defaultdict(set)
    for key, (prompt, _) in zip(keys, given, strict=True):
        asked[key].add(prompt)
    key = max(asked, key=lambda one: len(asked[one]))
    return len(asked[key]), key


def _empty(side: Side, given: Sequence[tuple[str, str]]) -> Flag | None:
    asked = [prompt for prompt, reply in given if not reply]
    if not asked:
        return None
    shown = tuple(f"(nothing) to: {_short(prompt)}" for prompt in asked[:SHOWN])
    return Flag("empty", side, len(asked), len(given), len(asked) > EMPTY * len(given), shown)


def _directed(side: Side, given: Sequence[tuple[str, str]]) -> Flag | None:
    caught = [(reply, what) for prompt, reply in given if (what := directed(prompt, reply))]
    if not caught:
        return None
    shown = tuple(_around(reply, what) for reply, what in caught[:SHOWN])
    return Flag("judge_directed", side, len(caught), len(given), True, shown)


def directed(prompt: str, reply: str) -> str:
    """The words with which `reply` speaks to a judge, or plays a turn of the system; empty where it does not, or where
    the prompt holds the same words."""
    for what in (*addresses(reply), *(match[0] for match in SPECIAL.finditer(reply))):
        if what.casefold() not in prompt.casefold():
            return what
    return ""


def _around(text: str, words: str) -> str:
    """The passage of `text` that holds `words`."""
    at = text.find(words)
    begin = max(0, at - LONGEST // 3)
    return ("…" if begin else "") + _short(text[begin:])


def _shown(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(_short(text) for text in texts[:SHOWN])


def _short(text: str) -> str:
    line = re.sub(r"\s+", " ", text).strip()
    return line if len(line) <= LONGEST else line[:LONGEST] + "…"
