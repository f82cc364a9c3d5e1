"""How far a mean can be trusted when the prompts, not the samples, are what was drawn.

`bootstrap_mean` is for win rates (one value a prompt), `wilson` for plain shares, `mean_interval` for unbounded
figures such as KL. Nothing here returns NaN: what is undefined is `None` or a `ValueError`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtr, ndtri, stdtrit

# Below these the resampled means take too few different values for their quantiles to mean anything.
FEWEST_VALUES = 10
FEWEST_UNLIKE = 5  # values that differ from the commonest one

_BLOCK = 1 << 22  # indices drawn at once: 32 MiB


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, in the unit of the values; `method` and `note` say how it was made and why so."""

    low: float
    high: float
    confidence: float  # a probability, 0.95
    method: str = "score"  # score, exact, bootstrap, profile likelihood or t
    note: str = ""  # why another method than the one asked for was used; empty otherwise

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean of `first - second` over the units where both are known."""

    mean: float
    interval: Interval
    n: int
    dropped: int  # units where one of the two was missing

    @property
    def separable(self) -> bool:
        """Whether the interval leaves zero out: only then may the two be ranked."""
        return 0.0 not in self.interval


def wilson(successes: float, n: float, confidence: float = 0.95) -> Interval:
    """The score interval for a share.

    Wilson 1927 (JASA 22, 209-212): the p with |successes/n - p| <= z sqrt(p(1-p)/n), that is
    (successes + z^2/2 -+ z sqrt(successes (n - successes)/n + z^2/4)) / (n + z^2).

    `successes` may be fractional (a tie counts half): a variable within [0, 1] varies no more than a coin of the same
    mean, so the interval is then wide rather than narrow. `n` is the number of trials, more than 0.
    `ValueError` unless 0 <= successes <= n, n > 0 and 0 < confidence < 1.

    >>> interval = wilson(8, 10)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.4902, 0.9433)
    """
    if not (math.isfinite(n) and n > 0):
        raise ValueError(f"A share needs at least one trial; got n = {n}.")
    if not 0 <= successes <= n:
        raise ValueError(f"Successes must lie between 0 and n = {n}; got {successes}.")
    z = float(ndtri(_upper(confidence)))
    centre = successes + z * z / 2
    half = z * math.sqrt(successes * (n - successes) / n + z * z / 4)
    # At the ends the formula gives 0 and 1 exactly; rounding would leave 1e-18.
    low = 0.0 if successes == 0 else max(0.0, (centre - half) / (n + z * z))
    high = 1.0 if successes == n else min(1.0, (centre + half) / (n + z * z))
    return Interval(low, high, confidence)


def exact(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The interval for a share that covers at any share and any n (Clopper and Pearson 1934, Biometrika 26, 404-413).

    It leaves out the shares of which a one-sided binomial test at half the error would refuse what was seen, so it
    covers more often than it says, the more so the smaller n is. `ValueError` unless 0 <= successes <= n and n > 0.

    >>> interval = exact(8, 10)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.4439, 0.9748)
    """
    if not 0 <= successes <= n or n <= 0:
        raise ValueError(f"Successes must lie between 0 and n > 0; got {successes} of {n}.")
    tail = 1 - _upper(confidence)
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - tail))
    return Interval(low, high, confidence, "exact")


def standard_error(values: ArrayLike) -> float | None:
    """The standard error of the mean, sd / sqrt(n) with n - 1 in the sd; `None` for fewer than two values.

    `values`: [n], in any unit; the result has the same. `ValueError` for a value that is not finite.
    """
    checked = _checked(values)
    if checked.size < 2:
        return None
    return float(checked.std(ddof=1)) / math.sqrt(checked.size)


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> Interval | None:
    """Student's t interval for the mean of `values` [n], in their unit; `None` for fewer than two.

    Where all values are equal it has no width and `note` says so. `ValueError` for a value that is not finite.
    """
    checked = _checked(values)
    upper = _upper(confidence)
    error = standard_error(checked)
    if error is None:
        return None
    mean, half = float(checked.mean()), float(stdtrit(checked.size - 1, upper)) * error
    if np.ptp(checked) == 0:
        return Interval(float(checked[0]), float(checked[0]), confidence, "t", "all values are equal")
    return Interval(mean - half, mean + half, confidence, "t")


