"""What verdicts on pairs say about a reward that is linear in known features, and what they leave open."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.special import expit

Floats = NDArray[np.float64]

SPREADS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)  # nats, of which the verdicts choose one
TOLERANCE = 1e-8  # of a step of Newton's, in units of the prior, at which it stops
STEPS = 100
NOTHING = 1e-10  # of the largest singular value: directions in which no pair differs


@dataclass(frozen=True, slots=True)
class Posterior:
    """The weights of a linear reward, normally distributed: as the verdicts say in the `directions` in which judged
    pairs differ, as before in all others."""

    mean: Floats  # [d]
    directions: Floats  # [r, d], orthonormal
    factor: Floats  # [r, r]: the covariance in these directions is factor @ factor.T
    spread: float  # nats: the standard deviation of each weight before anything was said
    evidence: float  # the logarithm of the chance of these verdicts under that spread, nats

    def scores(self, features: ArrayLike) -> Floats:
        """[...]: the mean reward of things with `features` [..., d]; a difference of two is log-odds."""
        found: Floats = np.asarray(features, dtype=np.float64) @ self.mean
        return found

    def deviations(self, gaps: ArrayLike) -> Floats:
        """[...]: the standard deviation, nats, of the log-odds of pairs whose features differ by `gaps` [..., d]."""
        values = np.asarray(gaps, dtype=np.float64)
        inside = values @ self.directions.T
        outside = np.maximum((values**2).sum(-1) - (inside**2).sum(-1), 0.0)
        found: Floats = np.sqrt(((inside @ self.factor) ** 2).sum(-1) + self.spread**2 * outside)
        return found


def posterior(
    gaps: ArrayLike, *, chances: ArrayLike | None = None, counts: ArrayLike | None = None,
    spreads: Sequence[float] = SPREADS,
) -> Posterior:  # fmt: skip
    """The posterior of the weights w of a Bradley-Terry model, P(first over second) = sigmoid(w . gap).

    `gaps` [m, d]: features of the first less those of the second one; m may be 0. `chances` [m]: how likely it is that
    the first is the better one, 1/2 for a tie; 1 if not given. `counts` [m]: what each counts, 1 if not given.

    Before anything was said w ~ N(0, spread^2 I): with gaps that are about 1 long, their log-odds spread by so many
    nats. Of `spreads` it is the one under which the verdicts are the likeliest, so how much is believed of few verdicts
    is not set by hand. Laplace's approximation: the mean is where the posterior is highest, the covariance the inverse
    of sum count p (1 - p) gap gap^T + I / spread^2 there, the evidence the volume of such a hill (MacKay 1992,
    https://doi.org/10.1162/neco.1992.4.3.415). `ValueError` for features that are not finite.
    """
    rows = np.asarray(gaps, dtype=np.float64)
    if rows.ndim != 2 or not np.isfinite(rows).all() or not spreads or not all(0 < one < np.inf for one in spreads):
        raise ValueError(f"Expected finite gaps [m, d] and spreads above 0; got {rows.shape} and {spreads}.")
    sure = np.ones(len(rows)) if chances is None else np.asarray(chances, dtype=np.float64)
    each = np.ones(len(rows)) if counts is None else np.asarray(counts, dtype=np.float64)
    if sure.shape != rows.shape[:1] or each.shape != rows.shape[:1] or not ((sure >= 0) & (sure <= 1)).all():
        raise ValueError(f"Expected {len(rows)} chances and counts; got {sure.shape} and {each.shape}, or no chances.")
    _, sizes, directions = np.linalg.svd(rows, full_matrices=False)
    directions = directions[sizes > sizes.max(initial=0.0) * NOTHING]  # the best weights lie where gaps do
    inside = rows @ directions.T
    found: list[Posterior] = []
    begun = np.zeros(len(directions))
    for spread in spreads:
        found.append(_under(spread, inside, sure, each, directions, begun))
        begun = directions @ found[-1].mean  # near to the next one's
    return max(found, key=lambda one: one.evidence)


def _under(
    spread: float, rows: Floats, sure: Floats, each: Floats, directions: Floats, mean: Floats
) -> Posterior:  # fmt: skip
    """The posterior under one spread, in the `directions` that `rows` [m, r] are turned to; sought from `mean` on."""
    precision = spread**-2

    def height(weights: Floats) -> float:
        odds = rows @ weights
        said = sure * np.logaddexp(0, -odds) + (1 - sure) * np.logaddexp(0, odds)
        return float(-each @ said - precision * (weights @ weights) / 2)

    for _ in range(STEPS):
        chance = expit(rows @ mean)
        curve = _curvature(rows, each * chance * (1 - chance), precision)
        step = cho_solve(cho_factor(curve), rows.T @ (each * (sure - chance)) - precision * mean)
        worth = height(mean)
        while height(mean + step) < worth and np.abs(step).max() > TOLERANCE:
            step = step / 2  # Newton's can step too far while all verdicts are surprising
        mean = mean + step
        if np.abs(step).max(initial=0.0) <= TOLERANCE * spread:
            break
    chance = expit(rows @ mean)
    root = np.linalg.cholesky(_curvature(rows, each * chance * (1 - chance), precision))
    evidence = height(mean) - len(mean) * np.log(spread) - float(np.log(np.diag(root)).sum())
    factor = solve_triangular(root, np.eye(len(mean)), lower=True).T
    return Posterior(mean @ directions, directions, factor, spread, evidence)


def _curvature(rows: Floats, weights: Floats, precision: float) -> Floats:
    curve: Floats = (rows * weights[:, None]).T @ rows
    curve[np.diag_indices_from(curve)] += precision
    return curve
