"""What labelers' judgments are worth: how far they agree, who is reliable, and who has leanings."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from math import sqrt
from statistics import median

import numpy as np
from numpy.typing import NDArray

from preferably.feedback.records import Completion, Group, Judged, Judgment, Preference
from preferably.feedback.views import verdicts
from preferably.statistics.agreement import Coefficient, Measure, fleiss, gwet, krippendorff, raw, with_interval
from preferably.statistics.reliability import dawid_skene
from preferably.statistics.shares import Share, share

FEWEST = 30  # answers of a labeler to what others answered too, below which reliability is not told
CROWD = 3  # labelers from which on verdicts alone tell who is right


@dataclass(frozen=True, slots=True)
class Said:
    """A judgment of a group with the seconds that it took, where they are known; and whether its order was `shown`."""

    group: Group
    judgment: Judgment
    seconds: float | None = None
    shown: bool = True


@dataclass(frozen=True, slots=True)
class Worth:
    """One labeler. What cannot be told is None."""

    name: str
    judged: int  # judgments
    agrees: Share | None  # with others, of the questions that both answered
    reliability: float | None  # the chance that they say what is probably true (Dawid and Skene, one coin)
    first: Share | None  # of their choices between two, those of the one that was shown first
    longer: Share | None  # those of the longer one
    seconds: float | None  # median

    def as_json(self) -> dict[str, object]:
        """All of it."""
        leanings = {"agrees": self.agrees, "first": self.first, "longer": self.longer}
        told: dict[str, object] = {name: one.as_json() if one else None for name, one in leanings.items()}
        return {"judged": self.judged, "reliability": self.reliability, "seconds": self.seconds, **told}


@dataclass(frozen=True, slots=True)
class Agreement:
    """All labelers, the busiest first; and how far they agree on which of two completions is better."""

    questions: int  # which of two is better, or whether one is good
    coefficients: list[Coefficient]
    labelers: list[Worth]

    @property
    def noise(self) -> float | None:
        """The share of verdicts that are wrong, if labelers err independently and alike: e = (1 - sqrt(2 A - 1)) / 2 of
        the raw agreement A = (1 - e)^2 + e^2. None where it is below chance, or not known."""
        agreed = self.coefficients[0].value
        return None if agreed is None or agreed < 0.5 else (1 - sqrt(2 * agreed - 1)) / 2

    def as_json(self) -> dict[str, object]:
        """`questions`, `agreement` by coefficient, `noise`, `labelers` by name."""
        named = {}
        for one in self.coefficients:
            span = one.interval and [one.interval.low, one.interval.high]
            named[one.name] = {"value": one.value, "interval": span, "units": one.units, "why": one.why}
        people = {one.name: one.as_json() for one in self.labelers}
        return {"schema": 1, "questions": self.questions, "agreement": named, "noise": self.noise, "labelers": people}


def worth_of(judged: Sequence[Judged], said: Iterable[Said], *, seed: int = 0) -> Agreement:
    """How far the labelers of `judged` agree, and what each of them is worth; `said` are the same judgments one by one.

    A question is which of two completions is better (or neither), or whether a completion is good. Intervals are by
    question, `seed` draws their resamples.
    """
    answers = list(_answers(judged))
    columns = {name: at for at, name in enumerate(dict.fromkeys(name for question in answers for name in question))}
    names = list(columns)
    codes = np.full((len(answers), len(names)), -1)
    for row, question in enumerate(answers):
        for name, verdict in question.items():
            codes[row, columns[name]] = verdict
    used = np.unique(codes[codes >= 0])
    codes = np.where(codes >= 0, np.searchsorted(used, codes), -1)  # AC1 counts categories that nobody used, too
    measures: list[Measure] = [raw, krippendorff, gwet, fleiss]
    if len(used) > 2:  # a tie lies between the other two
        measures.insert(2, partial(krippendorff, scale="ordinal"))
    found = [with_interval(measure, codes, seed=seed) for measure in measures]
    reliable = _reliability(codes, names)
    return Agreement(len(answers), found, _labelers(codes, names, list(said), reliable))


def _answers(judged: Sequence[Judged]) -> Iterable[dict[str, int]]:
    """Question by question what each labeler said: 0, 1 (a tie) or 2.

    Which completion counts as the first is drawn from their texts: in files the chosen one stands first, which would
    make one answer common and agreement by chance likely.
    """
    for record in judged:
        by_question: dict[tuple[int, ...], dict[str, int]] = defaultdict(dict)
        for name, found in verdicts(record).items():
            for question, verdict in found.items():
                by_question[question][name] = verdict + 1
        for question, answers in by_question.items():
            if len(question) == 2 and _turned(record.group.completions, question):
                answers = {name: 2 - verdict for name, verdict in answers.items()}
            yield answers


def _turned(completions: Sequence[Completion], question: tuple[int, ...]) -> bool:
    one, other = (sha256(completions[at].text.encode("utf-8", "surrogatepass")).digest() for at in question)
    return one > other


def _reliability(codes: NDArray[np.int64], names: Sequence[str]) -> dict[str, float]:
    """Of the labelers that answered enough of what others answered too."""
    shared = codes[(codes >= 0).sum(1) > 1]
    answered = (shared >= 0).sum(0)
    if (answered >= FEWEST).sum() < CROWD or len(np.unique(shared[shared >= 0])) < 2:
        return {}
    fit = dawid_skene(shared, one_coin=True)
    return {name: float(fit.accuracy[at]) for at, name in enumerate(names) if answered[at] >= FEWEST}


def _labelers(
    codes: NDArray[np.int64], names: Sequence[str], said: Sequence[Said], reliable: dict[str, float]
) -> list[Worth]:
    by_name: dict[str, list[Said]] = defaultdict(list)
    for one in said:
        by_name[one.judgment.labeler].append(one)
    found = []
    for name, own in sorted(by_name.items(), key=lambda item: -len(item[1])):
        same = asked = 0
        if name in names:
            mine = codes[:, names.index(name)]
            others = np.delete(codes, names.index(name), 1)[mine >= 0]
            both = others >= 0
            asked, same = int(both.sum()), int(((others == mine[mine >= 0][:, None]) & both).sum())
        choices = [one for one in own if isinstance(one.judgment, Preference) and isinstance(one.judgment.choice, int)]
        times = [one.seconds for one in own if one.seconds is not None]
        found.append(Worth(
            name, len(own), share(same, asked), reliable.get(name), _first(choices), _longer(choices),
            median(times) if times else None,
        ))  # fmt: skip
    return found


def _first(choices: Sequence[Said]) -> Share | None:
    ones = [one.judgment for one in choices if one.shown and isinstance(one.judgment, Preference)]
    return share(sum(one.choice == one.order[0] for one in ones), len(ones))


def _longer(choices: Sequence[Said]) -> Share | None:
    won = []
    for one in choices:
        assert isinstance(one.judgment, Preference)
        lengths = {at: len(one.group.completions[at].text) for at in one.judgment.order}
        if len(set(lengths.values())) == 2:
            won.append(one.judgment.choice == max(lengths, key=lengths.__getitem__))
    return share(sum(won), len(won))
