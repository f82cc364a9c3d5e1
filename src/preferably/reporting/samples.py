"""Answers side by side: which of them are shown, and how much of each."""

from collections import Counter
from dataclasses import dataclass
from random import Random

from preferably.reporting.figures import NONE, significant
from preferably.reporting.run_files import Record, RunFiles, number, part, text
from preferably.reporting.visible import folded

SHOWN = 20
VERDICTS = {"model": "model preferred", "against": "starting model preferred", "tie": "tie", "missing": "no verdict"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One text: what is shown, what is behind "show more", how many characters are in the file only."""

    shown: str
    more: str
    left_out: int
    characters: int
    score: str
    preferred: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """One comparison."""

    place: int  # line in samples.jsonl, from 1
    prompt: Answer
    before: Answer
    after: Answer
    verdict: str
    preferred: str


def samples(run: RunFiles) -> list[Sample]:
    """Up to `SHOWN` samples, drawn at random with a fixed seed: nobody chose them, nor did a rhythm of the file."""
    total = len(run.samples)
    places = sorted(Random(0).sample(range(total), min(SHOWN, total)))
    return [_sample(index + 1, run.samples[index]) for index in places]


def tally(run: RunFiles) -> list[tuple[str, int]]:
    """How often each verdict stands in samples.jsonl."""
    found = Counter(text(record, "preferred") for record in run.samples)
    return [(VERDICTS[key], found[key]) for key in VERDICTS if found[key]]


def _sample(place: int, record: Record) -> Sample:
    preferred = text(record, "preferred")
    scores = part(record, "scores")
    return Sample(
        place=place,
        prompt=answer(text(record, "prompt")),
        before=answer(text(record, "against"), _score(scores, "against"), preferred == "against"),
        after=answer(text(record, "model"), _score(scores, "model"), preferred == "model"),
        verdict=VERDICTS.get(preferred) or f"unknown verdict {preferred!r}",
        preferred=preferred if preferred in VERDICTS else "missing",
    )


def _score(scores: Record, side: str) -> str:
    return significant(number(scores, side), 3)


def answer(value: str, score: str = NONE, preferred: bool = False) -> Answer:
    """`value` as it is shown."""
    head, more, left_out = folded(value)
    return Answer(head, more, left_out, len(value), score, preferred)
