"""What stands beside a win rate: at equal length and style, by slice, flagged replies, people, other models."""

from dataclasses import dataclass
from typing import Any

from preferably.reporting.figures import NONE, count, percent, plural, signed, significant
from preferably.reporting.run_files import Record, finite, interval_of, number, part, records, text
from preferably.reporting.verdict import Verdict, bounds_of, names, word_for
from preferably.statistics.length_control import BAND

FLAGS = {
    "constant": "one reply to many prompts", "near_duplicate": "nearly one reply to many prompts",
    "empty": "empty replies", "judge_directed": "replies that speak to the judge",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figure:
    """A win rate in a table. `note` says what it rests on, or why it cannot be told."""

    name: str
    value: str
    interval: str
    bar: Verdict
    n: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Flagged:
    """Replies of one side that deserve a look."""

    name: str
    who: str
    message: str
    warns: bool
    examples: list[str]


def controlled(record: Record) -> list[Figure]:
    """The win rate as it is, at equal length and at equal style; none where the judge is a rule."""
    found = [figure for figure in (_at_equal_length(record), _at_equal_style(record)) if figure is not None]
    return [_figure("as judged", record), *found] if found else []


def _figure(name: str, record: Record, n: str = "", note: str = "") -> Figure:
    rate, span = finite(record, "win_rate"), interval_of(record)
    span = span if rate is not None else None
    written = "" if span is None else f"{percent(span[0])} to {percent(span[1])}"
    return Figure(name, percent(rate), written, Verdict(word_for(span), "", rate, span, ""), n, note)


def _at_equal_length(record: Record) -> Figure | None:
    found = part(record, "length_controlled")
    if not found:
        return None
    band = interval_of({"interval": found.get("band")})
    note = f"not sure: {text(found, 'why')}" if text(found, "why") else ""
    if band is not None:
        usual = f"{percent(band[0])} to {percent(band[1])} at the usual {BAND[0]:g} to {BAND[1]:g}"
        note = f"length counts {significant(number(found, 'influence'), 2)} nats; {usual}"
    return _figure("at equal length", found, note=note)


def _at_equal_style(record: Record) -> Figure | None:
    found = part(record, "style_controlled")
    if not found:
        return None
    weights = part(found, "weights")
    told = [f"{name} {signed(number(part(weights, name), 'weight'))}" for name in weights]
    note = f"what counts, in nats a spread: {', '.join(told)}" if told else "no headings, lists or the like"
    return _figure("at equal style", found, note=f"not sure: {text(found, 'why')}" if text(found, "why") else note)


def sliced(record: Record) -> list[tuple[str, list[Figure]]]:
    """By each column the slices in their order."""
    found: dict[str, list[Figure]] = {}
    for each in records(record, "slices"):
        few = interval_of(each) is None
        note = "differs from the overall figure" if each.get("differs") is True else "not sure: too few" if few else ""
        shown = {key: value for key, value in each.items() if not few or key != "win_rate"}
        figure = _figure(text(each, "slice") or NONE, shown, count(number(each, "n")), note)
        found.setdefault(text(each, "column"), []).append(figure)
    return list(found.items())


def by_axis(record: Record) -> list[Figure]:
    """The win rate by judges of one axis each, with the word that its interval allows."""
    found = []
    for each in records(record, "axes"):
        word = word_for(interval_of(each))
        bounds = bounds_of(each)
        missing = f"{plural(number(each, 'missing') or 0, 'verdict')} missing: {bounds}" if bounds else ""
        note = "; ".join(told for told in ("" if word == "unknown" else word, missing) if told)
        figure = _figure(text(each, "axis"), each, count(number(each, "n")), note)
        found.append(figure)
    return found


def flagged(record: Record) -> list[Flagged]:
    """The flags, those that raise a warning first; of constant answers the headline warns itself (`caveat_of`)."""
    model, against = names(record)
    found = []
    for each in records(record, "flags"):
        examples = each.get("examples")
        shown = [str(one) for one in examples] if isinstance(examples, list) else []
        kind = text(each, "kind")
        if kind == "constant" and each.get("warning") is True:
            continue
        who = against if text(each, "side") == "against" else model
        found.append(Flagged(FLAGS.get(kind, kind), who, text(each, "message"), each.get("warning") is True, shown))
    return sorted(found, key=lambda flag: not flag.warns)


def by_people(record: Record) -> list[tuple[str, Any]]:
    """What people would say, corrected by those whom they did judge, and what either says alone."""
    if not record:
        return []
    people, judge = part(record, "people"), part(record, "judge")
    rows = [
        _figure("by people, with the judge", record, count(number(judge, "n")), text(record, "doubt")),
        _figure("people alone", people, count(number(people, "n"))),
        _figure(f"{text(judge, 'name') or 'the judge'} alone", judge, count(number(judge, "n")), _off(judge)),
    ]
    if style := part(record, "style_controlled"):
        why = text(style, "why")
        rows.insert(1, _figure("by people, at equal style", style, "", f"not sure: {why}" if why else ""))
    return [(" against ".join(names(record)), rows)]


def _off(judge: Record) -> str:
    bias = finite(judge, "bias")
    return "" if bias is None else f"{signed(100 * bias, 1)} points off where both judged"


@dataclass(frozen=True, slots=True)
class Standing:
    """A model among several."""

    name: str
    strength: str
    interval: str
    group: str
    games: str


def standings(record: Record) -> list[Standing]:
    """The models of `board.json`, the strongest first."""
    groups = record.get("groups")
    place = {
        str(name): str(at)
        for at, some in enumerate(groups if isinstance(groups, list) else [], 1)
        for name in (some if isinstance(some, list) else [])
    }
    return [
        Standing(
            text(each, "name"), signed(number(each, "strength")), _ends(each), place.get(text(each, "name"), NONE),
            count(number(each, "games")),
        )
        for each in records(record, "models")
    ]  # fmt: skip


def _ends(record: Record) -> str:
    span = interval_of(record)
    return NONE if span is None else f"{signed(span[0])} to {signed(span[1])}"
