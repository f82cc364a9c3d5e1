"""What a page says of the labelers behind a job: `labelers.json` of its checks, as docs/labels.md explains it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from preferably.reporting.figures import NONE, count, percent, plural, significant
from preferably.reporting.judges import judge_in_words
from preferably.reporting.run_files import Record, finite, interval_of, part, read_object, records, text

SHOWN = 12  # labelers; the file has all
DISPUTED = 5  # prompts
LONG = 160  # characters of a prompt


@dataclass(frozen=True, slots=True)
class Person:
    """One labeler in the table; a share that surely leans has a star."""

    name: str
    note: str  # what they are, where that is not a labeler, and their group
    judged: str
    agrees: str
    reliable: str
    interval: str
    first: str
    longer: str
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Worked:
    """What people took, as far as it was recorded."""

    seconds: float
    answers: int


@dataclass(frozen=True, slots=True)
class Labelers:
    """What one check looked at."""

    stage: str
    agreement: tuple[str, ...]  # sentences
    people: tuple[Person, ...]
    more: int  # that are not shown
    disputed: tuple[tuple[str, str], ...]  # the share of verdicts that are unlike, and the prompt
    unnamed: tuple[str, ...]  # sources in which nobody is named
    worked: tuple[tuple[str, Worked], ...] = ()  # by source

    @property
    def met(self) -> bool:
        """Whether any two of them answered the same."""
        return any((person.agrees, person.reliable) != (NONE, NONE) for person in self.people)

    @property
    def sides(self) -> bool:
        """Whether it is known of anybody which one was shown first."""
        return any(person.first != NONE for person in self.people)


def labelers_of(folder: Path, stage: str) -> Labelers | None:
    """The labelers in `folder/labelers.json`; None where the file is not there or holds neither labelers nor
    sources."""
    found = read_object(folder / "labelers.json", [])
    worth, sources = part(found, "labelers"), list(records(found, "sources"))
    unnamed = [_source(one) for one in sources if not one.get("named") and one.get("judgments")]
    everybody = sorted(part(worth, "labelers").items(), key=lambda item: -(finite(_record(item[1]), "judged") or 0))
    if not everybody and not unnamed:
        return None
    return Labelers(
        stage, tuple(_sentences(worth, len(everybody))) if everybody else (),
        tuple(_person(name, _record(one)) for name, one in everybody[:SHOWN]), max(0, len(everybody) - SHOWN),
        tuple(_disputed(worth)), tuple(unnamed), tuple(_worked(sources)),
    )  # fmt: skip


def time_of(found: Iterable[Labelers]) -> Worked | None:
    """What people took in all sources together, each counted once; None where that was not recorded."""
    once = dict(item for one in found for item in one.worked).values()
    return Worked(sum(one.seconds for one in once), sum(one.answers for one in once)) if once else None


def _worked(sources: Iterable[Record]) -> Iterator[tuple[str, Worked]]:
    for one in sources:
        if (seconds := finite(one, "seconds")) is not None:
            yield text(one, "source"), Worked(seconds, int(finite(one, "timed") or 0))


def said(stages: Iterable[Record]) -> Iterator[tuple[str, list[tuple[str, str]], list[str]]]:
    """What was counted where comparisons were made and who made them is known: the title, figures, and why some are
    missing. Of a job one of each judge."""
    names = {"compared": "pairs compared", "labeled": "one was preferred", "tie": "ties", "unsure": "could not tell"}
    for one in stages:
        own = part(one, "figures")
        counted = [(label, count(finite(own, name))) for name, label in names.items() if name in own]
        if (right := finite(own, "label_accuracy")) is not None:
            counted.append(("agree with the truth", percent(right, 0)))
        if counted:
            yield text(one, "name"), counted, []
        for judge in records(own, "judges"):
            states = ("asked", "ok", "invalid", "refused", "failed")
            counted = [(state, count(finite(judge, state))) for state in states if state in judge]
            why = text(judge, "why")
            named = f"{text(one, 'name')}: {judge_in_words(text(judge, 'labeler'))}"
            yield named, counted, [f"Not ok, most often: {why}."] if why else []


def _record(value: object) -> Record:
    return value if isinstance(value, dict) else {}


def _source(one: Record) -> str:
    return f"{text(one, 'source')} ({plural(finite(one, 'judgments') or 0, 'judgment')})"


def _sentences(worth: Record, people: int) -> Iterator[str]:
    """How far they agree, what is settled or disputed, and who gave most."""
    named = part(worth, "agreement")
    raw = part(named, "raw agreement")
    value, units = finite(raw, "value"), count(finite(raw, "units"))
    questions = count(finite(worth, "questions"))
    if value is None:
        why = "one labeler judged alone" if people == 1 else text(raw, "why") or "nothing was judged twice"
        yield f"How far labelers agree is not known of {questions} questions: {why}."
    else:
        beyond = [
            f"{name.split(',')[0]} {_coefficient(_record(one))}" for name, one in named.items()
            if one is not raw and finite(_record(one), "value") is not None
        ]  # fmt: skip
        yield (
            f"Two labelers give the same answer in {percent(value, 0)}{_ends(raw)} of cases: {units} of {questions} "
            f"questions were answered by two or more. Beyond chance: {'; '.join(beyond) or 'not known'}."
        )
    noise = finite(worth, "noise")
    if noise is not None:
        yield f"If all err alike and independently, {percent(noise, 0)} of verdicts are wrong."
    prompts = part(worth, "prompts")
    twice, unanimous = finite(prompts, "judged_twice") or 0, finite(prompts, "unanimous") or 0
    if twice:
        flagged = finite(prompts, "flagged") or 0
        called = f", and {plural(flagged, 'prompt')} called ambiguous by a labeler" if flagged else ""
        yield f"{count(twice - unanimous)} of {plural(twice, 'prompt')} that two or more judged are disputed{called}."
    spread = part(worth, "concentration")
    busiest, gini = part(spread, "busiest_fifth"), finite(spread, "gini")
    if people > 2 and gini is not None and busiest:
        many = int(finite(busiest, "labelers") or 0)
        who = "The busiest labeler" if many == 1 else f"The {many} busiest labelers"
        share = percent(finite(busiest, "share"), 0)
        yield f"{who} gave {share} of the judgments (Gini's coefficient {significant(gini, 2)})."


def _coefficient(one: Record) -> str:
    span = interval_of(one)
    ends = "" if span is None else f" [{significant(span[0], 2)}, {significant(span[1], 2)}]"
    return significant(finite(one, "value"), 2) + ends


def _ends(one: Record) -> str:
    span = interval_of(one)
    return "" if span is None else f" [{percent(span[0], 0)}, {percent(span[1], 0)}]"


def _person(name: str, one: Record) -> Person:
    role, group = text(one, "role"), text(one, "group")
    reliable = part(one, "reliability")
    span = interval_of(reliable)
    findings = one.get("findings")
    return Person(
        name or "(no name)", ", ".join(filter(None, ["" if role == "labeler" else role, group])),
        count(finite(one, "judged")), _share(part(one, "agrees")), _share(reliable),
        "" if span is None else f"{percent(span[0], 0)} to {percent(span[1], 0)}", _leaning(part(one, "first")),
        _leaning(part(one, "longer")), tuple(map(str, findings)) if isinstance(findings, list) else (),
    )  # fmt: skip


def _share(one: Record) -> str:
    return percent(finite(one, "value"), 0) if one else NONE


def _leaning(one: Record) -> str:
    return _share(one) + ("*" if one.get("told") is True else "")


def _disputed(worth: Record) -> Iterator[tuple[str, str]]:
    for one in list(records(part(worth, "prompts"), "most_ambiguous"))[:DISPUTED]:
        said = " ".join(text(one, "prompt").split())
        yield percent(finite(one, "disagreement"), 0), said if len(said) <= LONG else said[: LONG - 1] + "…"
