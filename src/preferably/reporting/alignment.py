"""A whole job on one page: what it came to, round by round, and what to read before believing it. From `align.json` and
the run directories that it names."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from preferably.reporting import audits, result
from preferably.reporting.account import Stage, stage
from preferably.reporting.audits import Told
from preferably.reporting.charts import still
from preferably.reporting.figures import NONE, count, duration, percent, plural, significant
from preferably.reporting.in_short import in_short
from preferably.reporting.judges import crowds, judge_in_words, judges
from preferably.reporting.labelers import Labelers, labelers_of, said, time_of
from preferably.reporting.page import data_block, shell, write_page
from preferably.reporting.report import warning_of
from preferably.reporting.rounds import charts as round_charts
from preferably.reporting.rounds import fit_of, roads_of
from preferably.reporting.run_files import Record, RunFiles, finite, flat, part, read_object, read_run, records, text
from preferably.reporting.samples import Sample, samples
from preferably.reporting.scrutiny import Flagged, flagged
from preferably.reporting.shortcomings import shortcomings
from preferably.reporting.verdict import Verdict, kl_of, verdict_of, word_for
from preferably.reporting.visible import plain

SHOWN = 6  # samples of each last model; its own page has more


@dataclass(frozen=True, slots=True)
class Made:
    """One policy of one round, in the tables and, if it is the last of its road, at the top."""

    name: str  # the road, with its round where there are several
    link: str
    run: RunFiles
    quality: Verdict | None
    n: str
    kl: str
    length: str
    fit: tuple[str, tuple[str, ...]]  # how well it learnt its data, and what that figure is of
    over_previous: Verdict | None
    first: bool  # of its road: there is no round before
    headline: result.Decoding | None
    flagged: list[Flagged]
    samples: list[Sample]
    audits: list[Told]
    place: str  # tells what is of this policy from what is of others, on the page


@dataclass(frozen=True, slots=True)
class Done:
    """One stage in the table of all."""

    name: str
    state: str
    time: str
    digest: str
    link: str
    command: str


def render_alignment(directory: Path, record: Record) -> Path:
    """Writes `directory/report.html` from the contents of `align.json` and returns its path; `ConfigError` where that
    cannot be."""
    rounds = [{"round": 1, "road": ""} | dict(one) for one in records(record, "rounds") if text(one, "run")]
    record = dict(record) | {"stages": [_whole(one) for one in records(record, "stages")], "rounds": rounds}
    several = len({one["round"] for one in rounds}) > 1
    made = [_made(directory, record, one, several, f"p{at}-") for at, one in enumerate(rounds)]
    last = {one["road"]: policy for one, policy in zip(rounds, made, strict=True)}
    charts = round_charts(rounds) if several else []
    labelers = list(_labelers(directory, record))
    worked = time_of(labelers)
    drawn = charts + [chart for policy in last.values() for audit in policy.audits for chart in audit.charts]
    done = [one for one in records(record, "stages") if one["kind"] in ("sft", "train") and one["state"] == "done"]
    runs = [(one, read_run(directory / one["folder"])) for one in done]
    trained = [_fit(directory, one, run) for one, run in runs]
    page = shell(["draw.js"] if drawn else []) | {
        "title": f"Alignment · {plain(directory.resolve().name)}",
        "subtitle": list(_subtitle(record, rounds)),
        "state": _state(record),
        "gates": list(records(record, "gates")),
        "last": list(last.values()),
        "made": made,
        "several": several,
        "charts": charts,
        "legend": roads_of(rounds),
        "stills": {chart.slug: still(chart) for chart in drawn},
        "specs": data_block(drawn),
        "short": in_short(record, [(policy.name, policy.run) for policy in last.values()], worked),
        "trained": trained,
        "scored": any(row.score != NONE for _, _, row in trained),
        "warnings": [(one["name"], [warning_of(line) for line in run.warnings]) for one, run in runs if run.warnings],
        "data": [*_drawn(record), *said(_stages(record, "judge")), *_data(directory, record)],
        "checked": bool(_stages(record, "check") or record.get("gates")),
        "crowds": crowds(records(record, "stages")), "judges": judges(records(record, "stages")),
        "readiness": list(_readiness(directory, record)),
        "audited": [policy for policy in last.values() if policy.audits],
        "outcomes": _outcomes([policy for policy in last.values() if policy.audits]),
        "audited_before": [one for one in made if one.audits and one not in last.values()],
        "labelers": labelers,
        "worked": worked,
        "asked": [_asked(one) for one in records(record, "asked")],
        "seconds": duration(finite(record, "seconds")),
        "stages": [_done(one) for one in records(record, "stages")],
        "by_hand": any(text(one, "command") for one in records(record, "stages")),
        "limits": list(shortcomings(record, directory)),
        "settings": [(name, result.fact(value)) for name, value in flat(_listed(part(record, "settings")))],
        "path": str(directory / "align.json"),
    }  # fmt: skip
    return write_page(directory / "report.html", "alignment.html.j2", page)


def _whole(one: Record) -> Record:
    """A stage of any record: one that does not say otherwise is done, in a folder of its name."""
    name = text(one, "name")
    known = {"name": name, "kind": "", "state": "done", "cached": False, "tries": 1, "folder": name, "seconds": None}
    return known | {key: value for key, value in one.items() if value is not None}


def _subtitle(record: Record, rounds: Sequence[Record]) -> Iterator[str]:
    settings = part(record, "settings")
    yield f"from {text(settings, 'model')}"
    number = len({one["round"] for one in rounds})
    if number > 1:
        yield plural(number, "round")
    if judge := text(part(settings, "evaluate"), "judge"):
        yield f"judged by {judge_in_words(judge)}"
    yield duration(finite(record, "seconds"))


def _state(record: Record) -> str:
    state, reason = text(record, "state"), text(record, "reason").rstrip(".")
    if state == "finished":
        return ""
    return (
        f"This job has not finished: it {state}{f' ({reason})' if reason else ''}. Figures are of what is done so far."
    )


def _made(directory: Path, record: Record, one: Record, several: bool, place: str) -> Made:
    run = replace(read_run(directory / one["run"]), audits=audits.of_job(directory, record, one))
    if not part(one, "quality"):  # what the run has was made by hand, or when the job still evaluated
        run = replace(run, win_rate={}, other_win_rates={}, axes={}, samples=[])
    quality, previous = part(one, "quality"), part(one, "over_previous")
    name = f"{one['road']}, round {one['round']}" if several else one["road"]
    return Made(
        name=name, link=_link(one["run"]), run=run,
        quality=_verdict(quality), n=count(finite(quality, "n")), kl=kl_of(run.win_rate).replace(" nats", ""),
        length=" → ".join(
            significant(finite(part(run.win_rate, "length"), side), 3) for side in ("against", "model")
        ) if run.win_rate else NONE,
        fit=fit_of(one), over_previous=_verdict(previous), first=one["round"] == 1,
        headline=result.headline(run), flagged=[flag for flag in flagged(run.win_rate) if flag.warns],
        samples=samples(run)[:SHOWN], audits=audits.told(run, place), place=place,
    )  # fmt: skip


def _verdict(figures: Record) -> Verdict | None:
    """Of the figures of an evaluation, for a cell; the sentence at the top is the run's own."""
    if not figures:
        return None
    found = verdict_of(figures)
    return Verdict(word_for(found.interval), "", found.win_rate, found.interval, found.confidence)


