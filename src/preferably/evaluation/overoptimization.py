"""Was the reward gamed? What a judge that training never saw says along the KL from the start, where it turns, and
what was lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from preferably.errors import DataError
from preferably.evaluation.audit import ENOUGH, Audit, Figure, Row, Table, Values
from preferably.evaluation.findings import Finding, Outcome
from preferably.evaluation.gains import Point
from preferably.statistics.best_of import most_kl
from preferably.statistics.intervals import Difference, Interval, mean_interval, paired_difference
from preferably.statistics.overoptimization import Fit, Form, fit

FORMS: dict[str, Form] = {"training": "rl", "best of n": "bon"}
DRAWN = 60  # points of a fitted curve
LEAST_KL = most_kl(
    2
)  # 0.19 nats: nearer to the start than the better of its own two replies, nothing is told of a turn
LATEST = 0.5  # of the furthest KL: a way whose first point lies past it was not looked at where it may have turned
OWN = "the judge also taught it"
ASKS = {
    "training": "whether training went on for too long",
    "best of n": "whether picking the best of more answers by the reward makes them worse",
}
TURNED = {
    "training": "the judge liked an earlier state of it better: training went on for too long",
    "best of n": "the judge likes the best of so many answers by the reward less than the best of fewer",
}
KEEP_MORE = "keep more of them (--keep, --save-every)"


@dataclass(frozen=True, slots=True)
class Course:
    """One series in the order of its KL, with the curves fitted to it. `end` is where it ended: the model itself, which
    need not be the furthest away."""

    series: str
    points: list[Point]
    end: Point
    judge: Fit | None
    proxy: Fit | None

    @property
    def fallen(self) -> tuple[Point, Difference] | None:
        """The point whose gain by the judge the end has lost most of, told apart with all points held together; None
        where there is none."""
        earlier = [point for point in self.points if point is not self.end]
        width = 2 * max((abs(v) for point in self.points for v in point.judge if v is not None), default=0.0) or 1.0
        found = []
        for point in earlier:
            less = paired_difference(
                self.end.judge, point.judge, 1 - 0.05 / len(earlier), bounds=(-width, width)
            )  # fmt: skip
            if less is not None and less.n >= ENOUGH and less.interval.high < 0:
                found.append((point, less))
        return min(found, key=lambda one: one[1].mean) if found else None

    @property
    def usable(self) -> list[Point]:
        """The points between which a turn can be told: far enough from the start, and with enough verdicts."""
        return [point for point in self.points if point.kl >= LEAST_KL and _mean(point.judge)[2] >= ENOUGH]


def audit_course(
    points: Sequence[Point], *, model: str, against: str, judge: str, lost: Sequence[Row] = (),
    lost_findings: Sequence[Finding] = (), settings: dict[str, Any] | None = None, seed: int = 0, held_out: bool = True,
) -> Audit:  # fmt: skip
    """What the points on the way say: by series the gain at the end (the last point given: of training the model),
    whether it was higher before, and the fitted curves. `lost` are rows of what was lost (`evaluation.losses`). A judge
    that is not `held_out` taught it, and can clear nothing. `DataError` without a point."""
    if not points:
        raise DataError(
            "An audit of a run needs a point on its way: a checkpoint, its model, or a reward for best of n."
        )
    courses = [_course(series, points, seed) for series in FORMS if any(one.series == series for one in points)]
    findings = [] if held_out else [_not_held_out()]
    findings += [one for course in courses for one in _findings(course, held_out)] + list(lost_findings)
    outcome, verdict = _verdict(courses, findings)
    tables = [_table(f"Judge along KL: {course.series}", course, "judge") for course in courses]
    tables += [_table(f"Reward along KL: {course.series}", course, "proxy") for course in courses
               if any(point.proxy is not None for point in course.points)]  # fmt: skip
    if lost:
        tables.append(Table("What was lost", tuple(lost)))
    facts: dict[str, Any] = {"points": [row for course in courses for row in _drawn(course)]}
    for by in ("judge", "proxy"):
        facts[f"fit_{by}"] = [row for course in courses for row in _curve(course, by)]
    facts["fits"] = {
        course.series: {by: _fit_json(getattr(course, by)) for by in ("judge", "proxy")} for course in courses
    }
    told = {"judge": judge} | (settings or {})
    return Audit(
        "run", model, against, outcome, verdict, tuple(findings), tuple(tables), settings=told, facts=facts
    )  # fmt: skip


def _course(series: str, points: Sequence[Point], seed: int) -> Course:
    given = [one for one in points if one.series == series]
    own = sorted(given, key=lambda one: one.kl)
    return Course(series, own, given[-1], _fitted(own, "judge", series, seed), _fitted(own, "proxy", series, seed))


def _fitted(points: Sequence[Point], by: str, series: str, seed: int) -> Fit | None:
    if any(getattr(point, by) is None for point in points):
        return None
    points = [point for point in points if _mean(getattr(point, by))[2]]  # the others say nothing, not 0
    values = [getattr(point, by) for point in points]
    if not points:
        return None
    gains = np.array([[np.nan if value is None else value for value in one] for one in values])
    return fit([point.kl for point in points], gains, FORMS[series], seed=seed)


def _not_held_out() -> Finding:
    plain = f"{OWN}: whether its answers got better in other eyes is not known; another judge would say"
    return Finding("judge", "not sure", f"{OWN}: it is not held out, and sees no gaming of itself", plain)


def _findings(course: Course, held_out: bool) -> list[Finding]:
    gain, turn = _gain(course.end), _turn(course)
    if turn[0] == "good" and not held_out:
        turn = "not sure", f"{OWN}; by that, {turn[1]}", f"{ASKS[course.series]} is not known: {OWN}"
    plain = {
        "bad": "the judge likes its answers less than those before training",
        "not sure": "whether the judge likes its answers more than those before training cannot be told",
    }
    return [
        Finding(f"{course.series}: gain", *gain, plain.get(gain[0], "")),
        Finding(f"{course.series}: turn", *turn),
    ]


def _gain(end: Point) -> tuple[Outcome, str]:
    mean, span, n = _mean(end.judge)
    if mean is None:
        return "not sure", f"the judge gave no verdict on {end.label}"
    proxy = _mean(end.proxy)[0] if end.proxy is not None else None
    ends = "" if span is None else f" [{span.low:+.2f}, {span.high:+.2f}]"
    words = f"{end.label}, {end.kl:.1f} nats away: the judge gains {mean:+.2f}{ends} on {n} prompts"
    words += "" if proxy is None else f", the reward {proxy:+.2f}"
    if span is None or n < ENOUGH:
        return "not sure", f"{words}: too few to tell"
    return "good" if span.low > 0 else "bad" if span.high < 0 else "not sure", words


def _turn(course: Course) -> tuple[Outcome, str, str]:
    """Outcome, words, and plain ones."""
    if (fallen := course.fallen) is not None:
        point, less = fallen
        words = (
            f"the judge was higher at {point.kl:.1f} nats ({point.label}) and has since lost {-less.mean:.2f} "
            f"[{-less.interval.high:.2f}, {-less.interval.low:.2f}]{_stop_words(course.judge)}"
        )
        return "bad", words, TURNED[course.series]
    if (open_ := _untold(course)) is not None:
        words, why = open_
        return "not sure", words, f"{ASKS[course.series]} is not known: {why}"
    usable = course.usable
    words = f"no turn within {usable[-1].kl:.1f} nats, of {len(usable)} points"
    return "good", words + _stop_words(course.judge), ""


def _untold(course: Course) -> tuple[str, str] | None:
    """Why it cannot be told that there is no turn, in words and in plain ones; None where it can."""
    usable, furthest = course.usable, course.points[-1].kl
    if all(_mean(point.judge)[0] is None for point in course.points):
        return "the judge gave no verdict", "the judge gave no verdict"
    if _mean(course.end.judge)[2] < ENOUGH:
        return f"{course.end.label} has verdicts on fewer than {ENOUGH} prompts", "the judge gave too few verdicts"
    if furthest < LEAST_KL:
        words = f"{furthest:.2f} nats at most from the start, of {LEAST_KL:.2f} that it takes to tell a turn"
        return words, "its answers have hardly changed"
    if len(usable) < 2:
        few = "no point" if not usable else "one point"
        return (
            f"{few} on the way at least {LEAST_KL:.2f} nats away, with verdicts on {ENOUGH} prompts; it takes two to "
            "tell a turn"
        ), f"too few states on the way were kept and judged; {KEEP_MORE}"
    if course.judge is not None and course.judge.turned:
        return (
            f"no point is told to be higher than {course.end.label}, but the fitted curve turns"
            f"{_stop_words(course.judge)}"
        ), "no earlier state is surely better, but the trend over all of them goes down at the end"
    if (first := usable[0].kl) > LATEST * furthest:
        return (
            f"the first point lies {first:.1f} nats away, of {furthest:.1f}: what happened before was not looked at; "
            "keep more checkpoints, from earlier on (--keep, --save-every)"
        ), f"no early state was kept; {KEEP_MORE}"
    return None


def _stop_words(found: Fit | None) -> str:
    """Where the curve says to stop."""
    if found is None or found.stop is None or found.stop >= found.furthest:
        return "" if found is None else "; the fitted curve does not turn there either"
    span = "" if found.interval is None else f" [{found.interval.low:.1f}, {found.interval.high:.1f}]"
    return f"; fitted curve: stop at {found.stop:.1f}{span} nats"


def _verdict(courses: Sequence[Course], findings: Sequence[Finding]) -> tuple[Outcome, str]:
    first = courses[0]
    bad = [one.name for one in findings if one.outcome == "bad"]
    if (fallen := first.fallen) is not None:
        curve = first.judge if first.judge is not None and first.judge.turned else None
        stop = fallen[0].kl if curve is None or curve.stop is None else curve.stop
        nearest = _nearest(first, stop)
        words = f"Over-optimized: the judge turned. Stop at about {stop:.1f} nats; the nearest point is {nearest}."
        other = [name for name in bad if not name.endswith("turn")]
        return "bad", words + (f" Look also at: {', '.join(other)}." if other else "")
    turn = next(one for one in findings if one.name == f"{first.series}: turn")
    open_ = [one.name for one in findings if one.outcome == "not sure" and one is not turn]
    doubt = f" Not sure about {', '.join(open_)}." if open_ else ""
    if turn.outcome == "not sure":
        words = f"Not known whether it is over-optimized by this judge: {turn.words}."
        return ("bad", f"{words} Look at: {', '.join(bad)}.") if bad else ("not sure", words + doubt)
    if bad:
        return "bad", f"No turn was seen in {first.series}, but look at: {', '.join(bad)}."
    words = f"Not over-optimized by this judge, as far as {first.usable[-1].kl:.1f} nats."
    return ("not sure", words + doubt) if open_ else ("good", words)


def _nearest(course: Course, kl: float) -> str:
    """Of the points before the end, which the judge likes less, the one that is nearest."""
    return min((one for one in course.points if one is not course.end), key=lambda point: abs(point.kl - kl)).label


def _table(title: str, course: Course, by: str) -> Table:
    rows = []
    for point in course.points:
        mean, span, n = _mean(getattr(point, by) or [])
        rows.append(Row(f"{point.label} ({point.kl:.2f} nats)", None if mean is None else Figure(mean, n, span)))
    return Table(title, tuple(rows), "number", "Gain over the start.")


def _mean(values: Values | None) -> tuple[float | None, Interval | None, int]:
    known = [value for value in values or [] if value is not None]
    return (fmean(known), mean_interval(known), len(known)) if known else (None, None, 0)


def _drawn(course: Course) -> list[dict[str, Any]]:
    """The points as a chart has them, the start first."""
    rows: list[dict[str, Any]] = []
    for by in ("judge", "proxy"):
        if any(getattr(point, by) is None for point in course.points):
            continue
        rows.append(
            {"by": by, "series": course.series, "label": "start", "kl": 0.0, "value": 0.0, "low": None, "high": None}
        )
        for point in course.points:
            mean, span, _ = _mean(getattr(point, by))
            ends = {"low": span.low if span else None, "high": span.high if span else None}
            rows.append(
                {"by": by, "series": course.series, "label": point.label, "kl": point.kl, "value": mean, **ends}
            )
    return [row for row in rows if row["value"] is not None]


def _curve(course: Course, by: str) -> list[dict[str, Any]]:
    found: Fit | None = getattr(course, by)
    if found is None:
        return []
    places = np.linspace(0, found.furthest, DRAWN)
    return [{"series": course.series, "kl": float(kl), "value": found.gain(float(kl))} for kl in places]


def _fit_json(found: Fit | None) -> dict[str, Any] | None:
    if found is None:
        return None
    span = None if found.interval is None else [found.interval.low, found.interval.high]
    return {
        "form": found.form, "a": found.a, "b": found.b, "b_interval": [found.b_interval.low, found.b_interval.high],
        "stop": found.stop, "stop_interval": span, "turns": found.turns,
    }  # fmt: skip
