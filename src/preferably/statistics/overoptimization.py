"""The gain by a judge as a function of the distance from the start, and where it turns. NumPy only.

Gao, Schulman and Hilton 2023 (https://arxiv.org/abs/2210.10760), equations of section 3, with d = sqrt(KL) and no gain
at d = 0: best-of-n has R(d) = d (a - b d), reinforcement learning R(d) = d (a - b ln d). Both are linear in a and b.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from preferably.statistics.intervals import Interval

Form = Literal["bon", "rl"]
RESAMPLES = 1000
FEWEST = 3  # points, for two unknowns


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted curve. `stop` is the KL (nats) at which it turns; None where it does not. `turns` is the share of
    resamples in which it turns within the range of the points, and `interval` that of `stop` over those."""

    form: Form
    a: float
    b: float
    b_interval: Interval
    stop: float | None
    interval: Interval | None
    turns: float
    furthest: float  # the largest KL of a point

    def gain(self, kl: float) -> float:
        """The gain that the curve has at `kl` (nats, 0 or more)."""
        return float((_basis(np.array([kl]), self.form) @ np.array([self.a, self.b]))[0])

    @property
    def turned(self) -> bool:
        """Whether it is shown to turn within what was seen: in 95% of the resamples."""
        return self.turns >= 0.95


def fit(kl: ArrayLike, gains: ArrayLike, form: Form, *, confidence: float = 0.95, seed: int = 0) -> Fit | None:
    """The curve through the mean gains at m distances, by least squares; None for fewer than `FEWEST` points off 0.

    `kl`: [m] nats; `gains`: [m, n], of the same n prompts at each, NaN where one is not known. Intervals resample
    prompts. `ValueError` for shapes that do not match.
    """
    distances, values = np.asarray(kl, dtype=np.float64), np.asarray(gains, dtype=np.float64)
    if values.ndim != 2 or distances.shape != values.shape[:1] or not np.isfinite(distances).all():
        raise ValueError(f"Expected gains [m, n] at m distances; got {values.shape} and {distances.shape}.")
    off = distances > 1e-9
    distances, values = distances[off], values[off]
    if len(np.unique(distances)) < FEWEST or not values.shape[1]:
        return None
    basis, furthest = _basis(distances, form), float(distances.max())
    solve = np.linalg.pinv(basis)
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(RESAMPLES):
        picked = values[:, generator.integers(values.shape[1], size=values.shape[1])]
        drawn.append(solve @ _means(picked))
    a, b = solve @ _means(values)
    stops = [_stop(one, two, form) for one, two in drawn]
    inside = [one for one in stops if one is not None and one < furthest]
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile([two for _, two in drawn], ends)
    span = np.quantile(inside, ends) if len(inside) >= RESAMPLES / 2 else None
    return Fit(
        form, float(a), float(b), Interval(float(low), float(high), confidence, "bootstrap"), _stop(a, b, form),
        None if span is None else Interval(float(span[0]), float(span[1]), confidence, "bootstrap"),
        len(inside) / RESAMPLES, furthest,
    )  # fmt: skip


def _basis(kl: NDArray[np.float64], form: Form) -> NDArray[np.float64]:
    """[m, 2]: what a and b are multiplied with."""
    d = np.sqrt(kl)
    with np.errstate(divide="ignore", invalid="ignore"):
        second = d * d if form == "bon" else np.where(d > 0, d * np.log(d), 0.0)
    return np.stack([d, -second], axis=1)


def _means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each row over what is known; 0 of nothing."""
    known = ~np.isnan(values)
    means: NDArray[np.float64] = np.where(known, values, 0.0).sum(1) / np.maximum(known.sum(1), 1)
    return means


def _stop(a: float, b: float, form: Form) -> float | None:
    """The KL of the maximum: dR/dd = 0 at d = a / 2b, or at ln d = a / b - 1."""
    if b <= 0 or (form == "bon" and a <= 0):
        return 0.0 if a <= 0 and form == "bon" else None
    if form == "bon":
        return float((a / (2 * b)) ** 2)
    power = 2 * (a / b - 1)
    return math.exp(power) if power < 50 else None
