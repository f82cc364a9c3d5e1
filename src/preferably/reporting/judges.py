"""What a job found of its judges, held against people; and of simulated people, beside what is true of them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from preferably.reporting.figures import NONE, count, percent
from preferably.reporting.run_files import Record, finite, interval_of, part, records, text

PEOPLE = "people:"  # and the store of their verdicts
TRUTH = "preferably.quickstart.truth:"  # what the quickstart knows to be right, and training never sees
FUNCTION = re.compile(r"([\w./\\-]+\.py|[A-Za-z_][\w.]*):([A-Za-z_][\w.]*)")


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge that was held against people; findings are name, outcome and words."""

    name: str
    outcome: str
    verdict: str
    findings: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Person:
    """A simulated labeler: what is true, and what was told from the verdicts of all."""

    name: str
    fault: str
    right: str
    told: str
    interval: str
    held: str  # whether the interval holds what is true


@dataclass(frozen=True, slots=True)
class Crowd:
    """Simulated labelers who answered the same questions."""

    stage: str
    people: tuple[Person, ...]
    agree: str
    overlap: str


def judge_in_words(name: str) -> str:
    """A judge for whoever reads no code: of a function (`module:function`, `path/file.py:function`) that it is one, and
    its own name; others as they are called."""
    if name.startswith(TRUTH):
        return "the known truth of the quickstart's world"
    found = FUNCTION.fullmatch(name)
    if name.startswith(PEOPLE):
        return "people"
    if found is None:
        return name
    place = Path(found[1]).name if found[1].endswith(".py") else found[1].rpartition(".")[2]
    return f"a function of yours ({place}:{found[2]})"


def judges(stages: Iterable[Record]) -> list[Judge]:
    """Of the stages that held a judge against people."""
    found = []
    for one in stages:
        if one["kind"] == "judge-audit" and one["state"] == "done":
            own = part(one, "figures")
            told = tuple(
                (text(each, "name"), text(each, "outcome"), text(each, "words")) for each in records(own, "findings")
            )
            verdict = text(own, "verdict").removeprefix("Not sure: ")  # the outcome stands before it
            found.append(Judge(text(own, "judge"), text(own, "outcome"), verdict[:1].upper() + verdict[1:], told))
    return found


def crowds(stages: Iterable[Record]) -> list[Crowd]:
    """Of the stages in which simulated people, of whom all is known, were asked."""
    found = []
    for one in stages:
        own = part(one, "figures")
        if people := part(own, "simulated"):
            agree = finite(part(own, "agreement"), "value")
            some = tuple(_person(name, part(people, name)) for name in people)
            found.append(Crowd(text(one, "name"), some, percent(agree, 0), count(finite(own, "overlap"))))
    return found


def _person(name: str, record: Record) -> Person:
    right, told = finite(record, "right"), part(record, "told")
    span = interval_of(told)
    held = "" if span is None or right is None else "holds it" if span[0] <= right <= span[1] else "misses it"
    value = finite(told, "value")
    return Person(
        name, text(record, "fault"), percent(right, 0), NONE if value is None else percent(value, 0),
        "" if span is None else f"{percent(span[0], 0)} to {percent(span[1], 0)}", held,
    )  # fmt: skip
