"""Which side of a question is right, and how often each labeler picks it: one coin a labeler, ties left out.

The model of Dawid and Skene (1979, Applied Statistics 28, 20-28) with two sides and one chance a labeler, on verdicts
as a list, so that what labelers with few verdicts say can be put down to one coin that they share.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, hstack
from scipy.special import chdtri, expit, log_expit, logit

from preferably.statistics.intervals import Interval

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

PRIOR = 0.01  # right and wrong verdicts added to each labeler's, so that no chance becomes 0
STEP = 1e-6  # of any chance, below which EM stops
FURTHEST = 9.2  # nats: a chance of 0.9999, where an interval that still holds it ends at 1


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Verdicts as a list: on which unit, by whom, for which of its two sides. Units without sides that can be turned
    (is this one good?) have a share of their own; of those that can (which is better?) either side is as likely."""

    units: Whole  # [m], 0 .. n - 1
    labelers: Whole  # [m], 0 .. r - 1
    sides: Whole  # [m], 0 or 1
    turnable: NDArray[np.bool_]  # [n]
    count: int  # r

    def shared(self) -> "Verdicts":
        """Those on units that have two verdicts or more: of the others nobody can tell who is right."""
        kept = np.bincount(self.units, minlength=len(self.turnable))[self.units] > 1
        return Verdicts(self.units[kept], self.labelers[kept], self.sides[kept], self.turnable, self.count)

    @property
    def signs(self) -> Floats:
        """[m]: 1 for side 1, -1 for side 0."""
        found: Floats = np.where(self.sides == 1, 1.0, -1.0)
        return found


@dataclass(frozen=True, slots=True)
class Coins:
    """The fit."""

    verdicts: Verdicts
    accuracy: Floats  # [r], the chance to pick the right side
    answered: Whole  # [r], verdicts on units that others answered too
    log_odds: Floats  # [n], nats, that side 1 is right; 0 where nobody said anything
    share: float  # of units whose sides cannot be turned, those where side 1 is right
    prior: float
    iterations: int
    converged: bool

    def interval(self, labeler: int, confidence: float = 0.95) -> Interval | None:
        """Of the chance of a labeler, by the profile likelihood: the chances at which the best fit of all else is worse
        by no more than half the quantile of chi-squared. None for one who answered nothing that others did too."""
        if not self.answered[labeler]:
            return None
        curve = _Curve(self.verdicts.shared(), self.prior)
        best = np.append(logit(self.accuracy), logit(self.share))
        low, high = (curve.end(best, labeler, side, float(chdtri(1, 1 - confidence))) for side in (-1, 1))
        return Interval(low, high, confidence, "profile likelihood")


def one_coin(verdicts: Verdicts, *, prior: float = PRIOR, most: int = 2000) -> Coins:
    """The chances of the labelers by EM from the shares of votes; verdicts on units that others answered too count.

    Truth is what most of the reliable say, so it needs labelers that are right more often than not. `prior` right and
    wrong verdicts are added to each labeler's. Raises `ValueError` for no unit with two verdicts.
    """
    used = verdicts.shared()
    units, labelers, sides = used.units, used.labelers, used.sides
    if not len(units):
        raise ValueError("No unit was judged by two labelers.")
    n, r = len(verdicts.turnable), verdicts.count
    votes = np.bincount(units, minlength=n)
    fixed = verdicts.turnable | (votes == 0)
    posterior = np.bincount(units, sides, n) / np.maximum(votes, 1)
    answered = np.bincount(labelers, minlength=r)
    accuracy, share, step, converged = np.full(r, 0.5), 0.5, 0, False
    while step < most and not converged:
        step += 1
        right = np.where(sides == 1, posterior[units], 1 - posterior[units])
        found = np.where(answered, (np.bincount(labelers, right, r) + prior) / np.maximum(answered + 2 * prior, 1), 0.5)
        share = float(np.clip(posterior[~fixed].mean(), 1e-6, 1 - 1e-6)) if (~fixed).any() else 0.5
        posterior = expit(log_odds(used, found, share))
        converged = float(np.abs(found - accuracy).max()) < STEP
        accuracy = found
    return Coins(verdicts, accuracy, answered, log_odds(verdicts, accuracy, share), share, prior, step, converged)


def log_odds(verdicts: Verdicts, accuracy: ArrayLike, share: float = 0.5) -> Floats:
    """[n], nats: that side 1 of each unit is right, by all verdicts on it of labelers of these chances [r]."""
    n = len(verdicts.turnable)
    weight = logit(np.asarray(accuracy, dtype=np.float64))[verdicts.labelers] * verdicts.signs
    unjudged = np.bincount(verdicts.units, minlength=n) == 0
    start = np.where(verdicts.turnable | unjudged, 0.0, logit(share))
    return np.asarray(np.bincount(verdicts.units, weight, n) + start, dtype=np.float64)


