"""Vega-Lite charts as plain records. Colours are CSS variables of the page: charts follow its light or dark mode.

`Chart.spec` is drawn in the browser; `still(chart)` draws the same chart here, for readers without JavaScript.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import vl_convert
from markupsafe import Markup

from preferably.reporting.curves import Curve

Spec = dict[str, Any]

ACCENT, GREY, INK, FAINT = "var(--accent)", "var(--second)", "var(--ink)", "var(--rule)"
FEW = 10  # steps that are all named on the axis
WIDTH, HEIGHT = 430, 170  # of the still; in the browser a chart is as wide as its column
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"

_CONFIG: Spec = {
    "background": None,
    "font": FONT,
    "padding": 2,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--quiet)", "titleColor": "var(--quiet)", "labelFontSize": 11, "titleFontSize": 11,
        "titleFontWeight": "normal", "domainColor": FAINT, "tickColor": FAINT, "gridColor": FAINT, "gridWidth": 0.6,
        "tickSize": 4, "labelPadding": 4, "titlePadding": 6,
    },
    "axisX": {"grid": False, "tickCount": 6, "labelFlush": False},
    "axisY": {"domain": False, "ticks": False, "tickCount": 4, "minExtent": 34},
    "legend": {
        "orient": "top", "title": None, "labelColor": INK, "labelFontSize": 11, "symbolStrokeWidth": 2.5, "offset": 4,
        "symbolType": "stroke", "symbolSize": 140, "symbolOpacity": 1,
        "padding": 0, "labelLimit": 220, "columnPadding": 14,
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with what a reader needs beside it. `slug` is unique on the page."""

    slug: str
    title: str
    help: str
    spec: Spec
    notes: tuple[str, ...] = ()


def lines(
    curves: Sequence[Curve],
    *,
    y: str,
    x: str = "optimizer step",
    zero: bool = False,
    level: float | None = None,
    marks: Sequence[int] = (),
    shares: bool = False,
    percent: bool = False,
    band: Sequence[tuple[float, float, float]] = (),
    colours: Mapping[str, str] | None = None,
) -> Spec:
    """Curves over steps: training thin, held-out strong with points; the first curve's colour is the accent.

    `shares` draws the whole of 0 to 100%, `percent` as much of it as is needed. `level` is a dashed line to compare
    with, `marks` are steps ticked at the foot (no finite loss), `band` is (step, low, high) around a curve. `colours`
    by name are those of a legend that the page has for all charts, so that this one draws none.
    """
    drawn = [line for line in curves if line.points]
    names = list(dict.fromkeys(line.name for line in drawn))
    range_ = [_colour(name) if colours is None else colours[name] for name in names]
    scale: Spec = {"domain": names, "range": range_}
    color: Spec = {"field": "curve", "type": "nominal", "scale": scale}
    if colours is not None or (len(names) == 1 and not marks):
        color["legend"] = None
    x_axis: Spec = {
        "field": "x", "type": "quantitative", "title": x, "scale": {"nice": False}, "axis": {"tickMinStep": 1},
    }  # fmt: skip
    steps = sorted({int(at) for line in drawn for at, _ in line.points})
    if steps and steps[-1] - steps[0] < FEW:  # between whole steps there is nothing
        x_axis["axis"] |= {"values": list(range(steps[0], steps[-1] + 1)), "format": "d"}
    y_axis: Spec = {"field": "y", "type": "quantitative", "title": y, "scale": {"zero": zero}}
    if percent:
        y_axis["axis"] = {"format": ".1~%"}
    if shares:
        y_axis |= {"scale": {"domain": [0, 1]}, "axis": {"format": ".0%", "values": [0, 0.25, 0.5, 0.75, 1]}}
    encoding = {"x": x_axis, "y": y_axis, "color": color}
    values = [_row(line, at, value) for line in drawn for at, value in line.points]
    layers: list[Spec] = []
    if level is not None:
        layers.append(_rule(level))
    if band:
        layers.append(_band(band, x_axis, y_axis))
    if any(not line.held_out for line in drawn):
        layers.append(_layer("line", {"strokeWidth": 1, "opacity": 0.8}, encoding, held_out=False))
    if any(line.held_out for line in drawn):
        layers.append(_layer("line", {"strokeWidth": 2}, encoding, held_out=True))
        layers.append(_layer("point", {"filled": True, "size": 22, "opacity": 1}, encoding, held_out=True))
    if marks:
        layers.append(_foot(marks, x_axis))
    layers.append(_hover(encoding, [("curve", "curve", ""), ("x", x, ",d"), ("y", y, ".4~g")]))
    return _spec(layers, values)


