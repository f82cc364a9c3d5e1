"""A few judgments of people and many of a judge, together: what people would say on average, with a valid interval.

The judge is asked about everything, people about a part that was drawn at random. The judge's mean is corrected by how
far it is from people where both spoke, so that a biased judge costs width and never truth.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from preferably.statistics.intervals import Interval, mean_interval

# Judgments of people below which the interval covers too seldom (bench/results/coverage.json): with a judge that agrees
# on nine of ten, 88% at 40 and 93% at 60 instead of 95.
FEWEST = 100


@dataclass(frozen=True, slots=True)
class Corrected:
    """The mean of what people would say; beside it what either alone says."""

    value: float
    interval: Interval
    people: float
    people_interval: Interval
    judge: float  # uncorrected, of all units
    bias: float  # of the judge, where both spoke
    weight: float  # 0: the judge says nothing, and people alone count; 1: it counts in full
    n: int  # units that people judged
    more: int  # units that the judge alone judged

    @property
    def worth(self) -> float:
        """How many judgments of people alone would give an interval as narrow."""
        theirs, ours = (one.high - one.low for one in (self.people_interval, self.interval))
        return self.n * (theirs / ours) ** 2 if ours else float(self.n)


def corrected_mean(people: ArrayLike, judge: ArrayLike, judge_alone: ArrayLike, confidence: float = 0.95) -> Corrected:
    """The mean of people's values over all units, from `people` [n], the `judge` on the same units [n], and
    `judge_alone` [N] on units that people did not see; one value a prompt, in any one unit.

    w mean(judge_alone) + mean(people - w judge), of variance w^2 var(judge_alone) / N + var(people - w judge) / n, with
    the weight that makes it least: w = cov(people, judge) / ((1 + n / N) var(judge)), within [0, 1]. Each half of
    people's judgments has the weight of the other half, as its own would make the residuals look too small. Quantiles
    are of Student's t with n - 2 degrees. People must have judged a random part of all.
    Raises `ValueError` for fewer than `FEWEST` judgments of people, none of the judge alone, other lengths, or values
    that are not finite. Example: people and judge alike gives nearly the mean over all n + N units.
    Source: Angelopoulos et al. 2023, https://arxiv.org/abs/2301.09633; the weight: https://arxiv.org/abs/2311.01453.
    """
    said, guessed, alone = (_checked(values) for values in (people, judge, judge_alone))
    if len(said) != len(guessed):
        raise ValueError(f"The judge must have judged the same units as people; got {len(guessed)} and {len(said)}.")
    n, more = len(said), len(alone)
    if n < FEWEST or not more:
        raise ValueError(
            f"A corrected mean needs {FEWEST} judgments of people or more, and some of the judge alone; "
            f"got {n} and {more}."
        )
    everything = np.concatenate([guessed, alone])
    spread = float(everything.var(ddof=1))
    halves = np.arange(n) % 2 == 0
    weights = np.empty(n)
    for half in (halves, ~halves):
        shared = float(np.cov(said[~half], guessed[~half])[0, 1])
        weights[half] = min(max(shared / ((1 + n / more) * spread), 0.0), 1.0) if spread > 0 else 0.0
    weight, rest = float(weights.mean()), said - weights * guessed
    value = weight * float(alone.mean()) + float(rest.mean())
    variance = weight**2 * float(alone.var(ddof=1) if more > 1 else spread) / more + float(rest.var(ddof=2)) / n
    width = float(stdtrit(n - 2, (1 + confidence) / 2)) * math.sqrt(variance)
    own = mean_interval(said, confidence)
    assert own is not None  # of several values
    return Corrected(
        value, Interval(value - width, value + width, confidence, "t"), float(said.mean()), own,
        float(everything.mean()), float((guessed - said).mean()), weight, n, more,
    )  # fmt: skip


def _checked(values: ArrayLike) -> NDArray[np.float64]:
    checked = np.asarray(values, dtype=np.float64)
    if checked.ndim != 1 or not np.isfinite(checked).all():
        raise ValueError(f"Expected a row of finite numbers; got shape {checked.shape}.")
    return checked
