"""The report of a run: one HTML file that needs no network, and no JavaScript to be read."""

import shlex
from pathlib import Path
from typing import Any

from preferably.reporting import audits, panels, result, reward, scrutiny, yours
from preferably.reporting.account import account, data_of, key_settings, method_of, model_of, origins, row_of, stage
from preferably.reporting.charts import still
from preferably.reporting.curves import bad_steps
from preferably.reporting.figures import count
from preferably.reporting.page import data_block, shell, write_page
from preferably.reporting.run_files import Record, RunFiles, flat, number, read_run, text
from preferably.reporting.samples import samples, tally
from preferably.reporting.visible import plain

MAKES_A_WIN_RATE = "preferably evaluate --model {model} --against {against} --judge {judge}"
MAKES_AN_ACCURACY = "preferably evaluate --reward-model {model} --data COMPARISONS"
A_JUDGE = "rules.py:score"  # stands for the user's own
MAKES_A_REPORT = "preferably report {run}"


def render_report(run: Path, *, title: str | None = None) -> Path:
    """Writes `run/report.html` from the files in `run` and returns its path.

    The runs that it came of are lines of the table of what was trained on what.
    """
    read = read_run(run)
    return write_page(run / "report.html", "page.html.j2", _page(read, origins(read), title))


def _page(run: RunFiles, earlier: list[RunFiles], title: str | None) -> dict[str, Any]:
    curves = panels.curve_charts(run)
    kl, lengths, calibration = panels.kl_chart(run), panels.length_chart(run), reward.calibration_chart(run)
    along = [chart for chart in (panels.reward_chart(run), panels.truth_chart(run)) if chart is not None]
    audited = audits.told(run)
    drawn = [chart for audit in audited for chart in audit.charts]
    charts = [chart for chart in (*curves, *along, kl, lengths, calibration, *drawn) if chart is not None]
    axes = result.axes(run)
    method = row_of(run)
    return shell(["draw.js"] if charts else []) | {
        "title": plain(title or title_of(run)),
        "run": run,
        "method": method,
        "subtitle": subtitle_of(run),
        "state": _state(run),
        "specs": data_block(charts),
        "stills": {chart.slug: still(chart) for chart in charts},
        "reward": reward.told(run),
        "headline": result.headline(run),
        "decodings": result.decodings(run),
        "controlled": scrutiny.controlled(run.win_rate),
        "sliced": scrutiny.sliced(run.win_rate),
        "axis_rates": scrutiny.by_axis(run.win_rate),
        "audits": audited,
        "flagged": scrutiny.flagged(run.win_rate),
        "by_people": scrutiny.by_people(run.people),
        "standings": scrutiny.standings(run.board),
        "yours": yours.told(run.your_label),
        "win_rate_command": win_rate_command(run),
        "report_command": MAKES_A_REPORT.format(run=shlex.quote(str(run.path))),
        "warnings": [warning_of(record) for record in run.warnings],
        "bad_steps": bad_steps(run.metrics),
        "axes": axes,
        "fallen": result.fallen(axes),
        "stages": [*(stage(other) for other in earlier), stage(run, this=True)],
        "data_name": data_of(run),
        "key_settings": key_settings(run),
        "account": account(run),
        "curves": curves,
        "not_drawn": panels.not_drawn(run, curves),
        "kl_chart": kl,
        "reward_charts": along,
        "length_chart": lengths,
        "calibration_chart": calibration,
        "readiness": result.readiness(run.readiness),
        "preference_accuracy": result.facts(run.preference_accuracy),
        "samples": samples(run),
        "tally": tally(run),
        "config": _rows(run.config),
        "environment": _rows(run.environment),
    }


def win_rate_command(run: RunFiles) -> str:
    """The command that writes the win rate that a run lacks, or the accuracy of a reward model."""
    model, against = (shlex.quote(plain(name)) for name in (str(run.path), model_of(run) or "STARTING_MODEL"))
    if (row := row_of(run)) is not None and row.scores:
        return MAKES_AN_ACCURACY.format(model=model)
    return MAKES_A_WIN_RATE.format(model=model, against=against, judge=A_JUDGE)


def title_of(run: RunFiles) -> str:
    """`DPO · night-3`; where the directory is called like the method, with the one above it: `DPO · night-3/dpo`."""
    method, place = method_of(run), run.path.resolve()
    name = f"{place.parent.name}/{place.name}" if place.name.lower() == method.lower() else run.name
    return f"{method.upper() or 'Run'} · {name}"


def subtitle_of(run: RunFiles) -> list[str]:
    """What it started from, rows, steps, time: as far as the files say."""
    this = stage(run)
    told = [f"from {model_of(run)}"] if model_of(run) else []
    if run.data:
        told.append(f"{this.rows} rows trained on")
    if run.status:
        told.append(f"{this.steps} steps")
    return [*told, this.time] if run.timing else told


def _state(run: RunFiles) -> str:
    """A sentence where the run did not simply finish; empty where it did."""
    status = run.status
    state, reason = text(status, "state"), text(status, "reason").rstrip(".")
    step, total = number(status, "step"), number(status, "total_steps")
    if state == "running" and run.metrics:  # status.json is written when a run begins and ends
        step = number(run.metrics[-1], "step")
    at = f" at step {count(step)}" + (f" of {count(total)}" if total is not None else "") if step is not None else ""
    why = f": {reason}." if reason else "."
    return {
        "finished": "",
        "running": f"This page was written while the run was still going{at}. Figures below are of that moment.",
        "stopped": f"Stopped{at}{why} Figures below are of the part that ran.",
        "failed": f"Failed{at}{why} Figures below are of the part that ran.",
        "": "No status.json: whether the run finished is not known.",
    }.get(state, f"State {state!r}{at}{why}")


def warning_of(record: Record) -> dict[str, str]:
    """A line of warnings.jsonl as a page tells it."""
    step = number(record, "step")
    return {
        "step": "" if step is None else f"step {count(step)}",
        "code": text(record, "code").replace("_", " ") or "warning",
        "message": text(record, "message"),
        "advice": text(record, "advice"),
    }


def _rows(record: Record) -> list[tuple[str, str]]:
    return [(name, result.fact(value)) for name, value in flat(record) if name != "schema"]
