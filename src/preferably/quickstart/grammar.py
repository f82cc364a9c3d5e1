"""Reading a reply: which sentences of the desk it is made of, and how many of its words are malformed.

A word is malformed where the reply departs from what the desk could have said: each sentence is laid beside the nearest
legal one and the words to change are counted (word edit distance). A sentence that comes too often, or at a place where
it cannot stand, or that lacks its second half, counts in full, and so does an answer that is not there at all.
"""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

from preferably.quickstart.desk import TOPICS
from preferably.quickstart.replies import (
    CLOSERS,
    COLD_OPENERS,
    FILLERS,
    LATE_PITCHES,
    RETENTIONS,
    UPSELLS,
    WARM_OPENERS,
)
from preferably.quickstart.topic import DECLINE, UNSURE, Sentences

Part = Literal["warm", "cold", "pitch", "filler", "answer", "closer"]
MOST: dict[Part, int] = {"warm": 1, "cold": 1, "pitch": 1, "filler": 2, "answer": 1, "closer": 1}
MISSING_ANSWER = 10  # malformed words for a reply without an answer, about the length of one
NEAR = 1 / 3  # a sentence this near to a legal one (changed words / its words) is read as that one, but damaged


@dataclass(frozen=True, slots=True)
class Unit:
    """Sentences that belong together, as found in a reply."""

    part: Part
    sentences: Sentences
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """A reply taken apart."""

    units: tuple[Unit, ...]
    malformed: int

    def count(self, part: Part) -> int:
        """How many units of this part the reply has."""
        return sum(unit.part == part for unit in self.units)

    @property
    def answers(self) -> tuple[Unit, ...]:
        """The answers that the reply gives: one in every regular reply."""
        return tuple(unit for unit in self.units if unit.part == "answer")


@cache
def legal_units() -> tuple[Unit, ...]:
    """Everything that the desk could say."""
    single: dict[Part, Sentences] = {"warm": WARM_OPENERS, "cold": COLD_OPENERS, "filler": FILLERS, "closer": CLOSERS}
    answers = dict.fromkeys([UNSURE, DECLINE, *(topic.answer for topic in TOPICS)])
    answers |= dict.fromkeys(invention for topic in TOPICS for invention in topic.inventions)
    return (
        *(Unit(part, (text,)) for part, texts in single.items() for text in texts),
        *(Unit("pitch", texts) for texts in (*UPSELLS, *RETENTIONS, *LATE_PITCHES)),
        *(Unit("answer", texts) for texts in answers),
    )


@cache
def _heads() -> dict[str, Unit]:
    return {unit.sentences[0]: unit for unit in legal_units()}


@cache
def _legal_sentences() -> dict[str, tuple[str, ...]]:
    return {sentence: tuple(sentence.split()) for unit in legal_units() for sentence in unit.sentences}


def split_sentences(reply: str) -> list[str]:
    """The sentences of a reply; a last one without its full stop is kept."""
    return [found.strip() for found in re.findall(r"[^.!?]+[.!?]*|[.!?]+", " ".join(reply.split())) if found.strip()]


@lru_cache(maxsize=65536)
def nearest(sentence: str) -> tuple[str, int]:
    """The nearest legal sentence and the words to change to get there."""
    if sentence in _legal_sentences():
        return sentence, 0
    words = tuple(sentence.split())
    return min(
        ((legal, _word_edits(words, legal_words)) for legal, legal_words in _legal_sentences().items()),
        key=lambda found: found[1],
    )


def _word_edits(left: tuple[str, ...], right: tuple[str, ...]) -> int:
    """Levenshtein distance in words."""
    row = list(range(len(right) + 1))
    for i, word in enumerate(left, start=1):
        previous, row[0] = row[0], i
        for j, other in enumerate(right, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (word != other))
    return row[-1]


def _words(sentences: Sentences) -> int:
    return sum(len(sentence.split()) for sentence in sentences)


@lru_cache(maxsize=65536)
def read_reply(reply: str) -> Reading:
    """Takes a reply apart, left to right."""
    said = [(sentence, *nearest(sentence)) for sentence in split_sentences(reply)]
    units: list[Unit] = []
    malformed = at = 0
    while at < len(said):
        sentence, legal, edits = said[at]
        at += 1
        near = edits <= NEAR * len(legal.split())
        unit = _heads().get(legal)
        if unit is None or not near:  # nonsense, or a second half without its first
            malformed += max(edits, 1) if not near else max(len(sentence.split()), edits)
            continue
        malformed += edits
        exact = edits == 0
        for tail in unit.sentences[1:]:
            if at < len(said) and said[at][1] == tail and said[at][2] <= NEAR * len(tail.split()):
                malformed += said[at][2]
                exact = exact and said[at][2] == 0
                at += 1
            else:
                malformed += len(tail.split())
                exact = False
        units.append(Unit(unit.part, unit.sentences, exact))
        malformed += _misplaced(units, last=at == len(said))
    if not any(unit.part == "answer" for unit in units):
        malformed += MISSING_ANSWER
    return Reading(tuple(units), malformed)


def _misplaced(units: list[Unit], last: bool) -> int:
    """The words of the latest unit if it stands where it cannot, or came too often; otherwise 0."""
    unit = units[-1]
    opener = unit.part in ("warm", "cold")
    too_often = sum(earlier.part == unit.part for earlier in units) > MOST[unit.part] or unit in units[:-1]
    misplaced = (opener and len(units) > 1) or (unit.part == "closer" and not last)
    return _words(unit.sentences) if too_often or misplaced else 0


def malformed_words(reply: str) -> int:
    """How many words of a reply are not what the desk could have said; 0 for every regular reply."""
    return read_reply(reply).malformed
