"""What verdicts on pairs say about a reward that is linear in known features, and what they leave open."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.special import expit

Floats = NDArray[np.float64]

SPREAD = 4.0  # nats: the standard deviation of the log-odds of a typical pair before anything was said
TOLERANCE = 1e-8  # of a step of Newton's, in units of the prior, at which it stops
STEPS = 100


@dataclass(frozen=True, slots=True)
class Posterior:
    """The weights of a linear reward: a normal distribution with mean `mean` and covariance `factor @ factor.T`."""

    mean: Floats  # [d]
    factor: Floats  # [d, d]

    def scores(self, features: ArrayLike) -> Floats:
        """[...]: the mean reward of things with `features` [..., d]; a difference of two is log-odds."""
        found: Floats = np.asarray(features, dtype=np.float64) @ self.mean
        return found

    def draws(self, features: ArrayLike, n: int, seed: int = 0) -> Floats:
        """[n, ...]: the rewards by n weights drawn at random, an ensemble of reward models."""
        weights = self.mean + np.random.default_rng(seed).standard_normal((n, len(self.mean))) @ self.factor.T
        found: Floats = np.moveaxis(np.asarray(features, dtype=np.float64) @ weights.T, -1, 0)
        return found


def posterior(gaps: ArrayLike, *, scale: float, spread: float = SPREAD) -> Posterior:
    """The posterior of the weights w of a Bradley-Terry model, P(chosen over rejected) = sigmoid(w . gap).

    `gaps` [m, d]: features of the chosen less those of the rejected one; m may be 0, which leaves the prior,
    w ~ N(0, (spread / scale)^2 I). `scale` is the length of a typical gap, so that its log-odds spread by `spread`
    nats. Laplace's approximation: the mean is where the posterior is highest, the covariance the inverse of
    sum p (1 - p) gap gap^T + (scale / spread)^2 I there. `ValueError` for features that are not finite.
    """
    rows = np.asarray(gaps, dtype=np.float64)
    if rows.ndim != 2 or not np.isfinite(rows).all() or not (0 < scale < np.inf and 0 < spread < np.inf):
        raise ValueError(f"Expected finite gaps [m, d], and a scale and spread above 0; got {rows.shape}, {scale}.")
    precision = (scale / spread) ** 2
    mean = np.zeros(rows.shape[1])
    for _ in range(STEPS):
        chance = expit(-(rows @ mean))  # of the other verdict
        curve = _curvature(rows, chance, precision)
        step = cho_solve(cho_factor(curve), rows.T @ chance - precision * mean)
        worth = _log_posterior(rows, mean, precision)
        while _log_posterior(rows, mean + step, precision) < worth and np.abs(step).max() > TOLERANCE:
            step = step / 2  # Newton's can step too far while all verdicts are surprising
        mean = mean + step
        if np.abs(step).max() * np.sqrt(precision) <= TOLERANCE:
            break
    root = np.linalg.cholesky(_curvature(rows, expit(-(rows @ mean)), precision))
    return Posterior(mean, solve_triangular(root, np.eye(len(mean)), lower=True).T)


def _curvature(rows: Floats, chance: Floats, precision: float) -> Floats:
    curve: Floats = (rows * (chance * (1 - chance))[:, None]).T @ rows
    curve[np.diag_indices_from(curve)] += precision
    return curve


def _log_posterior(rows: Floats, mean: Floats, precision: float) -> float:
    return float(-np.logaddexp(0, -(rows @ mean)).sum() - precision * (mean @ mean) / 2)
