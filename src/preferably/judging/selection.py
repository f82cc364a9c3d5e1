"""Which groups to ask people about next, by reward models that disagree or by one model and the verdicts so far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from preferably.errors import ConfigError, DataError
from preferably.feedback.records import Group
from preferably.feedback.selection import AHEAD, NOISE, covering, disagreement, drawn, information, uncertainty
from preferably.judging.reward import score_groups, scorer_of
from preferably.judging.states import States, last_states
from preferably.models.loading import Loaded
from preferably.statistics.linear_preference import posterior

Floats = NDArray[np.float64]
By = Literal["information", "uncertainty"]
Read = Callable[[Loaded, Sequence[Group]], list[States | None]]

WIDEST = 256  # directions in which states differ that are looked at; the rest hold little
FEWEST = 80  # verdicts below which chance asks better than a model that knows nothing (bench/LOG.md)
DRAWS = 64  # reward models that the posterior stands for where only their scores are asked for


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
            "information give a second --reward, or read states and the verdicts so far with --model."
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


def by_states(
    loaded: Loaded, groups: Sequence[Group], said: Sequence[Group], by: By, *,
    noise: float = NOISE, ahead: int = AHEAD, seed: int = 0, read: Read = last_states,
) -> Selected:  # fmt: skip
    """By a reward that is linear in the states of one model, language or reward model: what the verdicts `said`, pairs
    with the chosen one first, leave open, and what the next ones would tell about it (`selection.information`).

    With fewer than `FEWEST` verdicts the order is by chance, drawn with `seed`. Groups hold two completions or more.
    `DataError` where the model tells no two completions apart.
    """
    states, known = read(loaded, groups), read(loaded, said)
    places = [at for at, one in enumerate(states) if one is not None]
    if not places:
        return Selected([None] * len(groups))
    learnt_from = sum(one is not None for one in known)
    if learnt_from < FEWEST:
        return replace(_told(len(groups), places, drawn(len(places), seed) / len(places), learnt_from), by_chance=True)
    pool = [one for one in states if one is not None]
    turn = _directions(pool)
    gaps = [(one[0] - one[1]) @ turn for one in known if one is not None]
    turned = [one @ turn for one in pool]
    scale = float(np.sqrt(np.mean([2 * one.var(0).sum() * len(one) / (len(one) - 1) for one in turned])))
    if not scale > 0:
        raise DataError("To this model all completions of a prompt are the same; expected some that differ.")
    learnt = posterior(np.reshape(gaps, (len(gaps), turn.shape[1])), scale=scale)
    features = _padded(turned, 0.0)
    means = np.where(_there(turned), learnt.scores(features), -np.inf)
    if by == "uncertainty":
        draws = np.where(_there(turned), learnt.draws(features, DRAWS), -np.inf)
        found = covering(uncertainty(draws, noise), [groups[at].prompt for at in places])
    else:
        found = information(means, features @ learnt.factor, noise, ahead)
    return _told(len(groups), places, found, len(gaps))


def _directions(pool: Sequence[States]) -> Floats:
    """[h, r]: states in units of their spread, turned to where completions of a prompt differ most."""
    spread = np.concatenate(pool).std(0)
    units = np.where(spread > 0, 1 / np.where(spread > 0, spread, 1.0), 0.0)
    inside = np.concatenate([(one - one.mean(0)) * units for one in pool])
    values, vectors = np.linalg.eigh(inside.T @ inside)
    kept = values > values[-1] * 1e-10
    turned: Floats = units[:, None] * vectors[:, kept][:, -WIDEST:]
    return turned


def _padded(rows: Sequence[Sequence[float] | States], value: float) -> Floats:
    """Rows of K numbers or vectors as one array, `value` where there are fewer."""
    arrays = [np.asarray(row, dtype=np.float64) for row in rows]
    found = np.full((len(arrays), max(map(len, arrays)), *arrays[0].shape[1:]), value)
    for at, row in enumerate(arrays):
        found[at, : len(row)] = row
    return found


def _there(rows: Sequence[States]) -> NDArray[np.bool_]:
    sizes = np.array([len(row) for row in rows])
    there: NDArray[np.bool_] = np.arange(sizes.max()) < sizes[:, None]
    return there


def _told(count: int, places: Sequence[int], found: Floats, verdicts: int = 0) -> Selected:
    priorities: list[float | None] = [None] * count
    for at, value in zip(places, found.tolist(), strict=True):
        priorities[at] = value
    return Selected(priorities, verdicts)
