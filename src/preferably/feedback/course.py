"""Whether a labeler became better or worse on the way, and since when."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import logit, stdtrit

from preferably.feedback.questions import Questions, Said
from preferably.feedback.records import Flag, Group
from preferably.feedback.views import SETTLED
from preferably.statistics.coin import Coins
from preferably.statistics.drift import FEWEST, change
from preferably.statistics.intervals import Interval
from preferably.statistics.shares import Share, share

Gold = Mapping[str, Sequence[tuple[str, bool]]]  # by labeler: when each task of known answer was done, and if rightly


@dataclass(frozen=True, slots=True)
class Course:
    """How a labeler's judgments went over time: by gold where there is enough of it, else by what others say.

    Figures are shares of right verdicts; by others, the chance to pick the better side, or, where reliability cannot be
    told, the share of others that say the same.
    """

    by: Literal["gold", "others"]
    early: Share  # of the first half
    late: Share
    p: float  # of no change anywhere
    before: float  # the most likely change
    after: float
    since: str  # when that was; empty where it is not known, or where no change is told
    told: bool = False  # whether a change stands when all labelers are held together (Holm)

    def as_json(self) -> dict[str, object]:
        """All of it."""
        return {
            "by": self.by, "early": self.early.as_json(), "late": self.late.as_json(), "p": self.p, "told": self.told,
            "since": self.since or None, "before": self.before, "after": self.after,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Step:
    """A judgment: what it adds above and below the line of a ratio; the share is scale x ratio + 1 - scale."""

    time: str
    above: float
    below: float


def courses_of(
    questions: Questions, said: Sequence[Said], fit: Coins | None, gold: Gold, *, seed: int = 0
) -> dict[str, Course]:
    """Of each labeler with enough judgments in order, the course."""
    found: dict[str, Course] = {}
    when = _times(said)
    by_others = _agreeing(questions) if fit is None else _edges(questions, fit)
    for at, name in enumerate(questions.names):
        golden = sorted(gold.get(name, ()))
        if len(golden) >= FEWEST:
            course = _course("gold", [_Step(time, float(right), 1.0) for time, right in golden], 1.0, seed)
        else:
            own = sorted(
                (*when[name, questions.records[record].group], *sums) for record, sums in by_others[at].items()
            )
            steps = [_Step(time, above, below) for _, time, above, below in own]
            course = _course("others", steps, 1.0 if fit is None else 0.5, seed)
        if course:
            found[name] = course
    return found


def _course(by: Literal["gold", "others"], steps: Sequence[_Step], scale: float, seed: int) -> Course | None:
    found = change([step.above for step in steps], seed=seed)
    if found is None:
        return None
    half = len(steps) // 2
    parts = (steps[:half], steps[half:], steps[: found.at], steps[found.at :])
    if any(sum(step.below for step in part) <= 0 for part in parts):
        return None
    early, late, before, after = (_share(part, scale) for part in parts)
    return Course(by, early, late, found.p, before.value, after.value, steps[found.at].time)


def _share(steps: Sequence[_Step], scale: float) -> Share:
    """The share with its interval: Wilson's where judgments count alike, else Student's of the ratio."""
    above, below = np.array([step.above for step in steps]), np.array([step.below for step in steps])
    ratio, n = float(above.sum() / below.sum()), len(steps)
    if scale == 1:
        found = share(float(above.sum()), n)
        assert found, "no judgment"
        return found
    away = above - ratio * below
    error = float(np.sqrt(n / max(n - 1, 1) * (away @ away)) / below.sum())
    half = float(stdtrit(max(n - 1, 1), 0.975)) * error
    low, value, high = (float(np.clip(1 - scale + scale * one, 0, 1)) for one in (ratio - half, ratio, ratio + half))
    return Share(value, n, Interval(low, high, 0.95, "t"))


def _times(said: Sequence[Said]) -> dict[tuple[str, Group], tuple[int, str]]:
    """When each labeler judged each group first: the place in the order, and the time."""
    found: dict[tuple[str, Group], tuple[int, str]] = {}
    for place, one in enumerate(said):
        if one.judgment.labeler_group != SETTLED and not isinstance(one.judgment, Flag):
            found.setdefault((one.judgment.labeler, one.group), (place, one.said_at))
    return found


def _edges(questions: Questions, fit: Coins) -> dict[int, dict[int, tuple[float, float]]]:
    """By labeler and record the sums of w x and of w^2, with x = 1 or -1 the side that they are for and w from -1 to 1
    how sure the others are: the ratio is 2 p - 1 for whoever is right with chance p."""
    used = fit.verdicts
    shared = np.bincount(used.units, minlength=len(questions.places))[used.units] > 1
    own = used.signs * logit(fit.accuracy)[used.labelers]
    surety = np.tanh((fit.log_odds[used.units] - own) / 2)
    records = questions.record[used.units]
    return _by_record(used.labelers[shared], records[shared], (surety * used.signs)[shared], (surety**2)[shared])


def _agreeing(questions: Questions) -> dict[int, dict[int, tuple[float, float]]]:
    """By labeler and record the mean share of others that say the same, and 1."""
    counts = questions.counts
    others = counts.sum(1)[questions.units] - 1
    same = counts[questions.units, questions.codes] - 1
    shared = others > 0
    records = questions.record[questions.units[shared]]
    sums = _by_record(questions.labelers[shared], records, same[shared] / others[shared], np.ones(int(shared.sum())))
    means = {at: {one: (above / below, 1.0) for one, (above, below) in own.items()} for at, own in sums.items()}
    return defaultdict(dict, means)


def _by_record(
    labelers: np.ndarray, records: np.ndarray, above: np.ndarray, below: np.ndarray
) -> dict[int, dict[int, tuple[float, float]]]:
    """Sums by labeler and record."""
    found: dict[int, dict[int, tuple[float, float]]] = defaultdict(dict)
    for labeler, record, *sums in zip(
        labelers.tolist(), records.tolist(), above.tolist(), below.tolist(), strict=True
    ):  # fmt: skip
        one, other = found[labeler].get(record, (0.0, 0.0))
        found[labeler][record] = (one + sums[0], other + sums[1])
    return found
