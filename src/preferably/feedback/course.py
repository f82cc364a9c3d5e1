"""Whether a labeler became better or worse on the way, and since when."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np
from scipy.special import logit

from preferably.feedback.questions import Questions, Said
from preferably.feedback.records import Flag, Group
from preferably.feedback.views import SETTLED
from preferably.statistics.coin import Coins
from preferably.statistics.drift import FEWEST, change
from preferably.statistics.edge import chance_right
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
    """A judgment: when, and how right; by others with what pulls to either side (`statistics.edge`)."""

    time: str
    value: float
    pulls: tuple[float, ...] = ()


def courses_of(
    questions: Questions, said: Sequence[Said], fit: Coins | None, gold: Gold, *, seed: int = 0
) -> dict[str, Course]:
    """Of each labeler with enough judgments in order, the course."""
    found: dict[str, Course] = {}
    when = _times(said)
    by_others = _agreeing(questions) if fit is None else _pulls(questions, fit)
    for at, name in enumerate(questions.names):
        golden = sorted(gold.get(name, ()))
        if len(golden) >= FEWEST:
            course = _course("gold", [_Step(time, float(right)) for time, right in golden], seed)
        else:
            own = [(*when[name, questions.records[record].group], values) for record, values in by_others[at].items()]
            steps = [
                _Step(time, fmean(values), tuple(values) if fit else ()) for _, time, values in sorted(own)
            ]  # fmt: skip
            course = _course("others", steps, seed)
        if course:
            found[name] = course
    return found


def _course(by: Literal["gold", "others"], steps: Sequence[_Step], seed: int) -> Course | None:
    found = change([step.value for step in steps], seed=seed)
    if found is None:
        return None
    half = len(steps) // 2
    parts = (steps[:half], steps[half:], steps[: found.at], steps[found.at :])
    early, late, before, after = map(_share, parts)
    if not (early and late and before and after):
        return None
    return Course(by, early, late, found.p, before.value, after.value, steps[found.at].time)


def _share(steps: Sequence[_Step]) -> Share | None:
    if steps and steps[0].pulls:
        return chance_right([step.pulls for step in steps])
    return share(sum(step.value for step in steps), len(steps))


def _times(said: Sequence[Said]) -> dict[tuple[str, Group], tuple[int, str]]:
    """When each labeler judged each group first: the place in the order, and the time."""
    found: dict[tuple[str, Group], tuple[int, str]] = {}
    for place, one in enumerate(said):
        if one.judgment.labeler_group != SETTLED and not isinstance(one.judgment, Flag):
            found.setdefault((one.judgment.labeler, one.group), (place, one.said_at))
    return found


def _pulls(questions: Questions, fit: Coins) -> dict[int, dict[int, list[float]]]:
    """By labeler and record x w of each verdict, x = 1 or -1 its side and w from -1 to 1 how sure the others are."""
    used = fit.verdicts
    shared = np.bincount(used.units, minlength=len(questions.places))[used.units] > 1
    own = used.signs * logit(fit.accuracy)[used.labelers]
    pulls = np.tanh((fit.log_odds[used.units] - own) / 2) * used.signs
    return _by_record(used.labelers[shared], questions.record[used.units[shared]], pulls[shared])


def _agreeing(questions: Questions) -> dict[int, dict[int, list[float]]]:
    """By labeler and record the share of others that say the same, of each verdict."""
    counts = questions.counts
    others = counts.sum(1)[questions.units] - 1
    same = counts[questions.units, questions.codes] - 1
    shared = others > 0
    records = questions.record[questions.units[shared]]
    return _by_record(questions.labelers[shared], records, same[shared] / others[shared])


def _by_record(labelers: np.ndarray, records: np.ndarray, values: np.ndarray) -> dict[int, dict[int, list[float]]]:
    found: dict[int, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for labeler, record, value in zip(labelers.tolist(), records.tolist(), values.tolist(), strict=True):
        found[labeler][record].append(value)
    return found
