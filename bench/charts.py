"""Draws the frontiers in results/ as pictures for the docs: what each method reaches at which distance from its start.

python bench/charts.py      seconds; docs/frontier-stories.svg and docs/frontier-online.svg, each where its result is
"""

import json
import math
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

import vl_convert

from preferably.statistics.intervals import mean_interval

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
# Okabe and Ito's colours, which the colour-blind can tell apart, with a symbol each.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#000000")
NAMES = {
    "dpo": "DPO", "ipo-sum": "IPO", "ppo": "PPO", "rloo": "RLOO", "grpo": "GRPO", "online-dpo": "online DPO",
}  # fmt: skip
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")


def panel(points: list[dict[str, Any]], order: list[str], *, y: str, grid: list[float] | None = None) -> dict[str, Any]:
    """One chart: a line a series through its points, with intervals. Points: series, kl, value, low, high."""
    x = {
        "field": "kl", "type": "quantitative", "title": "KL from the start (nats a continuation)",
        "scale": {"type": "sqrt"}, "axis": {"grid": False, "values": [0, 1, 2, 5, 10, 20, 50, 100]},
    }  # fmt: skip
    height = {"field": "value", "type": "quantitative", "title": y, "scale": {"zero": False}}
    if grid:
        height["axis"] = {"values": grid, "format": ".2~f"}
    colour = {"field": "series", "scale": {"domain": order, "range": list(COLOURS)}, "title": None}
    shape = {"field": "series", "scale": {"domain": order, "range": list(SHAPES)}, "title": None}
    both = {"x": x, "y": height, "color": colour}
    return {
        "width": 330, "height": 250, "data": {"values": points},
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": both},
            {"mark": {"type": "rule"}, "encoding": both | {"y": {**height, "field": "low"}, "y2": {"field": "high"}}},
            {"mark": {"type": "point", "filled": True, "size": 45, "opacity": 1}, "encoding": both | {"shape": shape}},
        ],
    }  # fmt: skip


def draw(panels: list[dict[str, Any]], file: Path) -> None:
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json", "hconcat": panels, "background": "white",
        "config": {
            "view": {"stroke": None}, "axis": {"gridColor": "#e5e5e5", "domain": False, "ticks": False},
            "legend": {"orient": "top", "symbolStrokeWidth": 2},
        },
    }  # fmt: skip
    file.write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")
    print(file)


def stories(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Offline methods at several strengths: win rate over the start."""
    points = [
        {
            "series": NAMES.get(run["method"], run["method"]), "kl": run["kl"],
            "value": run["win_rate"], "low": run["interval"][0], "high": run["interval"][1],
        }
        for run in found["runs"]
    ]  # fmt: skip
    points += [
        {"series": "best of n", "kl": one["kl"], "value": one["win_rate"]}
        | dict(zip(("low", "high"), one["interval"], strict=True))
        for one in found["best_of_n"]
    ]
    order = list(dict.fromkeys(point["series"] for point in points))
    return [panel(points, order, y="win rate over the start", grid=[0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0])]


def online(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Every method at its levels, the mean of its seeds with 95%: truth, and reward."""
    levels: dict[tuple[str, float], list[dict[str, Any]]] = defaultdict(list)
    for run in found["runs"]:
        levels[NAMES.get(run["method"], run["method"]), run.get("kl_coef", run.get("beta"))].append(run)
    for one in found["best_of_n"]:
        levels["best of n", one["n"]].append(one)
    panels = []
    for what, title in (("truth", "true reward: quotation marks"), ("reward", "reward by the reward model")):
        points = [
            {"series": series, "kl": fmean(run["kl"] for run in runs)} | over_seeds([run[what] for run in runs])
            for (series, _), runs in levels.items()
        ]
        order = list(dict.fromkeys(point["series"] for point in points))
        panels.append(panel(sorted(points, key=lambda point: point["kl"]), order, y=title))
    return panels


def over_seeds(measured: list[dict[str, Any]]) -> dict[str, float]:
    """The mean of several seeds with 95%: seeds differ, by Student's t, and all are measured on the same openings."""
    means = [one["mean"] for one in measured]
    between = mean_interval(means) if len(means) > 1 else None
    openings = fmean((one["interval"][1] - one["interval"][0]) / 2 for one in measured)
    half = math.hypot(openings, (between.high - between.low) / 2 if between else 0.0)
    return {"value": fmean(means), "low": fmean(means) - half, "high": fmean(means) + half}


def main() -> None:
    for name, panels_of in (("stories", stories), ("online", online)):
        file = HERE / "results" / f"{name}_frontier.json"
        if file.exists():
            draw(panels_of(json.loads(file.read_text(encoding="utf-8"))), DOCS / f"frontier-{name}.svg")


if __name__ == "__main__":
    main()
