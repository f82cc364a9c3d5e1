"""Whether much comes of few. These describe all that was counted, no sample of it, so they have no interval."""

from collections.abc import Sequence
from math import ceil


def gini(counts: Sequence[float]) -> float | None:
    """Gini's coefficient: 0 where all have as much, (n - 1) / n where one of n has all. None of nothing.

    sum_i (2 i - n - 1) x_i / (n sum x), x in ascending order, i from 1. Example: 1, 3: (-1 + 3) / (2 x 4) = 0.25.
    """
    ordered, total = sorted(counts), sum(counts)
    if not total:
        return None
    n = len(ordered)
    return sum((2 * place - n - 1) * value for place, value in enumerate(ordered, 1)) / (n * total)


def top_share(counts: Sequence[float], part: float = 0.2) -> tuple[float, int] | None:
    """What the largest `part` of all have of the whole, and how many these are (rounded up). None of nothing.

    >>> top_share([8, 1, 1, 0, 0])
    (0.8, 1)
    """
    total = sum(counts)
    if not total:
        return None
    most = ceil(part * len(counts) - 1e-9)
    return sum(sorted(counts, reverse=True)[:most]) / total, most
