"""Whether a labeler became better or worse on the way, and since when."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

import numpy as np
from scipy.special import logit

from preferably.feedback.questions import Questions, Said
from preferably.feedback.records import Flag, Group
from preferably.feedback.views import SETTLED
from preferably.statistics.coin import Coins, one_coin
from preferably.statistics.drift import FEWEST, Change, change
from preferably.statistics.edge import chance_right
from preferably.statistics.multiple import holm
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
    """A judgment: its place among all, when, how right; by others what pulls to either side (`statistics.edge`)."""

    place: int
    time: str
    value: float
    pulls: tuple[float, ...] = ()


def courses_of(
    questions: Questions, said: Sequence[Said], fit: Coins | None, gold: Gold, *, seed: int = 0
) -> dict[str, Course]:
    """Of each labeler with enough judgments in order, the course.

    Whoever is told to have changed counts as two labelers from then on, and the others are held against the two: what
    one does must not look like a change of all who meet them. The surest change comes first.
    """
    when = _times(said)
    found: dict[str, Course] = {}
    changes: dict[str, tuple[float, int]] = {}  # how sure, and the place
    split: dict[int, int] = {}
    while True:
        by_others = _agreeing(questions) if fit is None else _pulls(questions, _apart(questions, fit, split, when))
        for at, name in enumerate(questions.names):
            steps = [_Step(0, time, float(right)) for time, right in sorted(gold.get(name, ()))]
            by: Literal["gold", "others"] = "gold" if len(steps) >= FEWEST else "others"
            if at in split or (by == "gold" and split):
                continue
            if by == "others":
                own = [(*when[name, questions.records[one].group], values) for one, values in by_others[at].items()]
                steps = _steps(sorted(own), fit is not None)
            changed = change([step.value for step in steps], seed=seed)
            course = changed and _course(by, steps, changed)
            found.pop(name, None)
            if changed and course:
                found[name] = course
                changes[name] = (changed.size if by == "others" else -1.0, steps[changed.at].place)
        told = [name for name, sure in zip(found, holm([one.p for one in found.values()]), strict=True) if sure]
        new = [name for name in told if changes[name][0] >= 0 and questions.names.index(name) not in split]
        if fit is None or not new:
            return found
        surest = max(new, key=lambda name: changes[name][0])
        split[questions.names.index(surest)] = changes[surest][1]


def _steps(own: Sequence[tuple[int, str, list[float]]], by_pulls: bool) -> list[_Step]:
    """Judgments by others. Of pulls x w the value is x w - e w^2 with e the edge of all of them: of one who does not
    change it is 0 in the mean, however sure the others are, who may change."""
    if not by_pulls:
        return [_Step(place, time, fmean(values)) for place, time, values in own]
    whole = chance_right([values for _, _, values in own])
    edge = 2 * whole.value - 1 if whole else 0.0
    return [
        _Step(place, time, fmean(pull - edge * pull**2 for pull in values), tuple(values))
        for place, time, values in own
    ]


def _apart(
    questions: Questions, fit: Coins, split: Mapping[int, int], when: Mapping[tuple[str, Group], tuple[int, str]]
) -> Coins:
    """The fit with some labelers as two: before the place where they changed, and from there on."""
    if not split:
        return fit
    one = fit.verdicts
    labelers = one.labelers.copy()
    for number, (at, place) in enumerate(split.items()):
        for verdict in np.flatnonzero(one.labelers == at).tolist():
            group = questions.records[questions.record[one.units[verdict]]].group
            if when[questions.names[at], group][0] >= place:
                labelers[verdict] = one.count + number
    return one_coin(replace(one, labelers=labelers, count=one.count + len(split)), prior=fit.prior)


def _course(by: Literal["gold", "others"], steps: Sequence[_Step], change: Change) -> Course | None:
    half = len(steps) // 2
    parts = (steps[:half], steps[half:], steps[: change.at], steps[change.at :])
    early, late, before, after = map(_share, parts)
    if not (early and late and before and after):
        return None
    return Course(by, early, late, change.p, before.value, after.value, steps[change.at].time)


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
