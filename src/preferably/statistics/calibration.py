"""Whether stated probabilities come true: reliability, expected calibration error, temperature. NumPy only.

Shapes: n predictions. A prediction is the probability that what is predicted happens; an outcome is 1 if it did, 0 if
not, and 0.5 for a tie.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit

from preferably.statistics.intervals import Interval

BINS = 15
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of like size: their mean, and how often they came true."""

    low: float
    high: float
    predicted: float
    observed: float
    n: int


def reliability(predicted: ArrayLike, observed: ArrayLike, bins: int = BINS) -> list[Bin]:
    """Up to `bins` bins of equal numbers of predictions, in ascending order; equal predictions share a bin."""
    probabilities, outcomes = _checked(predicted, observed)
    edges = np.unique(np.quantile(probabilities, np.linspace(0, 1, bins + 1)))
    places = np.clip(np.searchsorted(edges, probabilities, side="right") - 1, 0, max(0, len(edges) - 2))
    found = []
    for place in range(max(1, len(edges) - 1)):
        inside = places == place
        if inside.any():
            some, came = probabilities[inside], outcomes[inside]
            found.append(Bin(float(some.min()), float(some.max()), float(some.mean()), float(came.mean()), len(some)))
    return found


def calibration_error(predicted: ArrayLike, observed: ArrayLike, bins: int = BINS) -> float:
    """The expected calibration error: sum over bins of n_b / n |observed - predicted| (Guo et al. 2017, equation 3,
    https://arxiv.org/abs/1706.04599, with bins of equal mass). Biased upwards where n is small.
    """
    found = reliability(predicted, observed, bins)
    n = sum(one.n for one in found)
    return sum(one.n / n * abs(one.observed - one.predicted) for one in found)


def calibration_interval(
    predicted: ArrayLike, observed: ArrayLike, confidence: float = 0.95, bins: int = BINS, seed: int = 0,
    groups: ArrayLike | None = None,
) -> Interval:  # fmt: skip
    """A bootstrap interval of the calibration error over predictions, by quantiles of `RESAMPLES` resamples.

    Predictions with the same number in `groups` (whole numbers, as many as predictions) are drawn together.
    """
    probabilities, outcomes = _checked(predicted, observed)
    generator = np.random.default_rng(seed)
    names = np.arange(len(probabilities)) if groups is None else np.asarray(groups)
    _, group, sizes = np.unique(names, return_inverse=True, return_counts=True)
    places = np.split(np.argsort(group, kind="stable"), np.cumsum(sizes)[:-1])
    values = []
    for _ in range(RESAMPLES):
        picked = generator.integers(len(places), size=len(places))
        drawn = np.concatenate([places[one] for one in picked])
        values.append(calibration_error(probabilities[drawn], outcomes[drawn], bins))
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high), confidence, "bootstrap")


def fit_temperature(margins: ArrayLike, observed: ArrayLike) -> float:
    """The T > 0 for which sigmoid(margin / T) has the highest likelihood of what was observed (Guo et al. 2017, section
    4.2). Above 1 the margins promised too much. 100 or 0.01 where the likelihood has no maximum in between."""
    logits, outcomes = np.asarray(margins, dtype=np.float64), np.asarray(observed, dtype=np.float64)

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0, -scaled) * outcomes + np.logaddexp(0, scaled) * (1 - outcomes)))

    best = minimize_scalar(loss, bounds=(np.log(0.01), np.log(100.0)), method="bounded")
    return float(np.exp(best.x))


def log_loss(margins: ArrayLike, observed: ArrayLike) -> float:
    """The mean of -log probability of what was observed, nats, where sigmoid(margin) is the probability of 1."""
    logits, outcomes = np.asarray(margins, dtype=np.float64), np.asarray(observed, dtype=np.float64)
    return float(np.mean(np.logaddexp(0, -logits) * outcomes + np.logaddexp(0, logits) * (1 - outcomes)))


def probability(margins: ArrayLike) -> NDArray[np.float64]:
    """sigmoid(margin): the probability, by Bradley and Terry, that the first of two is better."""
    values: NDArray[np.float64] = expit(np.asarray(margins, dtype=np.float64))
    return values


def _checked(predicted: ArrayLike, observed: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    probabilities, outcomes = np.asarray(predicted, dtype=np.float64), np.asarray(observed, dtype=np.float64)
    if probabilities.ndim != 1 or probabilities.shape != outcomes.shape or not len(probabilities):
        raise ValueError(f"Expected as many outcomes as predictions; got {probabilities.shape}, {outcomes.shape}.")
    if not (np.isfinite(probabilities).all() and probabilities.min() >= 0 and probabilities.max() <= 1):
        raise ValueError("Predictions must be probabilities.")
    return probabilities, outcomes


def calibration_p(predicted: ArrayLike, observed: ArrayLike, bins: int = BINS, seed: int = 0) -> float:
    """How likely so large a calibration error would be if every probability were true: the share of `RESAMPLES` draws
    of outcomes from the predictions whose error is at least as large. The error alone is never 0, however good the
    predictions; this says whether it is more than chance."""
    probabilities, outcomes = _checked(predicted, observed)
    found, generator = calibration_error(probabilities, outcomes, bins), np.random.default_rng(seed)
    drawn = (
        calibration_error(probabilities, generator.random(len(probabilities)) < probabilities, bins)
        for _ in range(RESAMPLES)
    )
    return float((1 + sum(error >= found - 1e-12 for error in drawn)) / (RESAMPLES + 1))
