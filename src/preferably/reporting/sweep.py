"""A sweep on one page: win rate against KL, which point to take and why, every run in a table."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from preferably.reporting import result
from preferably.reporting.charts import ACCENT, GREY, Chart, Spec, kl_against_win_rate, still
from preferably.reporting.figures import NONE, percent, significant
from preferably.reporting.page import data_block, shell, write_page
from preferably.reporting.panels import kl_point
from preferably.reporting.run_files import Record, finite, part, text
from preferably.reporting.visible import plain


@dataclass(frozen=True, slots=True)
class Row:
    """One run of the sweep in the table."""

    number: str  # by which the chart calls it
    values: list[str]  # of the settings that are swept
    link: str  # to the run's own report, empty where it has none
    win_rate: str
    interval: str
    kl: str
    warnings: str  # of training
    flags: str  # of the replies
    mark: str  # taken, frontier, or nothing
    reason: str  # why it failed


def render_sweep(directory: Path, record: Record) -> Path:
    """Writes `directory/sweep.html` from the contents of `sweep.json` and returns its path."""
    points = [point for point in record.get("points", []) if isinstance(point, dict)]
    names = list(part(record, "grid"))
    chart = _chart(points, record)
    found = part(record, "recommendation")
    taken = next(
        (point for point in points if text(found, "path") and text(point, "path") == text(found, "path")), None
    )
    shared = part(record, "options") | part(record, "evaluation")
    page = shell(["draw.js"] if chart else []) | {
        "title": f"Sweep · {plain(directory.resolve().name)}",
        "subtitle": [f"{text(record, 'method')} of {text(record, 'model')}", f"judged by {text(record, 'judge')}"],
        "taken": _name(taken) if taken else "",
        "reason": text(found, "reason"),
        "hints": [str(hint) for hint in found.get("hints", [])],
        "names": names,
        "rows": [_row(str(n), point, names, record, directory) for n, point in enumerate(points, start=1)],
        "chart": chart,
        "still": still(chart) if chart else "",
        "specs": data_block([chart] if chart else []),
        "options": [(name, result.fact(value)) for name, value in shared.items()],
        "path": str(directory / "sweep.json"),
    }  # fmt: skip
    return write_page(directory / "sweep.html", "sweep.html.j2", page)


def _chart(points: list[Record], record: Record) -> Chart | None:
    front = record.get("frontier", [])
    drawn: list[Spec] = []
    for number, point in enumerate(points, start=1):
        kl = {"mean": point.get("kl"), "se": point.get("kl_se")}
        made = kl_point({**point, "kl": kl}, f"{number}: {_name(point)}")
        if made is not None:
            path = text(point, "path")
            drawn.append(made | {"colour": ACCENT if path in front else GREY, "path": path, "number": str(number)})
    if not drawn:
        return None
    labelled = [point for point in drawn if point["path"] in front]
    for point in labelled:
        point |= {"label_at": point["win_rate"], "side": "left"}
    joined = sorted(labelled, key=lambda point: float(point["kl"]))
    help = (
        "What each run gained for the distance that it moved; numbers are those of the table. Coloured and joined: no "
        "other run wins more at no more KL. Grey: the others, and the starting model. Lines are 95% intervals; the "
        "scale of KL is a square root."
    )
    lowest = min(0.5, *(float(point["low"]) for point in drawn))
    floor = max(0.0, int(10 * lowest - 0.5) / 10)
    spec = kl_against_win_rate(drawn, labels="run", names="number", joined=joined, root=True, floor=floor)
    return Chart("frontier", "Win rate against KL", help, spec)


def _name(point: Record) -> str:
    return ", ".join(f"{key} {_value(value)}" for key, value in part(point, "settings").items())


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _row(number: str, point: Record, names: list[str], record: Record, directory: Path) -> Row:
    settings = part(point, "settings")
    path = text(point, "path")
    report = Path(path) / "report.html"
    interval = point.get("interval")
    mark = "frontier" if path in record.get("frontier", []) else ""
    error = finite(point, "kl_se")
    kl = finite(point, "kl")
    return Row(
        number=number,
        values=[_value(settings.get(name, NONE)) for name in names],
        link=quote(os.path.relpath(report.resolve(), directory.resolve())) if report.exists() else "",
        win_rate=percent(finite(point, "win_rate")) if point.get("win_rate") is not None else NONE,
        interval=f"{percent(interval[0])} to {percent(interval[1])}" if interval else "",
        kl=NONE if kl is None else significant(kl, 3) + ("" if error is None else f" ± {significant(1.96 * error, 2)}"),
        warnings=", ".join(str(code).replace("_", " ") for code in point.get("warnings", [])),
        flags=", ".join(str(kind).replace("_", " ") for kind in point.get("flags", [])),
        mark="take" if path and path == text(part(record, "recommendation"), "path") else mark,
        reason=text(point, "reason"),
    )
