"""What picking the best of n by one score does to another, without drawing anything anew."""

import math
from collections.abc import Sequence
from itertools import groupby


def expected_best(scores: Sequence[float], values: Sequence[float], n: int) -> float:
    """The mean of the value that goes with the best score, over all n-subsets of m candidates; exact, by counting.

    `scores` and `values`: m each, 1 <= n <= m. Candidates with equal scores are as likely to be taken as one another.
    """
    m = len(scores)
    subsets = math.comb(m, n)
    best_first = sorted(zip(scores, values, strict=True), key=lambda one: -one[0])
    total, at = 0.0, 0
    for _, block in groupby(best_first, key=lambda one: one[0]):
        alike = [value for _, value in block]
        # The best of a subset is in this block if it takes one of the block and none of those before it.
        chance = (math.comb(m - at, n) - math.comb(m - at - len(alike), n)) / subsets
        total += chance * sum(alike) / len(alike)
        at += len(alike)
    return total


def most_kl(n: int) -> float:
    """The most that best-of-n is from what it is drawn from, nats a completion: log n - (n - 1) / n.

    An upper bound (Beirami et al. 2024, https://arxiv.org/abs/2401.01879), which is nearly reached where no two
    completions are alike.
    """
    return math.log(n) - (n - 1) / n