def bootstrap_mean(
    values: ArrayLike,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    weights: ArrayLike | None = None,
) -> Interval:
    """An interval for the mean over prompts: the prompts are resampled, whatever was averaged within one.

    `values`: [n], one a prompt (the mean over its samples, so that samples of one prompt are never taken for
    independent ones); `bounds`: the least and the greatest that a value can be. With `weights` [n], as many samples as
    each prompt has, it is that of the mean over all samples, prompts still resampled whole.

    The BCa bootstrap (Efron and Tibshirani 1993, equations 14.10 and 14.15; for a mean the jackknife acceleration is
    sum(d^3) / (6 sum(d^2)^1.5) with d = value - mean, times its weight), at normal quantiles widened by
    sqrt(n/(n-1)) t / z, without which it is too narrow for few prompts (Hesterberg 2014, arXiv:1411.5279, expanded
    percentiles).

    Where resampling means nothing (n < 10, or fewer than 5 values unlike the commonest one, of which all equal is the
    extreme) the score interval of the mean scaled to `bounds` is given instead, which is conservative for every
    variable within them (of (sum w)^2 / sum(w^2) values, where there are weights), and `note` says why. More than
    `resamples` are drawn where `confidence` needs it.
    `ValueError` for no values, one that is not finite or one out of bounds, and weights that are not above 0.
    """
    checked = _checked(values)
    times = np.ones(checked.size) if weights is None else _checked(weights)
    if times.shape != checked.shape or (times <= 0).any():
        raise ValueError(f"Expected {checked.size} weights above 0; got {times.size}, the least {times.min()}.")
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"Bounds must be finite and in order; got {bounds}.")
    if checked.size == 0:
        raise ValueError("The mean of no values has no interval.")
    width = high - low
    shares = (checked - low) / width
    if shares.min() < -1e-9 or shares.max() > 1 + 1e-9:
        raise ValueError(f"Values must lie within {bounds}; got {checked.min()} to {checked.max()}.")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1; got {resamples}.")
    upper = _upper(confidence)
    if note := _degenerate(shares):
        share = min(max(float(np.average(shares, weights=times)), 0.0), 1.0)
        trials = float(times.sum() ** 2 / (times**2).sum())
        score = wilson(share * trials, trials, confidence)
        return Interval(low + width * score.low, low + width * score.high, confidence, "score", note)
    # At least ten resampled means should lie beyond each end.
    drawn = max(resamples, math.ceil(20 / (1 - confidence)))
    ends = _bca(shares, times, _resampled_means(shares, times, drawn, seed), upper)
    return Interval(low + width * max(0.0, ends[0]), low + width * min(1.0, ends[1]), confidence, "bootstrap")


