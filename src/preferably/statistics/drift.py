"""Whether something that came in order changed on the way, and since when."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import kolmogorov

FEWEST = 40  # values below which nothing is said
PERMUTED = 1000  # values up to which the test is by permutation
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Change:
    """How sure it is that values changed on the way."""

    p: float  # of no change anywhere
    at: int  # how many came before the most likely change, 1 to n - 1
    size: float  # of the statistic, in standard deviations of the values times the root of their number


def change(values: Sequence[float], *, seed: int = 0) -> Change | None:
    """Whether the mean of `values` (in order) changed; None of fewer than `FEWEST`, and of values all alike.

    The statistic is the largest |sum of (x - mean)| over all beginnings (Page 1955, Biometrika 42, 523-527, without a
    known start). Up to `PERMUTED` values it is held against random orders of the same values, which is exact where
    none of them depends on another or on time; of more, against its limit, the largest of a Brownian bridge
    (Kolmogorov's distribution), which is a little too careful. Where it stands is the most likely place of one change.
    """
    x = np.asarray(values, dtype=np.float64)
    n = len(x)
    if n < FEWEST or np.ptp(x) < 1e-12:
        return None
    sums = _sums(x[None])[0]
    seen, at = float(np.abs(sums).max()), int(np.abs(sums).argmax()) + 1
    if n > PERMUTED:
        p = float(kolmogorov(seen / (x.std() * np.sqrt(n))))
    else:
        generator, above = np.random.default_rng(seed), 1
        rows = max(1, (1 << 21) // n)
        for start in range(0, RESAMPLES, rows):
            drawn = generator.permuted(np.tile(x, (min(rows, RESAMPLES - start), 1)), axis=1)
            above += int((np.abs(_sums(drawn)).max(1) >= seen * (1 - 1e-9)).sum())
        p = above / (RESAMPLES + 1)
    return Change(p, at, seen / float(x.std() * np.sqrt(n)))


def _sums(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """[k, n - 1]: what each beginning of a row is above the mean of the row, summed; the whole would be 0."""
    return np.asarray(np.cumsum(rows - rows.mean(1, keepdims=True), axis=1)[:, :-1])
