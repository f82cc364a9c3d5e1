"""How far labelers agree, beyond what chance would give.

All of it reads one table, `codes` [n, r] of whole numbers: what each of r labelers said of each of n units, a category
from 0 to q - 1, or -1 where they said nothing. Units that fewer than two labelers judged say nothing of agreement and
are left out. What is not defined on the data (one category in use, no unit judged twice) is `None` with a reason, and
never 0, 1 or NaN. Raw agreement comes first: coefficients correct it for chance, each by its own idea of chance.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, stdtrit

from preferably.statistics.intervals import Interval

Codes = NDArray[np.int64]
Counts = NDArray[np.float64]  # [n, q]: how many labelers put unit i into category k
Scale = Literal["nominal", "ordinal"]

FEWEST = 0.9  # the share of resamples in which a coefficient must be defined for its interval to be given


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A coefficient of agreement: 1 is perfect, 0 is chance; `why` says what `value` None comes of."""

    name: str
    value: float | None
    units: int  # that at least two labelers judged
    why: str = ""
    interval: Interval | None = None


Measure = Callable[[ArrayLike], Coefficient]  # of a table of codes


def raw(codes: ArrayLike) -> Coefficient:
    """The share of equal verdicts among all pairs of verdicts on one unit, each unit counting alike.

    (1/n) sum_i sum_k n_ik (n_ik - 1) / (r_i (r_i - 1)). Example: two labelers who say (0, 0), (1, 0): 0.5.
    """
    counts = _twice(_table(codes))
    value = float(_alike(counts, np.eye(counts.shape[1])).mean()) if len(counts) else None
    return Coefficient("raw agreement", value, len(counts), "" if len(counts) else _NOBODY)


def cohen(codes: ArrayLike, *, weights: Literal["none", "linear", "quadratic"] = "none") -> Coefficient:
    """Cohen's kappa of two labelers: (Po - Pe) / (1 - Pe), Pe by each labeler's own shares of the categories.

    With `weights`, verdicts near each other agree in part: 1 - |j - k| / (q - 1), or its square (Cohen 1968). Raises
    `ValueError` for other than two labelers. Example: 20 (0, 0), 5 (0, 1), 10 (1, 0), 15 (1, 1): 0.4.
    Source: Cohen 1960, Educational and Psychological Measurement 20, 37-46.
    """
    table = _table(codes)
    if table.shape[1] != 2:
        raise ValueError(f"Cohen's kappa is of two labelers; got {table.shape[1]}.")
    both = table[(table >= 0).all(1)]
    name = "Cohen's kappa" if weights == "none" else f"Cohen's kappa, {weights} weights"
    if not len(both):
        return Coefficient(name, None, 0, _NOBODY)
    q = _categories(table)
    joint = np.zeros((q, q))
    np.add.at(joint, (both[:, 0], both[:, 1]), 1 / len(both))
    away = np.abs(np.subtract.outer(np.arange(q), np.arange(q))) / max(1, q - 1)
    weight = {"none": np.eye(q), "linear": 1 - away, "quadratic": 1 - away**2}[weights]
    expected = float((weight * np.outer(joint.sum(1), joint.sum(0))).sum())
    if expected >= 1 - 1e-12:
        return Coefficient(name, None, len(both), "both labelers only ever said the same one thing")
    return Coefficient(name, (float((weight * joint).sum()) - expected) / (1 - expected), len(both))


def fleiss(codes: ArrayLike) -> Coefficient:
    """Fleiss' kappa: (P - Pe) / (1 - Pe), Pe = sum_k p_k^2 over all verdicts, which do not depend on who gave them.

    Not defined where units were judged by different numbers of labelers: Krippendorff's alpha is then the one to use.
    Source: Fleiss 1971, Psychological Bulletin 76, 378-382.
    """
    name, counts = "Fleiss' kappa", _twice(_table(codes))
    if not len(counts):
        return Coefficient(name, None, 0, _NOBODY)
    if np.ptp(counts.sum(1)):
        return Coefficient(name, None, len(counts), "units were judged by different numbers of labelers; use alpha")
    expected = float(((counts.sum(0) / counts.sum()) ** 2).sum())
    if expected >= 1 - 1e-12:
        return Coefficient(name, None, len(counts), _ONE)
    observed = float(_alike(counts, np.eye(counts.shape[1])).mean())
    return Coefficient(name, (observed - expected) / (1 - expected), len(counts))