def paired_difference(
    first: Sequence[float | None],
    second: Sequence[float | None],
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Difference | None:
    """The mean of `first - second`, unit by unit, with its interval; `None` where no unit has both.

    `first`, `second`: [n] each, the same prompts in the same order, `None` for a missing one; `bounds` are those of the
    values, so a difference lies within their width. Pairing matters: two figures whose own intervals overlap can still
    be separable. Where resampling means nothing, the score intervals of gains and of losses are given, one less the
    other. `ValueError` for unequal lengths, values that are not finite or out of bounds.
    """
    if len(first) != len(second):
        raise ValueError(f"Paired values must be as many on both sides; got {len(first)} and {len(second)}.")
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    if not pairs:
        return None
    both = _checked([a for a, _ in pairs]), _checked([b for _, b in pairs])
    if min(side.min() for side in both) < bounds[0] or max(side.max() for side in both) > bounds[1]:
        raise ValueError(f"Values must lie within {bounds}.")
    differences, width = both[0] - both[1], bounds[1] - bounds[0]
    interval = bootstrap_mean(differences, confidence, resamples, seed, bounds=(-width, width))
    if interval.note:
        interval = replace(_gains_and_losses(differences / width, confidence, width), note=interval.note)
    return Difference(float(differences.mean()), interval, len(pairs), len(first) - len(pairs))


def _gains_and_losses(shares: NDArray[np.float64], confidence: float, width: float) -> Interval:
    """The difference of what is gained and what is lost, each with its score interval at half the error: of many pairs
    that are alike it knows that few differ, which the score interval of their mean does not."""
    sides = [wilson(float(np.clip(side, 0, 1).sum()), shares.size, (1 + confidence) / 2) for side in (shares, -shares)]
    gained, lost = sides
    return Interval(width * (gained.low - lost.high), width * (gained.high - lost.low), confidence, "score")


def _upper(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1; got {confidence}.")
    return (1 + confidence) / 2


def _checked(values: ArrayLike) -> NDArray[np.float64]:
    checked = np.asarray(values, dtype=np.float64)
    if checked.ndim != 1:
        raise ValueError(f"Expected one row of values; got shape {checked.shape}.")
    if not np.isfinite(checked).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(checked))} of {checked.size} values are not finite numbers.")
    return checked


def _degenerate(shares: NDArray[np.float64]) -> str:
    """Why the bootstrap would mean nothing on these values, scaled to 0..1; empty if it would not."""
    counts = np.unique(shares.round(9), return_counts=True)[1]  # means of the same samples may differ by rounding
    if counts.size == 1:
        return f"all {shares.size} values are equal"
    if shares.size < FEWEST_VALUES:
        return f"only {shares.size} values, fewer than {FEWEST_VALUES}"
    unlike = shares.size - int(counts.max())
    return f"only {unlike} values differ from the commonest one" if unlike < FEWEST_UNLIKE else ""


def _resampled_means(
    values: NDArray[np.float64], weights: NDArray[np.float64], resamples: int, seed: int
) -> NDArray[np.float64]:
    """[resamples] means of n values drawn with replacement, in blocks so that memory does not grow with n."""
    generator, alike = np.random.default_rng(seed), np.ptp(weights) == 0
    rows = max(1, _BLOCK // values.size)
    means = []
    for start in range(0, resamples, rows):
        drawn = generator.integers(values.size, size=(min(rows, resamples - start), values.size))
        if alike:
            means.append(values[drawn].mean(axis=1))
        else:
            means.append((values * weights)[drawn].sum(axis=1) / weights[drawn].sum(axis=1))
    return np.concatenate(means)


def _bca(
    values: NDArray[np.float64], weights: NDArray[np.float64], means: NDArray[np.float64], upper: float
) -> tuple[float, float]:
    n, centre = values.size, values.mean() if np.ptp(weights) == 0 else np.average(values, weights=weights)
    away = (values - centre) * weights
    acceleration = np.sum(away**3) / (6 * np.sum(away**2) ** 1.5)
    # Means of few distinct values tie with the centre often: half of those count as below. The tolerance is rounding.
    tied = np.abs(means - centre) <= 1e-12
    below = (np.count_nonzero((means < centre) & ~tied) + np.count_nonzero(tied) / 2) / means.size
    bias = ndtri(min(max(below, 0.5 / means.size), 1 - 0.5 / means.size))
    z = math.sqrt(n / (n - 1)) * stdtrit(n - 1, upper)
    shifted = bias + np.array([-z, z])
    low, high = np.quantile(means, ndtr(bias + shifted / np.maximum(1 - acceleration * shifted, 1e-3)))
    return float(low), float(high)
