"""What is gained by answering only where one is sure: risk at coverage, and the area under that curve. NumPy only.

n answers, each with a confidence (any number, higher is surer) and whether it was right (1 or 0). At coverage c the n c
surest are given, and the risk is the share of them that is wrong. Of equal confidences every order is as likely.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from preferably.statistics.intervals import Interval

RESAMPLES = 1000


def risks(confidence: ArrayLike, right: ArrayLike) -> NDArray[np.float64]:
    """[n]: the risk of giving the k surest answers, k = 1..n; expected over the orders of equal confidences.

    >>> risks([0.9, 0.8, 0.8], [1, 0, 1]).round(3).tolist()  # one of the two at 0.8 is wrong
    [0.0, 0.25, 0.333]
    """
    sure, wrong = _checked(confidence, right)
    _, block, sizes = np.unique(-sure, return_inverse=True, return_counts=True)
    expected = np.bincount(block, weights=wrong) / sizes  # of each answer in a block of equals
    return np.cumsum(np.repeat(expected, sizes)) / np.arange(1, len(sure) + 1)


def aurc(confidence: ArrayLike, right: ArrayLike) -> float:
    """The area under the risk-coverage curve, the mean of `risks`: 0 is perfect, the share of wrong answers is chance
    (Geifman, Uziel and El-Yaniv 2019, https://arxiv.org/abs/1805.08206)."""
    return float(risks(confidence, right).mean())


def aurc_interval(confidence: ArrayLike, right: ArrayLike, level: float = 0.95, seed: int = 0) -> Interval:
    """A bootstrap interval of `aurc` over answers, by quantiles of `RESAMPLES` resamples."""
    sure, wrong = _checked(confidence, right)
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(RESAMPLES):
        drawn = generator.integers(len(sure), size=len(sure))
        values.append(aurc(sure[drawn], 1 - wrong[drawn]))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, "bootstrap")


def coverage_at(confidence: ArrayLike, right: ArrayLike, risk: float) -> float:
    """The largest share of answers that can be given, the surest first, with at most `risk` of them wrong; 0 where that
    is none. Read off the same answers, so that of few it is too good."""
    found = np.flatnonzero(risks(confidence, right) <= risk + 1e-12)
    return 0.0 if not found.size else float(found[-1] + 1) / len(np.asarray(right))


def _checked(confidence: ArrayLike, right: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    sure, was = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if sure.ndim != 1 or sure.shape != was.shape or not sure.size or not np.isfinite(sure).all():
        raise ValueError(
            f"Expected as many answers as finite confidences, at least one; got {sure.shape}, {was.shape}."
        )
    return sure, 1 - was
