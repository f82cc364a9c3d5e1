"""Whether a labeler became better or worse on the way, and since when."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np
from scipy.special import expit, logit

from preferably.feedback.questions import Questions, Said
from preferably.feedback.records import Flag, Group
from preferably.feedback.views import SETTLED
from preferably.statistics.coin import Coins
from preferably.statistics.drift import FEWEST, Drift, drift

Gold = Mapping[str, Sequence[tuple[str, bool]]]  # by labeler: when each task of known answer was done, and if rightly


@dataclass(frozen=True, slots=True)
class Course:
    """How a labeler's judgments went over time: by gold where there is enough of it, else by what others say."""

    by: Literal["gold", "others"]
    drift: Drift
    since: str  # when the most likely change was; empty where that is not known, or where no change is told
    told: bool = False  # whether it stands when all labelers are held together (Holm)

    def as_json(self) -> dict[str, object]:
        """All of it."""
        one = self.drift
        return {
            "by": self.by, "early": one.early.as_json(), "late": one.late.as_json(), "p": one.p, "told": self.told,
            "since": self.since or None, "before": one.before, "after": one.after,
        }  # fmt: skip


def courses_of(
    questions: Questions, said: Sequence[Said], fit: Coins | None, gold: Gold, *, seed: int = 0
) -> dict[str, Course]:
    """Of each labeler with enough judgments in order, the course.

    A judgment counts as the chance, by the others on each of its questions, that it is right (the posterior without
    the labeler's own verdict), or, where reliability cannot be told, as the share of others that say the same.
    """
    found: dict[str, Course] = {}
    when = _times(said)
    by_others = _agreeing(questions) if fit is None else _probably_right(questions, fit)
    for at, name in enumerate(questions.names):
        golden = sorted(gold.get(name, ()))
        by: Literal["gold", "others"] = "gold" if len(golden) >= FEWEST else "others"
        if by == "gold":
            course = [(time, float(right)) for time, right in golden]
        else:
            own = [(*when[name, questions.records[record].group], value) for record, value in by_others[at].items()]
            course = [(time, value) for _, time, value in sorted(own)]
        change = drift([value for _, value in course], seed=seed)
        if change:
            found[name] = Course(by, change, course[change.at][0])
    return found


def _times(said: Sequence[Said]) -> dict[tuple[str, Group], tuple[int, str]]:
    """When each labeler judged each group first: the place in the order, and the time."""
    found: dict[tuple[str, Group], tuple[int, str]] = {}
    for place, one in enumerate(said):
        if one.judgment.labeler_group != SETTLED and not isinstance(one.judgment, Flag):
            found.setdefault((one.judgment.labeler, one.group), (place, one.said_at))
    return found


def _probably_right(questions: Questions, fit: Coins) -> dict[int, dict[int, float]]:
    """By labeler and record, the mean chance that what they said is right, by the others alone."""
    used = fit.verdicts
    shared = np.bincount(used.units, minlength=len(questions.places))[used.units] > 1
    own = used.signs * logit(fit.accuracy)[used.labelers]
    values = expit(used.signs * (fit.log_odds[used.units] - own))
    return _by_record(used.labelers[shared], questions.record[used.units[shared]], values[shared])


def _agreeing(questions: Questions) -> dict[int, dict[int, float]]:
    """The same, as the share of others that say so too."""
    counts = questions.counts
    others = counts.sum(1)[questions.units] - 1
    same = counts[questions.units, questions.codes] - 1
    shared = others > 0
    values = same[shared] / others[shared]
    return _by_record(questions.labelers[shared], questions.record[questions.units[shared]], values)


def _by_record(labelers: np.ndarray, records: np.ndarray, values: np.ndarray) -> dict[int, dict[int, float]]:
    found: dict[int, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for labeler, record, value in zip(labelers.tolist(), records.tolist(), values.tolist(), strict=True):
        found[labeler][record].append(value)
    means = {labeler: {record: fmean(some) for record, some in own.items()} for labeler, own in found.items()}
    return defaultdict(dict, means)
