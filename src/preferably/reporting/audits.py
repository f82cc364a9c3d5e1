"""What the report says of the audits of a run: `evaluation/audit_<name>.json`, verdict first, then what it rests on."""

from dataclasses import dataclass, replace
from pathlib import Path

from preferably.reporting.charts import Chart, by_kl, calibration, lines
from preferably.reporting.curves import Curve
from preferably.reporting.figures import NONE, count, percent, signed, significant
from preferably.reporting.run_files import (
    Record,
    RunFiles,
    finite,
    interval_of,
    part,
    read_object,
    records,
    text,
)

ORDER = ("run", "safety", "honesty", "suppression")
TITLES = {
    "run": "Over-optimization, and what was lost", "safety": "Safety", "honesty": "Honesty",
    "suppression": "Suppression",
}  # fmt: skip
SIDES = {"after": "audited", "before": "before", "control": "never learnt"}


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure with its interval, as it is written."""

    value: str
    interval: str


@dataclass(frozen=True, slots=True)
class Line:
    """A row of figures: one cell for each side of the table."""

    name: str
    cells: tuple[Cell, ...]
    difference: Cell | None
    n: str
    note: str


@dataclass(frozen=True, slots=True)
class Figures:
    """A table; `sides` are the names of its columns."""

    title: str
    sides: tuple[str, ...]
    rows: tuple[Line, ...]
    compares: bool  # whether any row has a difference
    difference: str  # what its column is called
    note: str


@dataclass(frozen=True, slots=True)
class Told:
    """An audit as a page tells it."""

    name: str
    title: str
    about: str
    outcome: str
    verdict: str
    findings: tuple[tuple[str, str, str], ...]  # name, outcome, words
    tables: tuple[Figures, ...]
    charts: tuple[Chart, ...]


def of_job(directory: Path, record: Record, policy: Record) -> dict[str, Record]:
    """What the audits found that a job did of a `policy` (one of its `rounds`), by name: those of its stages that are
    done. What else its run holds was made by hand, or of other settings."""
    found = {}
    for one in records(record, "stages"):
        alike = (text(one, "road"), one.get("round", 1)) == (text(policy, "road"), policy.get("round", 1))
        if text(one, "kind") != "audit" or text(one, "state") not in ("", "done") or not alike:
            continue
        name = text(part(one, "figures"), "audit")
        folder = directory / (text(one, "folder") or text(one, "name"))
        if told := read_object(folder / "evaluation" / f"audit_{name}.json", []):
            found[name] = told
    return found


def told(run: RunFiles, place: str = "") -> list[Told]:
    """The audits that the run has, in the order in which they matter. `place` tells its charts from those of other runs
    on the same page."""
    names = [*(name for name in ORDER if name in run.audits), *(sorted(set(run.audits) - set(ORDER)))]
    return [_told(name, run.audits[name], place) for name in names]


def _told(name: str, record: Record, place: str) -> Told:
    found = [(text(one, "name"), text(one, "outcome"), text(one, "words")) for one in records(record, "findings")]
    against, control = text(record, "against"), text(record, "control")
    about = f"Held against {against}" if against else ""
    about += f"; {control} never learnt it" if control and about else ""
    charts = tuple(replace(one, slug=place + one.slug) for one in _charts(name, record))
    return Told(
        name, TITLES.get(name, name), about, text(record, "outcome"), text(record, "verdict"), tuple(found),
        tuple(_figures(table) for table in records(record, "tables")), charts,
    )  # fmt: skip


def _figures(table: Record) -> Figures:
    rows = list(records(table, "rows"))
    sides = tuple(side for side in SIDES if any(part(row, side) for row in rows))
    unit = text(table, "unit")
    lines_ = tuple(
        Line(
            text(row, "name"), tuple(_cell(part(row, side), unit) for side in sides),
            _difference(part(row, "difference"), unit) if part(row, "difference") else None,
            count(finite(part(row, sides[0]), "n")) if sides else NONE, text(row, "note"),
        )
        for row in rows
    )  # fmt: skip
    compares = any(line.difference for line in lines_)
    named = "points" if unit == "share" else "difference"
    return Figures(
        text(table, "title"), tuple(SIDES[side] for side in sides), lines_, compares, named, text(table, "note")
    )


def _cell(record: Record, unit: str) -> Cell:
    span = interval_of(record)
    ends = "" if span is None else f"{_written(span[0], unit)} to {_written(span[1], unit)}"
    return Cell(_written(finite(record, "value"), unit), ends)


def _difference(record: Record, unit: str) -> Cell:
    scale, digits = (100, 1) if unit == "share" else (1, 2)
    mean, span = finite(record, "mean"), interval_of(record)
    ends = "" if span is None else f"{signed(scale * span[0], digits)} to {signed(scale * span[1], digits)}"
    return Cell(NONE if mean is None else signed(scale * mean, digits), ends)


def _written(value: float | None, unit: str) -> str:
    if unit == "share":
        return percent(value)
    return count(value) if unit == "rank" else significant(value, 3)


def _charts(name: str, record: Record) -> list[Chart]:
    made = {"suppression": _relearning, "honesty": _reliability, "run": _along_kl}.get(name)
    return made(record) if made else []


def _relearning(record: Record) -> list[Chart]:
    """How often it shows by steps of training."""
    names = {"after": "audited", "before": "start", "control": "never learnt it"}
    curves = []
    for side, found in part(part(record, "relearning"), "curves").items():
        pairs = [one for one in found if isinstance(one, list) and len(one) == 2] if isinstance(found, list) else []
        points = [(float(step), float(rate)) for step, rate in pairs if isinstance(rate, int | float)]
        curves.append(Curve(names.get(side, side), tuple(points), held_out=True))
    if not any(curve.points for curve in curves):
        return []
    about = (
        "How often it shows after so many steps of LoRA, on prompts that were not trained on. Where the audited model "
        "is ahead of one that never learnt it, it had not forgotten."
    )
    spec = lines(curves, y="replies that show it", x="steps of relearning", shares=True)
    return [Chart("audit-relearning", "Relearning", about, spec)]


def _reliability(record: Record) -> list[Chart]:
    """How often replies are right, by how sure the model was."""
    made = []
    for at, one in enumerate(records(record, "reliability")):
        bins = [each for each in records(one, "bins") if finite(each, "observed") is not None]
        if len(bins) > 1:
            about = f"How often answers are right, by {text(one, 'of')}. On the dashed line it means what it says."
            spec = calibration(bins, lowest=0.0, counted="answers")
            made.append(Chart(f"audit-reliability-{at}", text(one, "name"), about, spec))
    return made


def _along_kl(record: Record) -> list[Chart]:
    """What the reward and the judge say, by KL, with the fitted curves."""
    about = {
        "proxy": "What training was rewarded by, as gained over the start.",
        "judge": "What a judge that training never saw says, as gained over the start. Where this turns is where to "
        "stop.",
    }
    made = []
    for kind, title in (("judge", "Judge along KL"), ("proxy", "Reward along KL")):
        points = [dict(one) for one in records(record, "points") if text(one, "by") == kind]
        if points:
            shown = [{key: one.get(key) for key in ("series", "label", "kl", "value", "low", "high")} for one in points]
            spec = by_kl(shown, y="gain", fits=list(records(record, f"fit_{kind}")))
            made.append(Chart(f"audit-{kind}-kl", title, about[kind], spec))
    return made
