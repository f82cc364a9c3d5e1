"""Which groups to ask people about next, by reward models that disagree or by the verdicts so far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from preferably.errors import ConfigError
from preferably.feedback.records import Group
from preferably.feedback.selection import NOISE, covering, disagreement, doubt, drawn, uncertainty
from preferably.judging.linear import features_of, fit
from preferably.judging.reward import score_groups, scorer_of
from preferably.models.loading import Loaded

Floats = NDArray[np.float64]
By = Literal["information", "uncertainty"]
Read = Callable[[Loaded, Sequence[Group]], list[Floats | None]]

FEWEST = 80  # verdicts below which the order is by chance: a reward that knows nothing doubts everything


@dataclass(frozen=True, slots=True)
class Selected:
    """Priorities of groups, the larger the sooner; None for one that a model could not read."""

    priorities: list[float | None]
    verdicts: int = 0  # pairs that were learnt from
    by_chance: bool = False  # as there are too few verdicts to say what is not known


def by_ensemble(models: Sequence[Loaded], groups: Sequence[Group], by: By, *, noise: float = NOISE) -> Selected:
    """By the scores of reward models: their disagreement, or the uncertainty of the verdict; of the groups of one
    prompt the second best counts half, and so on.

    `ConfigError` for the information that one model alone would give. Groups hold two completions or more.
    """
    if by == "information" and len(models) < 2:
        raise ConfigError(
            "One reward model alone cannot disagree with itself: it gives uncertainty only (--by uncertainty). For "
            "information give a second --reward, or give --model, which goes by the verdicts so far."
        )
    scored = [score_groups(one, groups) for one in models]
    read = [at for at in range(len(groups)) if all(scores[at] is not None for scores in scored)]
    values = [
        [scorer_of(one).total(scores[at]).tolist() for at in read]  # type: ignore[arg-type]
        for one, scores in zip(models, scored, strict=True)
    ]
    if not read:
        return Selected([None] * len(groups))
    ensemble = np.stack([_padded(rows, -np.inf) for rows in values])
    worth = disagreement(ensemble, noise) if by == "information" else uncertainty(ensemble, noise)
    found = covering(worth, [groups[at].prompt for at in read])
    return _told(len(groups), read, found)


def by_doubt(
    loaded: Loaded, groups: Sequence[Group], said: Sequence[Group], *, seed: int = 0, read: Read = features_of
) -> Selected:
    """By the reward that `preferably reward fit` would fit to the verdicts `said` (groups with their ranks): how unsure
    it is whether the completion that looks best is better than another; of the groups of one prompt the second best
    counts half, and so on.

    With fewer than `FEWEST` verdicts the order is by chance, drawn with `seed`. Groups hold two completions or more.
    `DataError` where the model tells no two completions apart.
    """
    found, known = read(loaded, groups), read(loaded, said)
    places = [at for at, one in enumerate(found) if one is not None]
    learnt = [(group, one) for group, one in zip(said, known, strict=True) if one is not None]
    if not places:
        return Selected([None] * len(groups))
    if len(learnt) < FEWEST:
        return replace(_told(len(groups), places, drawn(len(places), seed) / len(places), len(learnt)), by_chance=True)
    linear = fit([group.ranks for group, _ in learnt], [one for _, one in learnt])
    worth = [float(doubt(*linear.lead(one)).max()) for one in found if one is not None]
    return _told(len(groups), places, covering(worth, [groups[at].prompt for at in places]), len(learnt))


def _padded(rows: Sequence[Sequence[float]], value: float) -> Floats:
    """Rows of K numbers as one array, `value` where there are fewer."""
    found = np.full((len(rows), max(map(len, rows))), value)
    for at, row in enumerate(rows):
        found[at, : len(row)] = row
    return found


def _told(count: int, places: Sequence[int], found: Floats, verdicts: int = 0) -> Selected:
    priorities: list[float | None] = [None] * count
    for at, value in zip(places, found.tolist(), strict=True):
        priorities[at] = value
    return Selected(priorities, verdicts)
