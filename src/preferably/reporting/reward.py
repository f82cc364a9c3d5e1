"""What the report and the card say of a reward model, from `evaluation/reward_model.json`."""

from dataclasses import dataclass
from typing import Any

from preferably.reporting.charts import Chart, calibration
from preferably.reporting.figures import count, percent, significant
from preferably.reporting.run_files import Record, RunFiles, finite, interval_of, part
from preferably.reporting.verdict import word_for

WORDS = {"better": "Better than chance", "not separable": "Not separable from chance", "worse": "Worse than chance"}
TITLES = {
    "axes": ("Axis by axis", "axis"),
    "strength": ("By how much better the labelers called it", "strength"),
    "length": ("By how much longer the better one is", "characters"),
    "source": ("By source", "source"),
    "labeler group": ("By group of labelers, against each one's own verdicts", "group"),
    "labeler": ("By labeler, against their own verdicts", "labeler"),
    "baselines": ("What needs no model", "rule"),
}


@dataclass(frozen=True, slots=True)
class Bar:
    """What `parts.bar` draws."""

    word: str
    win_rate: float
    interval: tuple[float, float] | None


def told(run: RunFiles) -> dict[str, Any]:
    """The figures in words; empty where the reward model was not held against any verdicts."""
    record = run.reward_model
    found = part(record, "accuracy")
    accuracy, bounds = finite(found, "value"), interval_of(found)
    if accuracy is None or bounds is None:
        return {}
    baselines = part(record, "baselines")
    guesses = [(finite(one, "value") or 0.0, name) for name, one in baselines.items()]
    best, name = max(guesses, default=(0.0, ""))
    ceiling, agreement = finite(record, "ceiling"), finite(part(record, "agreement"), "value")
    return {
        "large": accuracy,
        "accuracy": percent(accuracy),
        "interval": _span(bounds),
        "pairs": count(finite(record, "pairs")),
        "word": WORDS[word_for(bounds)],
        "sentence": _sentence(bounds, name, best, ceiling, agreement),
        "facts": _facts(record),
        "tables": _tables(record),
        "calibration": _calibration(part(record, "calibration")),
    }


def calibration_chart(run: RunFiles) -> Chart | None:
    """How often the model's choice was the labelers', by how sure it was."""
    found = part(run.reward_model, "calibration")
    bins = [one for one in found.get("bins", []) if finite(one, "observed") is not None]
    if len(bins) < 2:
        return None
    about = (
        "How often labelers prefer what the model prefers, by the probability that its scores give to that. On the "
        "dashed line the scores mean what they say."
    )
    return Chart("calibration", "Calibration", about, calibration(bins), (_calibration(found),))


def _sentence(
    bounds: tuple[float, float], name: str, best: float, ceiling: float | None, agreement: float | None
) -> str:
    said = "It prefers what labelers preferred on this share of held-out pairs; equal scores count half."
    if bounds[1] < 0.5:
        said += " It prefers what they rejected: are the labels the wrong way round?"
    if best >= bounds[0]:
        said += f" \u201c{name}\u201d alone gets {percent(best)}: whether it knows more than that is not shown."
    elif name:
        said += f" The best rule without a model, \u201c{name}\u201d, gets {percent(best)}."
    if ceiling is not None:
        said += (
            f" Two labelers agree on {percent(agreement)}, so against one of them about {percent(ceiling)} is the most "
            "that can be reached."
        )
    return said


def _facts(record: Record) -> list[tuple[str, str]]:
    return [
        ("pairs", count(finite(record, "pairs"))),
        ("ties", count(finite(record, "ties"))),
        ("not read (too long)", count(finite(record, "unread"))),
        ("mean distance of scores, pairs", significant(finite(record, "margin"), 2)),
        ("the same, ties", significant(finite(record, "tied_margin"), 2)),
    ]


def _tables(record: Record) -> list[dict[str, Any]]:
    by = {"axes": part(record, "axes")} | part(record, "by") | {"baselines": part(record, "baselines")}
    tables = []
    for key, cells in by.items():
        title, name = TITLES.get(key, (f"By {key}", key))
        rows = [_row(label, cell) for label, cell in cells.items() if finite(cell, "value") is not None]
        if rows:
            tables.append({"title": title, "name": name, "rows": rows})
    return tables


def _row(name: str, cell: Record) -> dict[str, Any]:
    bounds, value = interval_of(cell), finite(cell, "value") or 0.0
    return {
        "name": name, "value": percent(value), "interval": _span(bounds) if bounds else "no interval",
        "n": count(finite(cell, "n")), "bar": Bar(word_for(bounds or (0.0, 1.0)), value, bounds),
    }  # fmt: skip


def _calibration(found: Record) -> str:
    error, after = finite(found, "error"), finite(found, "error_after")
    bounds = interval_of(found)
    if error is None or bounds is None:
        return ""
    return (
        f"Expected calibration error {percent(error)} ({_span(bounds)}); with scores divided by "
        f"{significant(finite(found, 'temperature'), 2)}, as fitted on every other pair, {percent(after)} on the rest."
    )


def _span(bounds: tuple[float, float]) -> str:
    return f"{percent(bounds[0])} to {percent(bounds[1])}"
