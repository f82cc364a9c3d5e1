"""Many claims at once: which of them stand when all are held together."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: Sequence[float], confidence: float = 0.95) -> list[bool]:
    """Which of several hypotheses are refused, so that a true one is among them in 1 - `confidence` of cases at most.

    Holm's procedure: from the smallest p-value on, each is held against (1 - confidence) / (those left), until one is
    above it. Source: Holm 1979, Scandinavian Journal of Statistics 6, 65-70. `ValueError` for one outside [0, 1].

    >>> holm([0.01, 0.04, 0.03])  # 0.01 <= 0.05 / 3; then 0.03 > 0.05 / 2
    [True, False, False]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.size and not (np.isfinite(p).all() and p.min() >= 0 and p.max() <= 1):
        raise ValueError("Expected p-values from 0 to 1.")
    told = [False] * len(p)
    for rank, at in enumerate(np.argsort(p, kind="stable")):
        if p[at] > (1 - confidence) / (len(p) - rank):
            break
        told[at] = True
    return told


def parts_apart(values: ArrayLike, parts: ArrayLike, *, resamples: int = 2000, seed: int = 0) -> dict[int, float]:
    """For each part of `values` [n] (`parts` [n], whole numbers) the two-sided p-value of having the mean of the rest.

    By permutation of the studentised difference, Welch's t: exact where part and rest are alike in everything, and
    right for many values where only their means are (Janssen 1997, Statistics and Probability Letters 36, 9-21). A part
    of fewer than two values, or with fewer than two beside it, has none. `ValueError` for rows that do not match.
    """
    given, labels = np.asarray(values, dtype=np.float64), np.asarray(parts)
    if given.ndim != 1 or given.shape != labels.shape or not np.isfinite(given).all():
        raise ValueError(f"Expected as many finite values as parts; got {given.shape} and {labels.shape}.")
    names, sizes = np.unique(labels, return_counts=True)
    fit = [at for at, size in enumerate(sizes) if 2 <= size <= len(given) - 2]
    if not fit:
        return {}
    order = np.argsort(labels, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    seen = _welch(given[order][None], starts, sizes)[0]
    generator, above = np.random.default_rng(seed), np.ones(len(names))
    rows = max(1, (1 << 21) // len(given))
    for start in range(0, resamples, rows):
        drawn = generator.permuted(np.tile(given, (min(rows, resamples - start), 1)), axis=1)
        above += (_welch(drawn, starts, sizes) >= seen * (1 - 1e-9)).sum(0)
    return {int(names[at]): float(above[at] / (resamples + 1)) for at in fit}


def _welch(values: NDArray[np.float64], starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """|t| [r, k] of each of k parts, which stand one after the other in rows of `values` [r, n], and its rest."""
    total, squares = values.sum(1, keepdims=True), (values**2).sum(1, keepdims=True)
    own, own_squares = np.add.reduceat(values, starts, axis=1), np.add.reduceat(values**2, starts, axis=1)
    rest = values.shape[1] - sizes
    with np.errstate(divide="ignore", invalid="ignore"):
        away = own / sizes - (total - own) / rest
        inside = (own_squares - own**2 / sizes) / (sizes - 1) / sizes
        outside = (squares - own_squares - (total - own) ** 2 / rest) / (rest - 1) / rest
        # Where nothing varies, what is left is rounding: no difference is 0 and any other is infinite.
        return np.where(np.abs(away) < 1e-12, 0.0, np.abs(away) / np.sqrt(np.maximum(inside + outside, 1e-24)))
