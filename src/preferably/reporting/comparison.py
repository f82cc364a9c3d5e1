"""Several runs on one page: what differs in their settings, what came out, and their curves over each other."""

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from preferably.errors import ConfigError
from preferably.reporting import result
from preferably.reporting.account import Stage, change, stage
from preferably.reporting.charts import Chart, Spec, kl_against_win_rate, lines, still
from preferably.reporting.curves import Curve, curve
from preferably.reporting.figures import NONE, plural
from preferably.reporting.page import data_block, shell, write_page
from preferably.reporting.panels import kl_point
from preferably.reporting.report import A_JUDGE, MAKES_A_WIN_RATE, warning_of, win_rate_command
from preferably.reporting.run_files import Record, RunFiles, flat, read_run, records, text
from preferably.reporting.scrutiny import Flagged, flagged
from preferably.reporting.verdict import decoding_of

COLOURS = 8  # in style.css; runs after that are grey
ITS_OWN = ("schema", "output")  # differ in every run and say nothing

# Charts: slug, title, what it says, the held-out and the training figure, the title of the axis, how it is drawn.
CHARTS: tuple[tuple[str, str, str, str, str, str, dict[str, Any]], ...] = (
    ("held-out-loss", "Held-out loss", "Losses of different methods, or of one at another beta, have no common scale.",
     "eval_loss", "", "loss", {}),
    ("loss", "Training loss", "A falling loss says nothing about the quality of answers.", "", "loss", "loss", {}),
    ("accuracy", "Preference accuracy", "Share of pairs in which the chosen answer has the higher reward. Dashed: 50%.",
     "eval_rewards/accuracies", "rewards/accuracies", "share of pairs", {"level": 0.5, "shares": True}),
    ("margins", "Margin of the implicit rewards",
     "Chosen minus rejected. It grows with beta too, not only with what is learnt.", "eval_rewards/margins",
     "rewards/margins", "mean margin", {"zero": True, "level": 0.0}),
    ("chosen", "Log-probability of the chosen answers", "Falling: probability leaves the chosen answers too.",
     "eval_logps/chosen", "logps/chosen", "log-probability (nats)", {}),
    ("kl", "Distance from the reference", "KL(policy ‖ reference) on the policy's own samples at T = 1.",
     "objective/kl", "", "KL (nats per sequence)", {"zero": True}),
    ("sample-length", "Length of the policy's samples",
     "Growth without a better answer is the best known way to please a judge.", "samples/length", "",
     "mean length (tokens)", {"zero": True}),
    ("repetition", "Repetition in the policy's samples", "Share of 4-grams that came before. A climb is collapse.",
     "samples/repetition", "", "share", {"zero": True, "percent": True}),
    ("gradient", "Gradient norm", "Before clipping.", "", "grad_norm", "gradient norm", {"zero": True}),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compared:
    """One run in the tables and in the legend."""

    name: str
    colour: str  # class of its colour in style.css
    path: str
    link: str  # to its own report, empty where it has none
    stage: Stage
    headline: result.Decoding | None
    win_rate_of: str  # "desk-dpo against desk-sft"
    kl: str  # first and last in training
    length: str
    flagged: list[Flagged]  # answers of its win rate that raise a warning
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alarm:
    """One kind of warning with what it said in each run that raised it."""

    code: str
    advice: str
    said: list[tuple[Compared, str, str]]  # run, step, message


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting, or a fact of the machine, with its value in each run."""

    name: str
    values: list[str]


def render_comparison(runs: Sequence[Path], target: Path) -> Path:
    """Writes a page that compares two or more runs to `target` and returns it.

    Raises `ConfigError` for a single run or one given twice, `DataError` for a directory that holds no run.
    """
    if len({path.resolve() for path in runs}) < max(2, len(runs)):
        raise ConfigError(f"A comparison needs two or more different runs; got {', '.join(map(str, runs))}.")
    read = [read_run(path) for path in runs]
    names = names_of([path.resolve() for path in runs])
    charts = curve_charts(read, names)
    over_kl = kl_chart(read, names)
    drawn = [*charts, *([over_kl] if over_kl else [])]
    compared = [_compared(run, name, place, target) for place, (run, name) in enumerate(zip(read, names, strict=True))]
    page = shell(["draw.js"] if drawn else []) | {
        "title": f"Comparison of {len(read)} runs",
        "runs": compared,
        "caveat": not_alike(read),
        "win_rate_command": win_rate_command(read[0]),
        "against_each_other": _against_each_other(read),
        "settings": differences([run.config for run in read]),
        "environment": differences([run.environment for run in read]),
        "alarms": alarms(compared, read),
        "quiet": [each for each, run in zip(compared, read, strict=True) if not run.warnings],
        "no_settings": [name for name, run in zip(names, read, strict=True) if not run.config],
        "charts": charts,
        "kl_chart": over_kl,
        "stills": {chart.slug: still(chart) for chart in drawn},
        "specs": data_block(drawn),
        "greys": names[COLOURS:],
    }
    return write_page(target, "comparison.html.j2", page)


def names_of(paths: Sequence[Path]) -> list[str]:
    """Of each absolute path the shortest end that no other has: `runs/one, a/dpo, b/dpo` -> `one, a/dpo, b/dpo`."""
    names = []
    for path in paths:
        ends = (path.parts[1:][-depth:] for depth in range(1, len(path.parts)))
        alone = (end for end in ends if sum(other.parts[-len(end) :] == end for other in paths) == 1)
        names.append("/".join(next(alone, ())) or str(path))
    return names


def differences(records: Sequence[Record]) -> list[Difference]:
    """What is not the same in all of `records`, in the order in which it is first found."""
    leaves = [dict(flat(record)) for record in records]
    found = []
    for name in dict.fromkeys(name for each in leaves for name in each if name not in ITS_OWN):
        exact = [json.dumps(each[name], default=str) if name in each else None for each in leaves]
        if len(set(exact)) > 1:
            written = [result.fact(each.get(name)) for each in leaves]
            alike = len(set(written)) == 1  # they differ in a digit that is not written
            found.append(Difference(name, [value or NONE for value in exact] if alike else written))
    return found


def alarms(compared: Sequence[Compared], runs: Sequence[RunFiles]) -> list[Alarm]:
    """The warnings of all runs by kind, as they are first found; of one kind, a run tells what it said first."""
    found: dict[str, Alarm] = {}
    for each, run in zip(compared, runs, strict=True):
        of_run: dict[str, list[dict[str, str]]] = {}
        for warning in map(warning_of, run.warnings):
            of_run.setdefault(warning["code"], []).append(warning)
        for code, (first, *others) in of_run.items():
            more = f" (and {plural(len(others), 'more step')}, the last {others[-1]['step']})" if others else ""
            alarm = found.setdefault(code, Alarm(code, first["advice"], []))
            alarm.said.append((each, first["step"], first["message"] + more))
    return list(found.values())


def not_alike(runs: Sequence[RunFiles]) -> str:
    """A sentence where win rates were not measured in the same way; empty where they were, or are fewer than two."""
    found = [run.win_rate for run in runs if run.win_rate]
    measured: dict[str, list[Any]] = {
        "opponent": [text(record, "against") for record in found],
        "judge": [
            (text(record, "judge"), *(text(one, "digest") for one in records(record, "judged_by"))) for record in found
        ],
        "decoding": [decoding_of(record) for record in found],
        "number of prompts": [text(record, "n") for record in found],
    }
    differing = [name for name, values in measured.items() if len(set(values)) > 1]
    if not differing:
        return ""
    return (
        f"These win rates were not measured alike ({', '.join(differing)}), so they cannot be set against each other."
    )


def curve_charts(runs: Sequence[RunFiles], names: Sequence[str]) -> list[Chart]:
    """The charts that any of the runs has points for: held-out figures where there are any, else those of training."""
    colours = {name: f"var(--{_colour(place)})" for place, name in enumerate(names)}
    charts = []
    for slug, title, help, held_out, training, axis, style in CHARTS:
        curves: list[Curve] = []
        for run, name in zip(runs, names, strict=True):
            of_held_out = curve(run.metrics, held_out, name, held_out=True)
            curves.append(of_held_out if of_held_out.points or not training else curve(run.metrics, training, name))
        if not any(line.points for line in curves):
            continue
        absent = ", ".join(line.name for line in curves if not line.points)
        told = f"{help} No points: {absent}." if absent else help
        charts.append(Chart(slug, title, told, lines(curves, y=axis, colours=colours, **style)))
    return charts


def kl_chart(runs: Sequence[RunFiles], names: Sequence[str]) -> Chart | None:
    """The headline win rate of each run by its KL."""
    points: list[Spec] = []
    for place, (run, name) in enumerate(zip(runs, names, strict=True)):
        point = kl_point(run.win_rate, name)
        if point is not None:
            points.append(point | {"colour": f"var(--{_colour(place)})"})
    help = (
        "What was gained for the distance moved. The grey point is a starting model: no distance, 50%. "
        "Lines are 95% intervals."
    )
    spec = kl_against_win_rate(points, labels="run")
    return Chart("kl-win-rate", "KL against win rate", help, spec) if points else None


def _against_each_other(runs: Sequence[RunFiles]) -> str:
    """The command that judges the second run against the first, by the judge of the first where that is a name."""
    ours, theirs = (shlex.quote(str(run.path)) for run in runs[:2])
    judge = text(runs[0].win_rate, "judge")
    return MAKES_A_WIN_RATE.format(model=theirs, against=ours, judge=shlex.quote(judge) if ":" in judge else A_JUDGE)


def _colour(place: int) -> str:
    return f"run-{place + 1}" if place < COLOURS else "second"


def _compared(run: RunFiles, name: str, place: int, target: Path) -> Compared:
    report = run.path / "report.html"
    against = text(run.win_rate, "against")
    return Compared(
        name=name,
        colour=_colour(place),
        path=str(run.path),
        link=quote(os.path.relpath(report.resolve(), target.resolve().parent)) if report.exists() else "",
        stage=stage(run),
        headline=result.headline(run),
        win_rate_of=f"against {against}" if against else "",
        kl=change(run.metrics, "objective/kl"),
        length=change(run.metrics, "samples/length"),
        flagged=[flag for flag in flagged(run.win_rate) if flag.warns],
        problems=run.problems,
    )
