"""Who answers at random: told only where both errors of telling are known to be small."""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit, ndtr, ndtri

from preferably.statistics.coin import Coins

Floats = NDArray[np.float64]
FALSE_ALARM = 0.05  # of a labeler with half of the usual edge
MISS = 0.1  # of one who answers at random
CONTRARY = 0.01
FEWEST = 30  # answers to what others answered too

Verdict = Literal["random", "sound", "contrary", "not told"]


@dataclass(frozen=True, slots=True)
class Random:
    """What is said of one labeler.

    `edge` is 2 p - 1 of the chance p to pick the better side, by what others said: 0 at random, 1 always right.
    `random`: the edge is below half of the usual one, an error of at most `FALSE_ALARM` for anyone who has that half or
    more. `sound`: not so, and somebody at random would have been found with 1 - `MISS` or more. `contrary`: they prefer
    what is worse, an error of `CONTRARY`. `not told`: neither; about `needed` shared answers would tell.
    """

    verdict: Verdict
    edge: float
    n: int  # answers to what others answered too
    p: float  # the chance of so small an edge with half of the usual one
    miss: float  # the chance that somebody at random would not have been found by so many answers
    usual: float  # the median edge
    needed: int | None


def who_is_random(fit: Coins, records: NDArray[np.int64]) -> dict[int, Random]:
    """Of every labeler with `FEWEST` shared answers or more, whether they answer at random.

    With w_i from -1 to 1 how sure the others are of side 1 (their posterior, without the labeler's own verdict) and
    x_i = 1 or -1 what the labeler said, the edge is the slope of x on w: 0 for whoever does not look, also if they only
    ever say first or second (sides are dealt out by chance), 2 p - 1 for whoever is right with chance p. Its error at
    the edge that is tested is that of the residuals, added up within each record (`records` [m], of the verdicts),
    whose verdicts go together. Tests are by the normal distribution.
    """
    used = fit.verdicts
    shared = np.bincount(used.units, minlength=len(used.turnable))[used.units] > 1
    x = used.signs
    own = x * logit(fit.accuracy)[used.labelers]
    surety = np.tanh((fit.log_odds[used.units] - own) / 2)
    slopes: dict[int, _Slope] = {}
    for labeler in range(used.count):
        mine = shared & (used.labelers == labeler)
        if mine.sum() >= FEWEST:
            slope = _Slope.of(x[mine], surety[mine], records[mine])
            if slope:
                slopes[labeler] = slope
    usual = float(np.median([one.edge for one in slopes.values()])) if slopes else 0.0
    return {labeler: _told(one, usual) for labeler, one in slopes.items()} if usual > 0 else {}


@dataclass(frozen=True, slots=True)
class _Slope:
    edge: float
    x: Floats  # centred
    w: Floats  # centred
    records: NDArray[np.int64]

    @classmethod
    def of(cls, x: Floats, w: Floats, records: NDArray[np.int64]) -> "_Slope | None":
        x, w = x - x.mean(), w - w.mean()
        square = float(w @ w)
        return cls(float(x @ w) / square, x, w, np.unique(records, return_inverse=True)[1]) if square > 1e-9 else None

    def error(self, edge: float) -> float:
        """The standard error of the edge if it were `edge`."""
        pulls = np.bincount(self.records, self.w * (self.x - edge * self.w))
        return max(sqrt(float(pulls @ pulls)) / float(self.w @ self.w), 1e-9)


def _told(one: _Slope, usual: float) -> Random:
    half, n = usual / 2, len(one.x)
    at_half, at_none = one.error(half), one.error(0.0)
    p = float(ndtr((one.edge - half) / at_half))
    bound = float(-ndtri(FALSE_ALARM))
    miss = float(ndtr((bound * at_half - half) / at_none))
    verdict: Verdict = "sound" if miss <= MISS else "not told"
    if ndtr(one.edge / at_none) <= CONTRARY:
        verdict = "contrary"
    elif p <= FALSE_ALARM:
        verdict = "random"
    needed = None
    if verdict == "not told":
        needed = int(np.ceil(n * ((bound * at_half - float(ndtri(MISS)) * at_none) / half) ** 2))
    return Random(verdict, one.edge, n, p, miss, usual, needed)
