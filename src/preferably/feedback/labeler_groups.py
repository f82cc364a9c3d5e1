"""What each group of labelers prefers, how far groups agree, and what would change without one."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preferably.feedback.habits import longer_of
from preferably.feedback.meetings import Meeting, meetings_of
from preferably.feedback.questions import Questions, Said
from preferably.feedback.records import Flag
from preferably.feedback.views import SETTLED
from preferably.statistics.shares import Share, share

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Without:
    """What the majority would say without a group, of the questions that it says something of with it."""

    verdicts: int  # questions on which there is a majority
    changed: int  # those where it would be another
    lost: int  # those where there would be none
    gained: int  # questions without a majority on which there would be one
    win_rates: dict[str, float]  # by model, of the majorities that are left

    def as_json(self) -> dict[str, object]:
        """All of it."""
        counts = {name: getattr(self, name) for name in ("verdicts", "changed", "lost", "gained")}
        return counts | {"win_rates": self.win_rates}


@dataclass(frozen=True, slots=True)
class LabelerGroup:
    """A group of labelers. Intervals are those of as many trials as it judged records."""

    name: str
    labelers: int
    judged: int
    longer: Share | None  # of choices between two, those of the longer one
    win_rates: dict[str, Share]  # by model, over the others that it was compared with; a tie counts half
    without: Without

    def as_json(self) -> dict[str, object]:
        """All of it."""
        return {
            "labelers": self.labelers, "judged": self.judged, "longer": self.longer.as_json() if self.longer else None,
            "win_rates": {name: one.as_json() for name, one in self.win_rates.items()},
            "without": self.without.as_json(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Groups:
    """All groups, the busiest first; empty where there are fewer than two."""

    groups: list[LabelerGroup]
    agreement: list[Meeting]
    win_rates: dict[str, float]  # by model, of the majorities of all

    def as_json(self) -> dict[str, object]:
        """`groups` by name, `agreement`, `win_rates`."""
        return {
            "groups": {one.name: one.as_json() for one in self.groups},
            "agreement": [one.as_json() for one in self.agreement], "win_rates": self.win_rates,
        }  # fmt: skip


def groups_of(questions: Questions, said: Sequence[Said], groups: Mapping[str, str], *, seed: int = 0) -> Groups:
    """What `groups` (by labeler; one of none is left out) tell of themselves."""
    named = {name: group for name, group in groups.items() if group}
    by_group: dict[str, list[Said]] = defaultdict(list)
    for one in said:
        if one.judgment.labeler_group != SETTLED and not isinstance(one.judgment, Flag):
            if group := named.get(one.judgment.labeler):
                by_group[group].append(one)
    everybody = np.ones(len(questions.units), dtype=np.bool_)
    order = sorted(by_group, key=lambda group: -len(by_group[group]))
    if len(order) < 2:
        return Groups([], [], _rates(questions, _majorities(questions, everybody)))
    of = np.array([named.get(name, "") for name in questions.names])[questions.labelers]
    found = []
    for group in order:
        own = by_group[group]
        found.append(LabelerGroup(
            group, len({one.judgment.labeler for one in own}), len(own), _longer(own),
            _win_rates(questions, of == group), _without(questions, of == group),
        ))  # fmt: skip
    agreement = meetings_of(questions, {name: named[name] for name in _by(order, named)}, seed=seed)
    return Groups(found, agreement, _rates(questions, _majorities(questions, everybody)))


def _by(order: Sequence[str], named: Mapping[str, str]) -> list[str]:
    return sorted(named, key=lambda name: order.index(named[name]) if named[name] in order else len(order))


def _longer(own: Sequence[Said]) -> Share | None:
    won, n = longer_of(own)
    return share(won, n, len({one.group for one in own}))


def _models(questions: Questions) -> tuple[list[str], NDArray[np.int64]]:
    """The models, and of each question between two of them which they are [n, 2], in the order of its places."""
    names: dict[str, int] = {}
    found = np.full((len(questions.places), 2), -1)
    for unit, places in enumerate(questions.places):
        if len(places) < 2:
            continue
        completions = questions.records[questions.record[unit]].group.completions
        origins = [completions[at].origin for at in places]
        models = [origin.model if origin else None for origin in origins]
        if all(models) and models[0] != models[1]:
            found[unit] = [names.setdefault(str(model), len(names)) for model in models]
    return list(names), found


def _win_rates(questions: Questions, own: Mask) -> dict[str, Share]:
    """By model, of the verdicts in `own` [m]."""
    names, models = _models(questions)
    units, values = questions.units[own], questions.codes[own] / 2  # of the first of the two
    found = {}
    for at, name in sorted(enumerate(names), key=lambda item: item[1]):
        first, second = models[units, 0] == at, models[units, 1] == at
        won = float(values[first].sum() + (1 - values[second]).sum())
        met = first | second
        rate = share(won, int(met.sum()), len(np.unique(questions.record[units[met]])))
        if rate:
            found[name] = rate
    return found


def _majorities(questions: Questions, own: Mask) -> NDArray[np.int64]:
    """[n]: the code that has more verdicts of `own` [m] than any other; -1 where there is none."""
    counts = np.zeros((len(questions.places), 3), dtype=np.int64)
    np.add.at(counts, (questions.units[own], questions.codes[own]), 1)
    most = counts.max(1)
    alone = (counts == most[:, None]).sum(1) == 1
    return np.where(alone & (most > 0), counts.argmax(1), -1)


def _rates(questions: Questions, majorities: NDArray[np.int64]) -> dict[str, float]:
    """By model, the share of majorities that it won, a tie half."""
    names, models = _models(questions)
    found = {}
    for at, name in sorted(enumerate(names), key=lambda item: item[1]):
        first, second = ((models[:, side] == at) & (majorities >= 0) for side in (0, 1))
        n = int(first.sum() + second.sum())
        if n:
            found[name] = float((majorities[first] / 2).sum() + (1 - majorities[second] / 2).sum()) / n
    return found


def _without(questions: Questions, own: Mask) -> Without:
    before, after = _majorities(questions, np.ones_like(own)), _majorities(questions, ~own)
    there, left = before >= 0, after >= 0
    return Without(
        int(there.sum()), int((there & left & (before != after)).sum()), int((there & ~left).sum()),
        int((~there & left).sum()), _rates(questions, after),
    )  # fmt: skip