def _fit(directory: Path, one: Record, run: RunFiles) -> tuple[str, str, Stage]:
    return text(one, "name"), _link(one["folder"]), stage(run)


def _stages(record: Record, kind: str) -> list[Record]:
    return [one for one in records(record, "stages") if one["kind"] == kind and one["state"] == "done"]


def _drawn(record: Record) -> Iterator[tuple[str, list[tuple[str, str]], list[str]]]:
    """Of what was drawn to be judged: its title, what was counted, and what is at fault."""
    for one in _stages(record, "sample"):
        if rows := part(part(one, "figures"), "accounting"):
            first = rows.get("rejects")
            told = "; ".join(map(str, first)) if isinstance(first, list) else ""
            yield text(one, "name"), _rows(rows), [f"At fault, the first: {told}."] if told else []


def _data(directory: Path, record: Record) -> Iterator[tuple[str, list[tuple[str, str]], list[str]]]:
    """Of each check: its title, what it counted, and what it remarked on."""
    for one in _stages(record, "check"):
        for kind, found in read_findings(directory / one["folder"]).items():
            rows = part(found, "rows")
            counted = [
                *_rows(rows), (kind, count(finite(found, "groups"))),
                ("prompts", count(finite(part(found, "prompts"), "distinct"))),
            ]  # fmt: skip
            longer = finite(part(part(found, "lengths"), "longer"), "value")
            counted += [("longer one chosen", percent(longer, 0))] if longer is not None else []
            people = part(found, "labelers")
            agree = finite(part(people, "agreement"), "value")
            counted += [("labelers", count(len(part(people, "labelers"))))] if people else []
            counted += [("two labelers agree", percent(agree, 0))] if agree is not None else []
            title = text(one, "name") if kind == "pairs" else f"{text(one, 'name')}: {kind}"
            yield title, counted, [text(remark, "text") for remark in records(found, "remarks")]