def calibration(bins: Sequence[Spec], *, lowest: float = 0.5, counted: str = "pairs") -> Spec:
    """Bins of `predicted` (from `lowest` to 1), `observed` and `n` beside the diagonal; larger points stand for more
    predictions, which are `counted`.
    """
    axis: Spec = {"format": ".0%"}
    least = min(max(0.0, lowest - 0.1), *(one["observed"] for one in bins))
    x: Spec = {
        "field": "predicted", "type": "quantitative", "title": "stated", "axis": axis,
        "scale": {"domain": [lowest, 1.0], "nice": False},
    }  # fmt: skip
    y: Spec = {
        "field": "observed", "type": "quantitative", "title": "came true", "axis": axis,
        "scale": {"domain": [least, 1.0], "nice": False},
    }  # fmt: skip
    ends = {"values": [{"predicted": lowest, "observed": lowest}, {"predicted": 1.0, "observed": 1.0}]}
    size = {"field": "n", "type": "quantitative", "scale": {"range": [15, 90], "zero": True}, "legend": None}
    shown = [("predicted", "stated", ".1%"), ("observed", "came true", ".1%"), ("n", counted, ",d")]
    tooltip = [{"field": field, "title": title, "format": form} for field, title, form in shown]
    diagonal: Spec = {"type": "line", "strokeDash": [3, 3], "color": INK, "strokeWidth": 1}
    point: Spec = {"type": "point", "filled": True, "color": ACCENT, "opacity": 1}
    layers: list[Spec] = [
        {"data": ends, "mark": diagonal, "encoding": {"x": x, "y": y}},
        {"mark": {"type": "line", "color": ACCENT, "strokeWidth": 1.5}, "encoding": {"x": x, "y": y}},
        {"mark": point, "encoding": {"x": x, "y": y, "size": size, "tooltip": tooltip}},
    ]
    return _spec(layers, [{name: one[name] for name in ("predicted", "observed", "n")} for one in bins])


def by_kl(points: Sequence[Spec], *, y: str, fits: Sequence[Spec] = ()) -> Spec:
    """What several ways reach at which distance: a line through the points of each `series`, in the order of its KL.

    Each point: `kl`, `value`, and `low`, `high` and `label` where they are known. The first series has the accent.
    Where there are `fits` (`series`, `kl`, `value`), dashed curves take the place of the lines.
    """
    names = list(dict.fromkeys(point["series"] for point in points))
    x: Spec = {"field": "kl", "type": "quantitative", "title": "KL from the reference (nats per sequence)",
               "scale": {"zero": True}}  # fmt: skip
    height: Spec = {"field": "value", "type": "quantitative", "title": y, "scale": {"zero": False}}
    scale: Spec = {"domain": names, "range": [ACCENT, INK, GREY][: len(names)]}
    color: Spec = {"field": "series", "type": "nominal", "scale": scale}
    if len(names) == 1:
        color["legend"] = None
    both = {"x": x, "y": height, "color": color}
    bars = {"x": x, "y": {**height, "field": "low"}, "y2": {"field": "high"}, "color": color}
    layers: list[Spec] = [
        {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": both}
        if not fits
        else {
            "data": {"values": list(fits)},
            "mark": {"type": "line", "strokeWidth": 1.2, "strokeDash": [4, 3]},
            "encoding": both,
        },
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "strokeWidth": 1.2},
            "encoding": bars,
        },
        {"mark": {"type": "point", "filled": True, "size": 34, "opacity": 1}, "encoding": both},
        _hover(
            both, [("series", "what", ""), ("label", "point", ""), ("kl", "KL (nats)", ".3~g"), ("value", y, ".3~f")]
        ),
    ]
    return _spec(layers, list(points))


