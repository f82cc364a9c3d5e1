"""Two yes-or-no answers to the same questions, held against each other. NumPy and SciPy only."""

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import binomtest


@dataclass(frozen=True, slots=True)
class Changed:
    """How many went from no to yes (`gained`) and from yes to no (`lost`), and how likely so uneven a split would be if
    either were as likely as the other (McNemar 1947, exact, two-sided; 1 where nothing changed)."""

    gained: int
    lost: int
    p: float


def mcnemar(before: Sequence[bool | None], after: Sequence[bool | None]) -> Changed:
    """The changes from `before` to `after`; what is None on either side is left out. `ValueError` for unequal lengths.

    >>> mcnemar([False] * 6, [True] * 6).p
    0.03125
    """
    pairs = [(a, b) for a, b in zip(before, after, strict=True) if a is not None and b is not None]
    gained, lost = sum(b and not a for a, b in pairs), sum(a and not b for a, b in pairs)
    p = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    return Changed(gained, lost, float(p))
