"""How far labelers agree, beyond what chance would give.

All of it reads one table, `codes` [n, r] of whole numbers: what each of r labelers said of each of n units, a category
from 0 to q - 1, or -1 where they said nothing. Units that fewer than two labelers judged say nothing of agreement and
are left out. What is not defined on the data (one category in use, no unit judged twice) is `None` with a reason, and
never 0, 1 or NaN. Raw agreement comes first: coefficients correct it for chance, each by its own idea of chance.

`times` [n] is how often each row stands in the table, once unless it is given: resamples of many units are few rows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, stdtrit

from preferably.statistics.intervals import Interval

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Counts = Floats  # [n, q]: how many labelers put unit i into category k
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


class Measure(Protocol):
    """A coefficient of a table of codes."""

    def __call__(self, codes: ArrayLike, *, times: ArrayLike | None = None) -> Coefficient:
        """As `raw`."""
        ...


def raw(codes: ArrayLike, *, times: ArrayLike | None = None) -> Coefficient:
    """The share of equal verdicts among all pairs of verdicts on one unit, each unit counting alike.

    (1/n) sum_i sum_k n_ik (n_ik - 1) / (r_i (r_i - 1)). Example: two labelers who say (0, 0), (1, 0): 0.5.
    """
    counts, often = _twice(*_table(codes, times))
    value = _mean(_alike(counts, np.eye(counts.shape[1])), often) if len(counts) else None
    return Coefficient("raw agreement", value, round(often.sum()), "" if len(counts) else _NOBODY)


def cohen(
    codes: ArrayLike, *, weights: Literal["none", "linear", "quadratic"] = "none", times: ArrayLike | None = None
) -> Coefficient:
    """Cohen's kappa of two labelers: (Po - Pe) / (1 - Pe), Pe by each labeler's own shares of the categories.

    With `weights`, verdicts near each other agree in part: 1 - |j - k| / (q - 1), or its square (Cohen 1968). Raises
    `ValueError` for other than two labelers. Example: 20 (0, 0), 5 (0, 1), 10 (1, 0), 15 (1, 1): 0.4.
    Source: Cohen 1960, Educational and Psychological Measurement 20, 37-46.
    """
    table, often = _table(codes, times)
    if table.shape[1] != 2:
        raise ValueError(f"Cohen's kappa is of two labelers; got {table.shape[1]}.")
    both, often = table[(table >= 0).all(1)], often[(table >= 0).all(1)]
    name = "Cohen's kappa" if weights == "none" else f"Cohen's kappa, {weights} weights"
    if not len(both):
        return Coefficient(name, None, 0, _NOBODY)
    q = _categories(table)
    joint = np.zeros((q, q))
    np.add.at(joint, (both[:, 0], both[:, 1]), often / often.sum())
    away = np.abs(np.subtract.outer(np.arange(q), np.arange(q))) / max(1, q - 1)
    weight = {"none": np.eye(q), "linear": 1 - away, "quadratic": 1 - away**2}[weights]
    expected = float((weight * np.outer(joint.sum(1), joint.sum(0))).sum())
    units = round(often.sum())
    if expected >= 1 - 1e-12:
        return Coefficient(name, None, units, "both labelers only ever said the same one thing")
    return Coefficient(name, (float((weight * joint).sum()) - expected) / (1 - expected), units)


def fleiss(codes: ArrayLike, *, times: ArrayLike | None = None) -> Coefficient:
    """Fleiss' kappa: (P - Pe) / (1 - Pe), Pe = sum_k p_k^2 over all verdicts, which do not depend on who gave them.

    Not defined where units were judged by different numbers of labelers: Krippendorff's alpha is then the one to use.
    Source: Fleiss 1971, Psychological Bulletin 76, 378-382.
    """
    name, (counts, often) = "Fleiss' kappa", _twice(*_table(codes, times))
    if not len(counts):
        return Coefficient(name, None, 0, _NOBODY)
    units = round(often.sum())
    if np.ptp(counts.sum(1)):
        return Coefficient(name, None, units, "units were judged by different numbers of labelers; use alpha")
    totals = often @ counts
    expected = float(((totals / totals.sum()) ** 2).sum())
    if expected >= 1 - 1e-12:
        return Coefficient(name, None, units, _ONE)
    observed = _mean(_alike(counts, np.eye(counts.shape[1])), often)
    return Coefficient(name, (observed - expected) / (1 - expected), units)


def krippendorff(codes: ArrayLike, *, scale: Scale = "nominal", times: ArrayLike | None = None) -> Coefficient:
    """Krippendorff's alpha, 1 - Do / De, for any number of labelers and missing verdicts.

    Do is the mean distance of verdicts on one unit, De that of any two of all verdicts that can be paired. The distance
    of categories c and k is 1 (nominal), or (sum_{g=c..k} n_g - (n_c + n_k) / 2)^2 (ordinal), n_g verdicts in g.
    Source: Krippendorff 2011, "Computing Krippendorff's alpha-reliability".
    """
    name, (counts, often) = f"Krippendorff's alpha, {scale}", _twice(*_table(codes, times))
    if not len(counts):
        return Coefficient(name, None, 0, _NOBODY)
    units, shares = round(often.sum()), counts * (often / (counts.sum(1) - 1))[:, None]
    # coincidences [q, q]: pairs of verdicts on one unit, each unit counting as many verdicts as it has
    coincidences = shares.T @ counts - np.diag(shares.sum(0))
    totals = coincidences.sum(1)
    if np.count_nonzero(totals) < 2:
        return Coefficient(name, None, units, _ONE)
    if scale == "ordinal":
        upto, places = np.cumsum(totals), np.arange(len(totals))
        first = np.minimum.outer(places, places)  # sum_{g=c..k} n_g = |upto_k - upto_c| + n of the smaller of the two
        within = np.abs(np.subtract.outer(upto, upto)) + totals[first]
        distance = (within - np.add.outer(totals, totals) / 2) ** 2
    else:
        distance = 1 - np.eye(len(totals))
    expected = float((np.outer(totals, totals) * distance).sum()) / (totals.sum() - 1)
    return Coefficient(name, 1 - float((coincidences * distance).sum()) / expected, units)


def gwet(codes: ArrayLike, *, scale: Scale = "nominal", times: ArrayLike | None = None) -> Coefficient:
    """Gwet's AC1 (nominal), AC2 (ordinal): (P - Pe) / (1 - Pe), which stays sane where one category is nearly all.

    Pe = sum(w) / (q (q - 1)) sum_k p_k (1 - p_k), p_k the mean share of category k in a unit; w is the identity, or the
    ordinal weights 1 - M_jk / max M, M_jk = C(|j - k| + 1, 2).
    Source: Gwet 2008, British Journal of Mathematical and Statistical Psychology 61, 29-48; AC2: Gwet 2014, Handbook of
    Inter-Rater Reliability, chapters 3 and 4.
    """
    name = "Gwet's AC1" if scale == "nominal" else "Gwet's AC2"
    table, each = _table(codes, times)
    (counts, often), every = _twice(table, each), _counts(table)
    if not len(counts):
        return Coefficient(name, None, 0, _NOBODY)
    q, units = counts.shape[1], round(often.sum())
    if q < 2:
        return Coefficient(name, None, units, _ONE)
    weight = np.eye(q)
    if scale == "ordinal":
        apart = np.abs(np.subtract.outer(np.arange(q), np.arange(q)))
        weight = 1 - apart * (apart + 1) / (q * (q - 1))
    judged = every.sum(1) > 0
    shares = each[judged] / each[judged].sum() @ (every[judged] / every[judged].sum(1, keepdims=True))
    expected = float(weight.sum() / (q * (q - 1)) * (shares * (1 - shares)).sum())
    observed = _mean(_alike(counts, weight), often)
    return Coefficient(name, (observed - expected) / (1 - expected), units)


def between(codes: ArrayLike, *, first: int, times: ArrayLike | None = None) -> Coefficient:
    """The chance-corrected agreement of the first `first` labelers with the others: (P - Pe) / (1 - Pe).

    P is the mean over units that both sides judged of sum_k a_ik b_ik, a and b the shares of verdicts k on each side
    (`raw_between`), Pe = sum_k a_k b_k of their means. Of one labeler a side it is Cohen's kappa.
    Source: Schouten 1982, Statistica Neerlandica 36, 45-61.
    """
    name, (ours, theirs, often) = "kappa", _sides(codes, first, times)
    if not len(ours):
        return Coefficient(name, None, 0, _NEITHER)
    units = round(often.sum())
    expected = float((often @ ours) @ (often @ theirs)) / float(often.sum()) ** 2
    if expected >= 1 - 1e-12:
        return Coefficient(name, None, units, _ONE)
    return Coefficient(name, (_mean((ours * theirs).sum(1), often) - expected) / (1 - expected), units)


def raw_between(codes: ArrayLike, *, first: int, times: ArrayLike | None = None) -> Coefficient:
    """The share of equal verdicts among all pairs of one of the first `first` labelers and one of the others, each unit
    counting alike. Example: (0 | 0, 1), (1 | 1, 1): (1/2 + 1) / 2 = 0.75."""
    ours, theirs, often = _sides(codes, first, times)
    value = _mean((ours * theirs).sum(1), often) if len(ours) else None
    return Coefficient("raw agreement", value, round(often.sum()), "" if len(ours) else _NEITHER)


def with_interval(
    coefficient: Measure, codes: ArrayLike, *, confidence: float = 0.95,
    resamples: int = 1000, seed: int = 0, clusters: ArrayLike | None = None,
) -> Coefficient:  # fmt: skip
    """`coefficient` of `codes` with a percentile bootstrap interval over units, or over `clusters` [n] of units that go
    together, at normal quantiles widened by sqrt(n/(n-1)) t / z, as in `intervals.bootstrap_mean`.

    Resamples in which the coefficient is not defined are left out; where these are more than a tenth, or where there is
    only one unit to draw, there is no interval, and `why` says so.
    """
    return with_intervals(
        [coefficient], codes, confidence=confidence, resamples=resamples, seed=seed, clusters=clusters
    )[0]


def with_intervals(
    coefficients: Sequence[Measure], codes: ArrayLike, *, confidence: float = 0.95,
    resamples: int = 1000, seed: int = 0, clusters: ArrayLike | None = None,
) -> list[Coefficient]:  # fmt: skip
    """Each of `coefficients` as `with_interval` has it, all on the same resamples."""
    table = _table(codes)[0]
    kept = (table >= 0).any(1)  # a single verdict tells how common it is, which chance-corrected measures read
    of = np.unique(np.flatnonzero(kept) if clusters is None else np.asarray(clusters)[kept], return_inverse=True)[1]
    rows, row = np.unique(table[kept], axis=0, return_inverse=True)
    n = len(np.unique(of[(table[kept] >= 0).sum(1) > 1]))  # of those that tell of agreement
    drawn = _resamples(of, row.reshape(-1), len(rows), resamples, np.random.default_rng(seed)) if n > 1 else []
    tail = float(ndtr(-math.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 + confidence) / 2))) if n > 1 else 0.0
    made = []
    for coefficient in coefficients:
        found = coefficient(table)
        if found.value is None:
            made.append(found)
            continue
        if n < 2:
            made.append(replace(found, why="no interval: one case does not tell how cases differ"))
            continue
        told = (coefficient(rows[times > 0], times=times[times > 0]).value for times in drawn)
        values = [value for value in told if value is not None]
        if len(values) < FEWEST * resamples:
            why = f"no interval: in {resamples - len(values)} of {resamples} resamples it is not defined"
            made.append(replace(found, why=why))
            continue
        low, high = np.quantile(values, [tail, 1 - tail])
        made.append(replace(found, interval=Interval(float(low), float(high), confidence, "bootstrap")))
    return made


def compact(codes: ArrayLike) -> Codes:
    """The same verdicts on each unit in as few columns as they need: who gave them does not matter to most measures."""
    table = _table(codes)[0]
    width = int((table >= 0).sum(1).max(initial=0))
    found: Codes = -np.sort(-table, axis=1)[:, : max(width, 1)]
    return found


def _resamples(of: Codes, row: Codes, rows: int, resamples: int, generator: np.random.Generator) -> list[Floats]:
    """[rows] of each resample, how often a row is in it. `of` [n] is the cluster of each unit, `row` [n] which row it
    is: units are many, and what can be said of one is little."""
    n = int(of.max()) + 1
    often = (np.bincount(generator.integers(n, size=n), minlength=n) for _ in range(resamples))
    return [np.bincount(row, times[of], rows).astype(np.float64, copy=False) for times in often]


_NOBODY = "no unit was judged by two labelers"
_NEITHER = "no unit was judged by both"
_ONE = "only one category is in use, so there is nothing to agree on"


def _table(codes: ArrayLike, times: ArrayLike | None = None) -> tuple[Codes, Floats]:
    """The table, and how often each of its rows stands in it."""
    table = np.asarray(codes)
    if table.ndim != 2:
        raise ValueError(f"Expected a table of units by labelers; got shape {table.shape}.")
    if table.size and (not np.issubdtype(table.dtype, np.integer) or table.min() < -1):
        raise ValueError("Expected whole numbers from 0 for categories, and -1 for what was not judged.")
    often = np.ones(len(table)) if times is None else np.asarray(times, dtype=np.float64)
    return table.astype(np.int64, copy=False), often


def _categories(table: Codes) -> int:
    return int(table.max(initial=-1)) + 1


def _counts(table: Codes) -> Counts:
    """[n, q]: verdicts on each unit by category."""
    q = _categories(table)
    if not q:
        return np.zeros((len(table), 0))
    counts: Counts = np.stack([(table == k).sum(1) for k in range(q)], 1).astype(np.float64)
    return counts


def _sides(codes: ArrayLike, first: int, times: ArrayLike | None) -> tuple[Counts, Counts, Floats]:
    """[n, q] each: the shares of verdicts by category of both sides, on the units that both judged; and `times`."""
    table, often = _table(codes, times)
    q = max(_categories(table), 1)
    sides = [np.stack([(part == k).sum(1) for k in range(q)], 1) for part in (table[:, :first], table[:, first:])]
    both = (sides[0].sum(1) > 0) & (sides[1].sum(1) > 0)
    ours, theirs = (side[both] / side[both].sum(1, keepdims=True) for side in sides)
    return ours, theirs, often[both]


def _twice(table: Codes, often: Floats) -> tuple[Counts, Floats]:
    """The counts of units that two labelers or more judged."""
    counts = _counts(table)
    twice = counts.sum(1) > 1
    return counts[twice], often[twice]


def _mean(values: Floats, often: Floats) -> float:
    return float(values @ often) / float(often.sum())


def _alike(counts: Counts, weight: Floats) -> Floats:
    """[n]: how far any two verdicts on a unit agree, by the weights [q, q] of pairs of categories."""
    raters = counts.sum(1)
    near: Floats = (counts * (counts @ weight - 1)).sum(1) / (raters * (raters - 1))
    return near