def kl_against_win_rate(
    points: Sequence[Spec], *, labels: str = "decoding", joined: Sequence[Spec] = (), root: bool = False,
    floor: float = 0.0, names: str = "label",
) -> Spec:  # fmt: skip
    """Win rates by KL; `labels` says what they are called by, `joined` are points with a line through them.

    `root` draws KL on a square-root scale, as gains at a small KL and excesses at a large one share a sweep; `floor`
    is where the axis of win rates begins. `names` is the field that is written beside the points.

    Each point: `kl`, `kl_low`, `kl_high`, `win_rate`, `low`, `high`, `label`, its height `label_at`, its `side` (left,
    right) and, unless it is the accent, its `colour`.
    """
    x: Spec = {
        "field": "kl", "type": "quantitative", "title": "KL from the reference (nats per sequence)",
        "scale": {"zero": True, **({"type": "sqrt"} if root else {})},
    }  # fmt: skip
    y: Spec = {
        "field": "win_rate", "type": "quantitative", "title": "win rate", "scale": {"domain": [floor, 1]},
        "axis": {"format": ".0%", "values": [0, 0.25, 0.5, 0.75, 1]},
    }  # fmt: skip
    start = {
        "kl": 0, "kl_low": 0, "kl_high": 0, "win_rate": 0.5, "low": 0.5, "high": 0.5, "label": "start", names: "start",
        "label_at": 0.56, "side": "left", "colour": GREY,
    }  # fmt: skip
    color = {"field": "colour", "type": "nominal", "scale": None}
    both = {"x": x, "y": y, "color": color}
    sides = {start["side"], *(point.get("side") for point in points)}  # a layer without rows is warned of
    layers: list[Spec] = [
        _rule(0.5, y["scale"]),
        *([{"data": {"values": [start, *joined]}, "mark": {"type": "line", "strokeWidth": 1, "color": ACCENT},
            "encoding": {"x": x, "y": y}}] if joined else []),
        {"mark": {"type": "rule", "strokeWidth": 1.5},
         "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": color}},
        {"mark": {"type": "rule", "strokeWidth": 1.5},
         "encoding": {"x": {**x, "field": "kl_low"}, "x2": {"field": "kl_high"}, "y": y, "color": color}},
        {"mark": {"type": "point", "filled": True, "size": 55, "opacity": 1}, "encoding": both},
        *(_labels(side, away, x, y, names) for side, away in (("left", 9), ("right", -9)) if side in sides),
        _hover(both, [("label", labels, ""), ("kl", "KL (nats)", ".3~g"), ("win_rate", "win rate", ".1%"),
                      ("low", "from", ".1%"), ("high", "to", ".1%")]),
    ]  # fmt: skip
    return _spec(layers, [start, *({"colour": ACCENT} | point for point in points)])


def histogram(bars: Sequence[Spec], *, unit: str, sides: tuple[str, str]) -> Spec:
    """Two histograms over the same bins. Each bar: `low`, `high`, `count`, `side`."""
    x: Spec = {
        "field": "low",
        "type": "quantitative",
        "title": f"length of an answer ({unit})",
        "scale": {"nice": False},
    }
    y: Spec = {
        "field": "count",
        "type": "quantitative",
        "title": "answers",
        "scale": {"zero": True},
        "axis": {"tickMinStep": 1, "format": ",d"},
    }
    color = {"field": "side", "type": "nominal", "scale": {"domain": list(sides), "range": [ACCENT, GREY]}}
    encoding = {"x": x, "x2": {"field": "high"}, "y": y, "y2": {"datum": 0}, "color": color}
    outline: Spec = {"mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 1.5}, "encoding": {
        "x": x, "y": y, "color": color,
    }}  # fmt: skip
    bar: Spec = {"mark": {"type": "rect", "opacity": 0.18}, "encoding": encoding}
    hover = _hover(
        encoding, [("side", "side", ""), ("low", "from", ",d"), ("high", "to", ",d"), ("count", "answers", ",d")]
    )
    hover["mark"] = {"type": "rect", "opacity": 0}
    return _spec([bar, outline, hover], list(bars))