def krippendorff(codes: ArrayLike, *, scale: Scale = "nominal") -> Coefficient:
    """Krippendorff's alpha, 1 - Do / De, for any number of labelers and missing verdicts.

    Do is the mean distance of verdicts on one unit, De that of any two of all verdicts that can be paired. The distance
    of categories c and k is 1 (nominal), or (sum_{g=c..k} n_g - (n_c + n_k) / 2)^2 (ordinal), n_g verdicts in g.
    Source: Krippendorff 2011, "Computing Krippendorff's alpha-reliability".
    """
    name, counts = f"Krippendorff's alpha, {scale}", _twice(_table(codes))
    if not len(counts):
        return Coefficient(name, None, 0, _NOBODY)
    raters = counts.sum(1, keepdims=True)
    # coincidences [q, q]: pairs of verdicts on one unit, each unit counting as many verdicts as it has
    coincidences = (counts / (raters - 1)).T @ counts - np.diag((counts / (raters - 1)).sum(0))
    totals = coincidences.sum(1)
    if np.count_nonzero(totals) < 2:
        return Coefficient(name, None, len(counts), _ONE)
    if scale == "ordinal":
        upto, places = np.cumsum(totals), np.arange(len(totals))
        first = np.minimum.outer(places, places)  # sum_{g=c..k} n_g = |upto_k - upto_c| + n of the smaller of the two
        within = np.abs(np.subtract.outer(upto, upto)) + totals[first]
        distance = (within - np.add.outer(totals, totals) / 2) ** 2
    else:
        distance = 1 - np.eye(len(totals))
    expected = float((np.outer(totals, totals) * distance).sum()) / (totals.sum() - 1)
    return Coefficient(name, 1 - float((coincidences * distance).sum()) / expected, len(counts))


def gwet(codes: ArrayLike, *, scale: Scale = "nominal") -> Coefficient:
    """Gwet's AC1 (nominal), AC2 (ordinal): (P - Pe) / (1 - Pe), which stays sane where one category is nearly all.

    Pe = sum(w) / (q (q - 1)) sum_k p_k (1 - p_k), p_k the mean share of category k in a unit; w is the identity, or the
    ordinal weights 1 - M_jk / max M, M_jk = C(|j - k| + 1, 2).
    Source: Gwet 2008, British Journal of Mathematical and Statistical Psychology 61, 29-48; AC2: Gwet 2014, Handbook of
    Inter-Rater Reliability, chapters 3 and 4.
    """
    name, table = "Gwet's AC1" if scale == "nominal" else "Gwet's AC2", _table(codes)
    counts, every = _twice(table), _counts(table)
    if not len(counts):
        return Coefficient(name, None, 0, _NOBODY)
    q = counts.shape[1]
    if q < 2:
        return Coefficient(name, None, len(counts), _ONE)
    weight = np.eye(q)
    if scale == "ordinal":
        apart = np.abs(np.subtract.outer(np.arange(q), np.arange(q)))
        weight = 1 - apart * (apart + 1) / (q * (q - 1))
    judged = every[every.sum(1) > 0]
    shares = (judged / judged.sum(1, keepdims=True)).mean(0)
    expected = float(weight.sum() / (q * (q - 1)) * (shares * (1 - shares)).sum())
    observed = float(_alike(counts, weight).mean())
    return Coefficient(name, (observed - expected) / (1 - expected), len(counts))


def between(codes: ArrayLike, *, first: int) -> Coefficient:
    """The chance-corrected agreement of the first `first` labelers with the others: (P - Pe) / (1 - Pe).

    P is the mean over units that both sides judged of sum_k a_ik b_ik, a and b the shares of verdicts k on each side
    (`raw_between`), Pe = sum_k a_k b_k of their means. Of one labeler a side it is Cohen's kappa.
    Source: Schouten 1982, Statistica Neerlandica 36, 45-61.
    """
    name, (ours, theirs) = "kappa", _sides(codes, first)
    if not len(ours):
        return Coefficient(name, None, 0, _NEITHER)
    expected = float(ours.mean(0) @ theirs.mean(0))
    if expected >= 1 - 1e-12:
        return Coefficient(name, None, len(ours), _ONE)
    return Coefficient(name, (float((ours * theirs).sum(1).mean()) - expected) / (1 - expected), len(ours))


def raw_between(codes: ArrayLike, *, first: int) -> Coefficient:
    """The share of equal verdicts among all pairs of one of the first `first` labelers and one of the others, each unit
    counting alike. Example: (0 | 0, 1), (1 | 1, 1): (1/2 + 1) / 2 = 0.75."""
    ours, theirs = _sides(codes, first)
    value = float((ours * theirs).sum(1).mean()) if len(ours) else None
    return Coefficient("raw agreement", value, len(ours), "" if len(ours) else _NEITHER)


