"""What labelers said as a table of questions: which of two completions is better, or whether one is good.

Verdicts of whoever settled what others disagreed on stand apart: they were asked of what is disputed, and may have seen
what was said before.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from preferably.feedback.records import Completion, Flag, Group, Judged, Judgment
from preferably.feedback.views import SETTLED, Axis, unsettled, verdicts
from preferably.statistics.coin import Verdicts

Whole = NDArray[np.int64]
TIE = 1  # of the codes 0, 1 and 2


@dataclass(frozen=True, slots=True)
class Said:
    """A judgment of a group, with what is known of how it came about."""

    group: Group
    judgment: Judgment
    seconds: float | None = None
    shown: bool = True  # whether the order in the judgment is the one that was shown
    kind: str = "human"  # or model, or rule
    said_at: str = ""


@dataclass(frozen=True, slots=True)
class Questions:
    """n questions and the m verdicts on them, by r labelers. Verdicts on one record go together."""

    records: list[Judged]  # each group with all that was said of it
    names: list[str]  # [r]
    places: list[tuple[int, ...]]  # [n], of the completions in question, turned as the codes are
    record: Whole  # [n]
    pair: NDArray[np.bool_]  # [n], whether it is which of two is better
    units: Whole  # [m], the question
    labelers: Whole  # [m]
    codes: Whole  # [m]: 2 the first of `places` is better (or the one is good), 0 the second is (or it is bad), 1 a tie
    settled: int  # questions that somebody settled

    @property
    def table(self) -> Whole:
        """[n, r]: the codes, -1 where nothing was said."""
        found = np.full((len(self.places), len(self.names)), -1)
        found[self.units, self.labelers] = self.codes
        return found

    @property
    def counts(self) -> Whole:
        """[n, 3]: verdicts on each question by code."""
        found = np.zeros((len(self.places), 3), dtype=np.int64)
        np.add.at(found, (self.units, self.codes), 1)
        return found

    @property
    def decided(self) -> NDArray[np.bool_]:
        """[m]: whether a verdict is for one side."""
        found: NDArray[np.bool_] = self.codes != TIE
        return found

    def sides(self) -> Verdicts:
        """The verdicts for a side, without ties."""
        kept = self.decided
        return Verdicts(self.units[kept], self.labelers[kept], self.codes[kept] // 2, self.pair, len(self.names))


def questions_of(said: Iterable[Said]) -> Questions:
    """The questions that judgments which ended in a verdict answer; flags answer none."""
    by_group: dict[Group, list[Judgment]] = defaultdict(list)
    for one in said:
        by_group[one.group].append(one.judgment)
    return questions_in([Judged(group, tuple(some)) for group, some in by_group.items()])


def questions_in(records: Sequence[Judged], axis: Axis = None) -> Questions:
    """The same of records; of ratings, `axis` counts."""
    names: dict[str, int] = {}
    places: list[tuple[int, ...]] = []
    record: list[int] = []
    rows: list[tuple[int, int, int]] = []
    settled = 0
    for number, item in enumerate(records):
        plain = unsettled(item)
        by_question: dict[tuple[int, ...], list[tuple[int, int]]] = defaultdict(list)
        for name, answers in verdicts(plain, axis).items():
            labeler = names.setdefault(name, len(names))
            for question, verdict in answers.items():
                by_question[question].append((labeler, verdict + 1))
        for question, given in by_question.items():
            turned = len(question) == 2 and _turned(item.group.completions, question)
            rows += [(len(places), labeler, 2 - code if turned else code) for labeler, code in given]
            places.append(question[::-1] if turned else question)
            record.append(number)
        settled += any(one.labeler_group == SETTLED and not isinstance(one, Flag) for one in item.judgments)
    units, labelers, codes = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    pair = np.array([len(one) == 2 for one in places], dtype=np.bool_)
    return Questions(
        list(records), list(names), places, np.array(record, dtype=np.int64), pair, units, labelers, codes, settled
    )


def _turned(completions: Sequence[Completion], question: tuple[int, ...]) -> bool:
    """Which completion counts as the first is drawn from their texts: in files the chosen one stands first, which would
    make one answer common and agreement by chance likely."""
    one, other = (sha256(completions[at].text.encode("utf-8", "surrogatepass")).digest() for at in question)
    return one > other