def still(chart: Chart) -> Markup:
    """The chart as SVG, drawn without a browser. Ids are made unique: many charts share one page."""
    spec = {
        **chart.spec,
        "width": WIDTH,
        "layer": [layer for layer in chart.spec["layer"] if layer.get("name") != "hover"],
    }
    svg: str = vl_convert.vegalite_to_svg(spec)
    svg = re.sub(r'(id="|url\(#)(?=[a-z]+\d+)', rf"\g<1>{chart.slug}-", svg)
    svg = re.sub(r' aria-(roledescription|label|hidden)="[^"]*"| role="[^"]*"', "", svg)
    return Markup(svg.replace('version="1.1" class="marks"', 'class="still" aria-hidden="true"', 1))


@cache
def library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, safe inside a `script` element."""
    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return re.sub(r"<(?=/script|!--|script)", r"\\x3c", script, flags=re.IGNORECASE)


def _spec(layers: list[Spec], values: list[Spec]) -> Spec:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "config": _CONFIG, "width": "container", "height": HEIGHT, "autosize": {"type": "fit-x", "contains": "padding"},
        "data": {"values": values}, "layer": layers,
    }  # fmt: skip


def _colour(name: str) -> str:
    if name.startswith(("rejected", "training", "before", "never")):
        return GREY
    return INK if name in ("margin", "empty", "start") else ACCENT


def _row(line: Curve, at: float, value: float) -> Spec:
    return {"x": int(at), "y": float(f"{value:.5g}"), "curve": line.name, "held_out": line.held_out}


def _layer(mark: str, style: Spec, encoding: Spec, *, held_out: bool) -> Spec:
    return {
        "transform": [{"filter": f"datum.held_out === {'true' if held_out else 'false'}"}],
        "mark": {"type": mark, **style},
        "encoding": encoding,
    }


def _labels(side: str, away: int, x: Spec, y: Spec, names: str) -> Spec:
    return {
        "transform": [{"filter": f"datum.side === '{side}'"}],
        "mark": {
            "type": "text",
            "align": side,
            "baseline": "middle",
            "dx": away,
            "dy": -9,
            "fontSize": 11,
            "color": INK,
        },
        "encoding": {"x": x, "y": {**y, "field": "label_at"}, "text": {"field": names}},
    }


def _rule(level: float, scale: Spec | None = None) -> Spec:
    return {
        "data": {"values": [{"level": level}]},
        "mark": {"type": "rule", "strokeDash": [3, 3], "color": "var(--quiet)"},
        "encoding": {"y": {"field": "level", "type": "quantitative", **({"scale": scale} if scale else {})}},
    }


def _band(band: Sequence[tuple[float, float, float]], x: Spec, y: Spec) -> Spec:
    return {
        "data": {"values": [{"x": int(at), "low": low, "high": high} for at, low, high in band]},
        "mark": {"type": "area", "opacity": 0.16, "color": ACCENT},
        "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
    }


def _foot(marks: Sequence[int], x: Spec) -> Spec:
    return {
        "data": {"values": [{"x": step} for step in marks]},
        "mark": {"type": "tick", "orient": "vertical", "thickness": 1.5, "size": 9, "color": INK},
        "encoding": {"x": x, "y": {"value": HEIGHT - 5}},
    }


def _hover(encoding: Spec, fields: Sequence[tuple[str, str, str]]) -> Spec:
    tooltip = [
        {"field": name, "title": title, **({"format": form, "type": "quantitative"} if form else {"type": "nominal"})}
        for name, title, form in fields
    ]
    return {
        "name": "hover",
        "mark": {"type": "point", "opacity": 0, "size": 160},
        "encoding": {**encoding, "tooltip": tooltip},
    }