def _rows(rows: Record) -> list[tuple[str, str]]:
    """What became of rows, as they are accounted for."""
    rejected = sum(value for value in part(rows, "rejected").values() if isinstance(value, int))
    return [
        ("rows read", count(finite(rows, "read"))), ("used", count(finite(rows, "used"))),
        ("duplicates", count(finite(rows, "deduplicated"))), ("rejected", count(rejected)),
    ]  # fmt: skip


def _outcomes(policies: Sequence[Made]) -> list[tuple[str, str, list[tuple[Made, str]]]]:
    """Each audit with its outcome for each policy; nothing where that was not audited so."""
    known = {audit.name: audit.title for policy in policies for audit in policy.audits}
    outcomes = {(policy.place, audit.name): audit.outcome for policy in policies for audit in policy.audits}
    return [
        (name, title, [(policy, outcomes.get((policy.place, name), "")) for policy in policies])
        for name, title in known.items()
    ]


def _labelers(directory: Path, record: Record) -> Iterator[Labelers]:
    for one in (*_stages(record, "check"), *_stages(record, "labelers")):
        if found := labelers_of(directory / one["folder"], text(one, "name")):
            yield found


def read_findings(folder: Path) -> Record:
    """The findings of a check by kind of feedback, as its stage wrote them; empty where it did not."""
    problems: list[str] = []
    return part(read_object(folder / "findings.json", problems), "findings")


def _readiness(directory: Path, record: Record) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    for one in _stages(record, "ready"):
        found = list(result.readiness(read_object(directory / one["folder"] / "readiness.json", [])))
        if found:
            yield text(one, "name"), found


def _asked(one: Record) -> list[str]:
    cost = finite(one, "cost")
    return [
        f"{text(one, 'model')} at {text(one, 'server')}", count(finite(one, "requests")), count(finite(one, "tokens")),
        significant(cost) if cost else NONE,
    ]  # fmt: skip


def _done(one: Record) -> Done:
    words = {"done": "done, as before" if one["cached"] else "done", "begun": "begun", "new": "not begun"}
    tries = f", in {one['tries']} tries" if one["tries"] > 1 else ""
    time = duration(finite(one, "seconds")) + tries if one["tries"] and one["seconds"] is not None else NONE
    link = _link(one["folder"], "") if one["state"] != "new" else ""
    return Done(text(one, "name"), words[one["state"]], time, text(one, "digest")[:12], link, text(one, "command"))


def _listed(settings: Record) -> Record:
    """Settings with the items of lists of mappings counted, so that each value stands on a line."""
    made: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            made |= {f"{name}.{at}": item for at, item in enumerate(value)}
        else:
            made[name] = value
    return made


def _link(folder: str, page: str = "report.html") -> str:
    return quote(os.path.join(folder, page))