def with_interval(
    coefficient: Measure, codes: ArrayLike, *, confidence: float = 0.95,
    resamples: int = 1000, seed: int = 0, clusters: ArrayLike | None = None,
) -> Coefficient:  # fmt: skip
    """`coefficient` of `codes` with a percentile bootstrap interval over units, or over `clusters` [n] of units that go
    together, at normal quantiles widened by sqrt(n/(n-1)) t / z, as in `intervals.bootstrap_mean`.

    Resamples in which the coefficient is not defined are left out; where these are more than a tenth, or where there is
    only one unit to draw, there is no interval, and `why` says so.
    """
    table, found = _table(codes), coefficient(codes)
    if found.value is None:
        return found
    generator = np.random.default_rng(seed)
    kept = (table >= 0).sum(1) > 1
    twice = table[kept]
    of = np.arange(len(twice)) if clusters is None else np.asarray(clusters)[kept]
    n = len(np.unique(of))
    if n < 2:
        return Coefficient(found.name, found.value, found.units, "no interval: one case does not tell how cases differ")
    drawn = (coefficient(twice[rows]).value for rows in _resamples(of, resamples, generator))
    values = [value for value in drawn if value is not None]
    if len(values) < FEWEST * resamples:
        why = f"no interval: in {resamples - len(values)} of {resamples} resamples it is not defined"
        return Coefficient(found.name, found.value, found.units, why)
    tail = float(ndtr(-math.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 + confidence) / 2)))
    low, high = np.quantile(values, [tail, 1 - tail])
    interval = Interval(float(low), float(high), confidence, "bootstrap")
    return Coefficient(found.name, found.value, found.units, interval=interval)


def compact(codes: ArrayLike) -> Codes:
    """The same verdicts on each unit in as few columns as they need: who gave them does not matter to most measures."""
    table = _table(codes)
    width = int((table >= 0).sum(1).max(initial=0))
    found: Codes = -np.sort(-table, axis=1)[:, : max(width, 1)]
    return found


def _resamples(of: Codes, resamples: int, generator: np.random.Generator) -> Iterator[Codes]:
    """Rows of resampled clusters, `of` [n] which each row is."""
    order = np.argsort(of, kind="stable")
    _, starts, sizes = np.unique(of[order], return_index=True, return_counts=True)
    for _ in range(resamples):
        drawn = generator.integers(len(starts), size=len(starts))
        counts = sizes[drawn]
        if len(starts) == len(of):
            yield order[drawn]
            continue
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        yield order[np.repeat(starts[drawn], counts) + within]


_NOBODY = "no unit was judged by two labelers"
_NEITHER = "no unit was judged by both"
_ONE = "only one category is in use, so there is nothing to agree on"


def _table(codes: ArrayLike) -> Codes:
    table = np.asarray(codes)
    if table.ndim != 2:
        raise ValueError(f"Expected a table of units by labelers; got shape {table.shape}.")
    if table.size and (not np.issubdtype(table.dtype, np.integer) or table.min() < -1):
        raise ValueError("Expected whole numbers from 0 for categories, and -1 for what was not judged.")
    return table.astype(np.int64)


def _categories(table: Codes) -> int:
    return int(table.max(initial=-1)) + 1


def _counts(table: Codes) -> Counts:
    """[n, q]: verdicts on each unit by category."""
    q = _categories(table)
    if not q:
        return np.zeros((len(table), 0))
    counts: Counts = np.stack([(table == k).sum(1) for k in range(q)], 1).astype(np.float64)
    return counts


def _sides(codes: ArrayLike, first: int) -> tuple[Counts, Counts]:
    """[n, q] each: the shares of verdicts by category of both sides, on the units that both judged."""
    table = _table(codes)
    q = max(_categories(table), 1)
    sides = [np.stack([(part == k).sum(1) for k in range(q)], 1) for part in (table[:, :first], table[:, first:])]
    both = (sides[0].sum(1) > 0) & (sides[1].sum(1) > 0)
    ours, theirs = (side[both] / side[both].sum(1, keepdims=True) for side in sides)
    return ours, theirs


def _twice(table: Codes) -> Counts:
    """The counts of units that two labelers or more judged."""
    counts = _counts(table)
    twice: Counts = counts[counts.sum(1) > 1]
    return twice


def _alike(counts: Counts, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """[n]: how far any two verdicts on a unit agree, by the weights [q, q] of pairs of categories."""
    raters = counts.sum(1)
    near: NDArray[np.float64] = (counts * (counts @ weight - 1)).sum(1) / (raters * (raters - 1))
    return near
