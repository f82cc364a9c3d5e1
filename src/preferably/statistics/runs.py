"""How often somebody gave one and the same answer running, and whether that is an accident."""

from collections.abc import Sequence
from itertools import groupby


def longest_run(answers: Sequence[object]) -> int:
    """The most equal answers in a row; 0 of none."""
    return max((len(list(same)) for _, same in groupby(answers)), default=0)


def run_chance(longest: int, n: int) -> float:
    """The chance that n throws of a fair coin have a run, of either side, at least `longest` long. Exact.

    A run of L is L - 1 throws like the one before. Of N = n - 1 such comparisons, each a fair coin too, the chance of
    no m = L - 1 in a row is q_N = q_(N-1) - q_(N-m-1) / 2^(m+1), with q = 1 up to m - 1 and q_m = 1 - 2^-m.

    >>> run_chance(3, 3)  # HHH and TTT of eight
    0.25
    """
    m, throws = longest - 1, n - 1
    if m <= 0 or n < longest:
        return 1.0 if n >= longest else 0.0
    without = [1.0] * m + [1 - 0.5**m]
    for at in range(m + 1, throws + 1):
        without.append(without[-1] - 0.5 ** (m + 1) * without[at - m - 1])
    return max(1 - without[throws], 0.0)