class _Curve:
    """The log-likelihood of chances, as logits [r + 1] (the last one is of the share), its slope and its bend."""

    def __init__(self, used: Verdicts, prior: float) -> None:
        r = used.count
        places, units = np.unique(used.units, return_inverse=True)
        signs = csr_array((used.signs, (units, used.labelers)), shape=(len(places), r))
        free = ~used.turnable[places]
        # A share is one labeler more, who says of each unit that cannot be turned that side 1 is right.
        own = csr_array(free.astype(np.float64)[:, None])
        self.signs: Any = csr_array(hstack([signs, own]))  # scipy's types of sparse products are loose
        self.counts: Floats = np.append(np.bincount(used.labelers, minlength=r), free.sum()).astype(np.float64)
        self.prior = np.append(np.full(r, prior), 0.0 if free.any() else 1.0)
        self.told = self.counts > 0

    def value(self, theta: Floats) -> float:
        """The log-likelihood, nats: of each unit log(prod of side 1 + prod of side 0)."""
        half = self.signs @ theta / 2
        # log p and log (1 - p) of a verdict are the mean of the two, plus or minus half the logit
        means = (self.counts / 2 + self.prior) @ (log_expit(theta) + log_expit(-theta))
        return float(np.logaddexp(half, -half).sum() + means)

    def slopes(self, theta: Floats) -> tuple[Floats, Floats]:
        """The gradient, and the observed information: complete less missing (Louis 1982, JRSS B 44, 226-233), which is
        diag(n p (1 - p)) - sum over units of the variance of its truth x D D', D its signs."""
        p = expit(theta)
        posterior = expit(self.signs @ theta)
        # sum of the chances that the verdicts are right: n / 2 + sum of signs x (posterior - 1/2)
        slope = self.signs.T @ (posterior - 0.5) + self.counts / 2 - self.counts * p + self.prior * (1 - 2 * p)
        spread = posterior * (1 - posterior)
        missing = (self.signs.T @ self.signs.multiply(spread[:, None])).toarray()
        return slope, np.diag((self.counts + 2 * self.prior) * p * (1 - p)) - missing

    def best(self, theta: Floats, fixed: int) -> tuple[Floats, float]:
        """The largest likelihood with one logit as it is, from `theta` by Newton's steps, damped if they overshoot."""
        keep = np.flatnonzero(self.told & (np.arange(len(theta)) != fixed))
        value = self.value(theta)
        for _ in range(20):
            slope, bend = self.slopes(theta)
            part, damp, better = bend[np.ix_(keep, keep)], 0.0, False
            scale = np.maximum(np.diag(part), 1e-3)
            while damp < 1e6 and not better:
                step = np.linalg.solve(part + np.diag(damp * scale + 1e-9), slope[keep])
                tried = theta.copy()
                tried[keep] = np.clip(tried[keep] + step, -FURTHEST, FURTHEST)
                found = self.value(tried)
                better, damp = found > value, max(10 * damp, 0.1)
            if not better or found - value < 1e-4:
                return (tried, found) if better else (theta, value)
            theta, value = tried, found
        return theta, value

    def end(self, best: Floats, labeler: int, side: int, most: float) -> float:
        """Where twice the loss of likelihood, as a function of the logit of a labeler, reaches `most` on one side."""
        theta, top = self.best(best, -1)
        if side * theta[labeler] >= FURTHEST:
            return float(side > 0)
        inner, width, at = float(theta[labeler]), 0.0, theta.copy()
        outer = side * np.inf
        guess = inner + side * float(np.sqrt(most / max(self.slopes(theta)[1][labeler, labeler], 0.5)))
        while abs(outer - inner) > 0.01 and width < 40:
            width += 1
            at[labeler] = np.clip(guess, -FURTHEST, FURTHEST)
            at, value = self.best(at, labeler)
            lost = float(np.sqrt(max(2 * (top - value), 0.0) / most))
            if lost < 1:
                inner = float(at[labeler])
                if side * inner >= FURTHEST:
                    return float(side > 0)
            else:
                outer = float(at[labeler])
            # the root of the loss is nearly a line in the logit
            guess = theta[labeler] + (at[labeler] - theta[labeler]) / max(lost, 0.3)
            if abs(lost - 1) < 0.01:
                return float(expit(at[labeler]))
            if np.isfinite(outer) and not min(inner, outer) < guess < max(inner, outer):
                guess = (inner + outer) / 2
        return float(expit((inner + outer) / 2))
