"""How far those who judged the same questions say the same: all, by the part that they have, and one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from preferably.feedback.questions import Questions
from preferably.statistics.agreement import (
    Coefficient,
    Measure,
    between,
    compact,
    fleiss,
    gwet,
    krippendorff,
    raw,
    raw_between,
    with_intervals,
)
from preferably.statistics.shares import Share, share

RESAMPLES = 400


@dataclass(frozen=True, slots=True)
class Meeting:
    """How far two kinds of labelers agree with each other, or one kind within itself: raw, and corrected for chance
    (within, by Krippendorff's alpha; between, by kappa)."""

    first: str
    second: str
    raw: Coefficient
    corrected: Coefficient

    def as_json(self) -> dict[str, object]:
        """All of it."""
        return {
            "first": self.first, "second": self.second, "raw": coefficient_json(self.raw),
            "corrected": coefficient_json(self.corrected) | {"name": self.corrected.name},
        }  # fmt: skip


def coefficient_json(one: Coefficient) -> dict[str, object]:
    """`value`, `interval`, `units`, and `why` there is none."""
    span = one.interval and [one.interval.low, one.interval.high]
    return {"value": one.value, "interval": span, "units": one.units, "why": one.why}


def all_together(questions: Questions, *, seed: int = 0) -> list[Coefficient]:
    """Raw agreement and the coefficients that correct it for chance, with intervals by record."""
    table = _packed(compact(questions.table))
    measures: list[Measure] = [raw, krippendorff, gwet, fleiss]
    if table.max(initial=0) > 1:  # a tie lies between the other two
        measures[2:2] = [partial(krippendorff, scale="ordinal"), partial(gwet, scale="ordinal")]
    return with_intervals(measures, table, seed=seed, clusters=questions.record, resamples=RESAMPLES)


def meetings_of(questions: Questions, kinds: Mapping[str, str], *, seed: int = 0) -> list[Meeting]:
    """The agreement within every kind of labelers and between any two; `kinds` says of what kind each is. One that is
    of no kind is left out."""
    table, order = questions.table, list(dict.fromkeys(kinds.values()))
    columns = {
        kind: [at for at, name in enumerate(questions.names) if kinds.get(name) == kind] for kind in order
    }  # fmt: skip
    resampled = partial(with_intervals, seed=seed, clusters=questions.record, resamples=RESAMPLES)
    found = []
    for one, other in combinations_with_replacement(order, 2):
        mine, theirs = compact(table[:, columns[one]]), compact(table[:, columns[other]])
        if one == other:
            if len(columns[one]) > 1:
                found.append(Meeting(one, other, *resampled([raw, krippendorff], _packed(mine))))
            continue
        measures: list[Measure] = [partial(one, first=mine.shape[1]) for one in (raw_between, between)]
        found.append(Meeting(one, other, *resampled(measures, _packed(np.hstack([mine, theirs])))))
    return found


def _packed(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same with codes from 0 without a gap: AC1 counts categories that nobody used, too."""
    used = np.unique(table[table >= 0])
    return np.where(table >= 0, np.searchsorted(used, table), -1)


def agreeing(questions: Questions, labeler: int, others: Sequence[int] | None = None) -> Share | None:
    """How often `others` (all of them) say the same as a labeler, of the questions that both answered. The interval is
    that of as many trials as there are records."""
    mine = questions.labelers == labeler
    said = np.full(len(questions.places), -1)
    said[questions.units[mine]] = questions.codes[mine]
    chosen = ~mine if others is None else np.isin(questions.labelers, list(others)) & ~mine
    met = chosen & (said[questions.units] >= 0)
    same = int((questions.codes[met] == said[questions.units[met]]).sum())
    return share(same, int(met.sum()), len(np.unique(questions.record[questions.units[met]])))
