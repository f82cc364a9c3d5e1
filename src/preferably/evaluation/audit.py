"""What every audit of a model gives: findings in words, and the figures they rest on, after training and before."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any, Literal

from preferably.evaluation.findings import Finding, Outcome
from preferably.statistics.intervals import Difference, Interval, bootstrap_mean, paired_difference

Unit = Literal["share", "nats", "rank", "number"]
Values = Sequence[float | None]  # one a prompt; None is missing
ENOUGH = 10  # prompts below which nothing is claimed of a share


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over prompts with its interval; `n` prompts, `missing` without a value."""

    value: float
    n: int
    interval: Interval | None = None
    missing: int = 0

    def as_json(self) -> dict[str, Any]:
        """`value, n, interval, missing`."""
        span = None if self.interval is None else [self.interval.low, self.interval.high]
        return {"value": self.value, "n": self.n, "interval": span, "missing": self.missing}


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of the audited model, of the one before it, and of a control; `difference` is after less before."""

    name: str
    after: Figure | None
    before: Figure | None = None
    control: Figure | None = None
    difference: Difference | None = None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """All of it, None where there is none."""
        sides = {side: getattr(self, side) for side in ("after", "before", "control")}
        told = {side: None if one is None else one.as_json() for side, one in sides.items()}
        return {"name": self.name, **told, "difference": difference_json(self.difference), "note": self.note}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one kind, all in one unit."""

    title: str
    rows: tuple[Row, ...]
    unit: Unit = "share"
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        rows = [row.as_json() for row in self.rows]
        return {"title": self.title, "unit": self.unit, "note": self.note, "rows": rows}


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found. `facts` are further figures by name, as they are written."""

    name: str  # suppression, honesty, safety or run
    model: str
    against: str
    outcome: Outcome
    verdict: str
    findings: tuple[Finding, ...]
    tables: tuple[Table, ...]
    control: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The contents of `evaluation/audit_<name>.json`."""
        return {
            "schema": 1, "audit": self.name, "model": self.model, "against": self.against, "control": self.control,
            "outcome": self.outcome, "verdict": self.verdict, "findings": [one.as_json() for one in self.findings],
            "tables": [table.as_json() for table in self.tables], "settings": dict(self.settings), **self.facts,
        }  # fmt: skip


def figure(values: Values, *, seed: int = 0, bounds: tuple[float, float] = (0.0, 1.0)) -> Figure | None:
    """The mean of what is known, with an interval over prompts; None of nothing."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Figure(fmean(known), len(known), bootstrap_mean(known, seed=seed, bounds=bounds), len(values) - len(known))


def middle(values: Values) -> Figure | None:
    """The median of what is known, without an interval; None of nothing."""
    known = [value for value in values if value is not None]
    return Figure(float(median(known)), len(known), None, len(values) - len(known)) if known else None


def compared(
    name: str, after: Values, before: Values | None = None, control: Values | None = None, *, seed: int = 0,
    bounds: tuple[float, float] = (0.0, 1.0), note: str = "",
) -> Row:  # fmt: skip
    """A row of means over the same prompts, with the paired difference."""
    how: dict[str, Any] = {"seed": seed, "bounds": bounds}
    return Row(
        name, figure(after, **how), None if before is None else figure(before, **how),
        None if control is None else figure(control, **how),
        None if before is None else paired_difference(after, before, **how), note,
    )  # fmt: skip


def mean_by_prompt(several: Sequence[Sequence[float | None]]) -> list[float | None]:
    """The mean over the samples of each prompt that have a value."""
    known = [[value for value in row if value is not None] for row in several]
    return [fmean(row) if row else None for row in known]


def difference_json(found: Difference | None) -> dict[str, Any] | None:
    """`mean, interval, n`, or None."""
    if found is None:
        return None
    return {"mean": found.mean, "interval": [found.interval.low, found.interval.high], "n": found.n}


def percent(value: float | None) -> str:
    """A share in whole percent; one that is not 0 is never shown as 0, nor one that is not 1 as 100."""
    if value is None:
        return "none"
    if 0 < value < 0.005 or 0.995 <= value < 1:
        return "under 1%" if value < 0.5 else "over 99%"
    return f"{value:.0%}"


def told(one: Figure | None) -> str:
    """`12% [8%, 17%]`; `not known` of nothing."""
    if one is None:
        return "not known"
    if one.interval is None:
        return percent(one.value)
    return f"{percent(one.value)} [{one.interval.low:.0%}, {one.interval.high:.0%}]"


def beside_before(row: Row) -> str:
    """How a share stands to that before training, as the end of a sentence; empty where that is not known."""
    if row.before is None or row.difference is None:
        return ""
    span = row.difference.interval
    how = "more than" if span.low > 0 else "less than" if span.high < 0 else "not told apart from"
    return f", {how} before training ({percent(row.before.value)})"


def points(found: Difference) -> str:
    """`+12 points [+8, +17]`."""
    low, high = (100 * end for end in (found.interval.low, found.interval.high))
    return f"{100 * found.mean:+.0f} points [{low:+.0f}, {high:+.0f}]"


def plain(text: str) -> str:
    """`text` in small letters with single spaces: how texts are compared."""
    return " ".join(re.sub(r"[\u2018\u2019]", "'", text).casefold().split())


Progress = Callable[[int], None]


def silent(done: int) -> None:
    """Tells nobody."""
