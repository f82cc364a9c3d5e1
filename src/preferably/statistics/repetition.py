"""When a text goes round in circles: the share of its n-grams that it has said before."""

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

# A reply loops when this share of its 4-grams, in the whole or in the last TAIL tokens, is a repeat. Of the 9,332
# replies in the test files of HH-RLHF this flags 4, each of them a loop to the eye; their 99th percentile is 0.12.
LOOPING = 0.5
TAIL = 64
FEWEST_NGRAMS = 16  # below that "no, no, no, no" would be a loop

_WORD = re.compile(r"\w+|[^\w\s]+")
_LONGEST_WORD = 80

Item = TypeVar("Item", bound=Hashable)


def words(text: str) -> list[str]:
    """The words and runs of punctuation of `text`, in lower case.

    A run of more than 80 characters ("hahaha..." or a script without spaces) is taken character by character.
    """
    parts: list[str] = []
    for word in _WORD.findall(text.lower()):
        parts.extend(word if len(word) > _LONGEST_WORD else [word])
    return parts


def repetition(tokens: Sequence[Hashable] | str, n: int = 4) -> float:
    """The share of n-grams that are repeats: 1 - distinct / total, from 0 (none) to nearly 1.

    seq-rep-n of Welleck et al. 2020 (arXiv:1908.04319). `tokens`: [T] token ids or words; a string is cut into `words`.
    A text with no n-gram repeats nothing: 0. `ValueError` for n < 1.

    >>> repetition([1, 2, 3, 4, 1, 2, 3, 4])  # 5 of them; only 1 2 3 4 comes twice
    0.2
    """
    if n < 1:
        raise ValueError(f"n must be at least 1; got {n}.")
    parts = words(tokens) if isinstance(tokens, str) else tokens
    total = len(parts) - n + 1
    if total < 1:
        return 0.0
    # Two steps rather than 1 - distinct / total, which is 0.19999999999999996 for the example.
    return (total - len({tuple(parts[start : start + n]) for start in range(total)})) / total


def looping(tokens: Sequence[Hashable] | str, threshold: float = LOOPING) -> bool:
    """Whether a reply is caught in a loop: `repetition` of the whole, or of its last 64 tokens, reaches `threshold`.

    The tail is looked at by itself because a long reply that ends in a loop is mostly not a repeat. `tokens` as in
    `repetition`; a reply with fewer than 16 n-grams never loops.
    """
    parts = words(tokens) if isinstance(tokens, str) else tokens
    if len(parts) - 3 < FEWEST_NGRAMS:
        return False
    return repetition(parts) >= threshold or repetition(parts[-TAIL:]) >= threshold


def shares(texts: Iterable[Iterable[Item]]) -> dict[Item, float]:
    """What share of all items, of all `texts` together, each one makes up, the commonest first.

    Example: "a a b" and "a c" have five items, of which three are "a": 0.6, 0.2 and 0.2.
    """
    counts = Counter(item for text in texts for item in text)
    return {item: count / counts.total() for item, count in counts.most_common()}


def commonest(texts: Iterable[Iterable[Hashable]]) -> float:
    """The share of the commonest item, of all `texts` together; 0 where there are none."""
    return next(iter(shares(texts).values()), 0.0)
