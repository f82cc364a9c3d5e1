"""What the evaluations say: the headline, the other decodings, the axes, readiness and preference accuracy."""

from dataclasses import dataclass
from typing import Any

from preferably.reporting.figures import NONE, count, decimal, difference_in_points, percent, signed, significant
from preferably.reporting.run_files import Record, RunFiles, finite, flat, number, part, records, text
from preferably.reporting.verdict import Verdict, bounds_of, caveat_of, counts_of, decoding_of, kl_of, verdict_of

FELL = 0.01  # an axis that loses this share or more is named beside the headline

# Axes of which less is better, and measures that are a mean per answer although they may lie between 0 and 1.
LOWER_IS_BETTER = ("malformed", "repetition", "duplicate")
PER_ANSWER = ("malformed", "words", "length", "tokens", "sentences", "characters")


@dataclass(frozen=True, slots=True)
class Decoding:
    """One row of win rates: how answers were sampled and what came out."""

    label: str
    verdict: Verdict
    decoding: str
    judge: str
    counts: list[tuple[str, str]]
    kl: str
    length: str
    caveat: str
    bounds: str  # what missing verdicts could make of it; empty where none is missing


@dataclass(frozen=True, slots=True)
class Axis:
    """One row before and after. `direction` is up, down or same; `good` says whether that is wanted, if known."""

    name: str
    note: str
    before: str
    after: str
    difference: str
    direction: str
    good: bool | None
    fell: bool


def headline(run: RunFiles) -> Decoding | None:
    """The win rate that the page opens with."""
    return _decoding("headline", run.win_rate) if run.win_rate else None


def decodings(run: RunFiles) -> list[Decoding]:
    """All win rates, the headline first, then by temperature; one against another model than the headline's says so."""
    usual = text(run.win_rate, "against")
    others = sorted(run.other_win_rates.items(), key=lambda item: (_temperature(item[1]), item[0]))
    first = [_decoding("headline", run.win_rate)] if run.win_rate else []
    return first + [_decoding(label, record, usual) for label, record in others]


def _temperature(record: Record) -> float:
    return finite(part(record, "decoding"), "temperature") or 0.0


def _decoding(label: str, record: Record, usual: str = "") -> Decoding:
    against = text(record, "against")
    other = f", against {against}" if usual and against != usual else ""
    length = part(record, "length")
    pair = (number(length, "against"), number(length, "model"))
    return Decoding(
        label=label,
        verdict=verdict_of(record),
        decoding=decoding_of(record) + other,
        judge=judge_of(record) or NONE,
        counts=counts_of(record),
        kl=kl_of(record),
        length=" → ".join(significant(value, 3) for value in pair) if pair != (None, None) else NONE,
        caveat=caveat_of(record),
        bounds=bounds_of(record),
    )


def judge_of(record: Record) -> str:
    """Who decided: the judge as it was named, with the models that it asks."""
    name, models = text(record, "judge"), [text(one, "model") for one in records(record, "judged_by")]
    asked = " + ".join(model for model in models if model and model != name)
    return f"{name} ({asked})" if asked else name


def axes(run: RunFiles) -> list[Axis]:
    """The axes of the judge, then what shows whether the form of the answers changed."""
    rows = {name: value for name, value in run.axes.items() if isinstance(value, dict)}
    last = {name: value for name, value in rows.items() if _is(name, LOWER_IS_BETTER)}
    form = {
        "duplicates (prompts that got the commonest answer)": part(run.win_rate, "duplicates"),
        "mean length (words)": {} if "words" in rows else part(run.win_rate, "length"),
    }
    ordered = {name: value for name, value in rows.items() if name not in last} | last
    return [_axis(name, value) for name, value in (ordered | form).items() if value]


def _is(name: str, kinds: tuple[str, ...]) -> bool:
    return any(kind in name.lower() for kind in kinds)


def _axis(name: str, record: Record) -> Axis:
    before, after = number(record, "against"), number(record, "model")
    known = [value for value in (before, after) if value is not None]
    share = not _is(name, PER_ANSWER) and all(0 <= value <= 1 for value in known)
    lower, neutral = _is(name, LOWER_IS_BETTER), name == "words" or _is(name, ("length",))
    change = None if before is None or after is None else after - before
    written = difference_in_points(after, before) if share else signed(change)
    same = change is None or not written.startswith(("+", "−"))
    up = change is not None and change > 0
    return Axis(
        name=name.replace("_", " "),
        note=("lower is better" if lower else "") + (", " if lower and not share else "") + _unit(name, share),
        before=percent(before) if share else decimal(before),
        after=percent(after) if share else decimal(after),
        difference=written,
        direction="same" if same else "up" if up else "down",
        good=None if same or neutral else up != lower,
        fell=share and not lower and change is not None and change <= -FELL,
    )


def _unit(name: str, share: bool) -> str:
    return "" if share or "(" in name else "mean per answer"


def fallen(rows: list[Axis]) -> list[Axis]:
    """The axes that got worse by `FELL` or more: a win rate alone would hide them."""
    return [row for row in rows if row.fell]


def facts(record: Record) -> list[tuple[str, str]]:
    """The contents of a small evaluation as (name, figure), intervals from where to where."""
    return [
        (name.replace("_", " ").replace(".", " · "), fact(value, interval=name.endswith(("interval", "bounds"))))
        for name, value in flat(record) if name != "schema"
    ]  # fmt: skip


def readiness(record: Record) -> list[tuple[str, str]]:
    """`readiness.json` in words, each share with the limit that it is held to; unknown keys stay as they are."""
    limits, rest = part(record, "limits"), dict(record)
    rows = [("verdict", text(record, "verdict"))] if rest.pop("verdict", None) else []
    for key in ("reasons", "ready", "limits"):  # told by the verdict and beside the shares
        rest.pop(key, None)
    counted = [key for key in ("prompts", "replies", "unjudged") if rest.pop(key, None) is not None]
    rows += [(key, count(finite(record, key))) for key in counted]
    pass_at = part(record, "pass_at")
    for tries in pass_at:
        limit = finite(limits, "right") if tries == list(pass_at)[-1] else None
        rows.append((f"right, best of {tries}", _held_to("at least", finite(pass_at, tries), limit)))
    rest.pop("pass_at", None)
    for key in ("unfinished", "empty", "looping", "off_format"):
        if finite(rest, key) is not None:
            rows.append((key.replace("_", " "), _held_to("at most", finite(rest, key), finite(limits, key))))
        rest.pop(key, None)
    if finite(rest, "held_out_loss") is not None:
        rows.append(("held-out loss", f"{significant(finite(rest, 'held_out_loss'))} nats per token"))
    rest.pop("held_out_loss", None)
    return rows + facts(rest)


def _held_to(bound: str, value: float | None, limit: float | None) -> str:
    return percent(value) + ("" if limit is None else f" (ready: {bound} {percent(limit, 0)})")


def fact(value: Any, *, interval: bool = False) -> str:
    """A value of JSON or YAML as a person writes it; two bounds as from where to where."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return (
            str(value) if isinstance(value, int) and abs(value) < 10_000 else significant(number({"n": value}, "n"), 6)
        )
    if interval and isinstance(value, list) and len(value) == 2 and all(isinstance(one, float) for one in value):
        return f"{significant(value[0])} to {significant(value[1])}"
    if isinstance(value, list):
        return ", ".join(fact(item) for item in value[:40]) + (", …" if len(value) > 40 else "") or "none"
    return str(value)
