"""A reward that is linear in what a language model sees in completions: what verdicts say of it, and leave open."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from preferably.batches.group import collate
from preferably.batches.packing import split_by_tokens
from preferably.data.tokens import TokenGroup, encode
from preferably.errors import DataError, ModelError
from preferably.feedback.records import Group
from preferably.judging.reward import LONGEST
from preferably.models.features import NUMBERS, features
from preferably.models.fitted import FittedReward
from preferably.models.loading import Loaded
from preferably.models.scorer import Scorer
from preferably.models.selfcheck import check_packing
from preferably.statistics.linear_preference import Posterior, posterior

Floats = NDArray[np.float64]

SHARE = 0.4  # of the spread of all states together, that log-prob, log-prob per token and tokens have each (LOG.md)


@dataclass(frozen=True, slots=True)
class Linear:
    """A reward as the verdicts so far have it."""

    unit: Floats  # [d]: what features are multiplied by first
    posterior: Posterior
    verdicts: int  # pairs that it was learnt from

    @property
    def weights(self) -> Floats:
        """[d]: nats for each feature."""
        found: Floats = self.unit * self.posterior.mean
        return found

    def lead(self, features: Floats) -> tuple[Floats, Floats]:
        """Of completions with `features` [K, d] how far the best one is ahead of each other one, nats, and the standard
        deviation of that: [K - 1] each."""
        values = features * self.unit
        scores = self.posterior.scores(values)
        best = int(np.argmax(scores))
        rest = np.arange(len(values)) != best
        return scores[best] - scores[rest], self.posterior.deviations(values[best] - values[rest])


def fit(
    ranks: Sequence[Sequence[int]], found: Sequence[Floats], probabilities: Sequence[float | None] | None = None
) -> Linear:
    """The reward after verdicts on groups of completions: their `ranks` (1 is the best, 0 none), features [K, d], and
    of pairs the chance that the verdict is right (1 where it is None).

    Bradley-Terry on pairs; a ranking of K is all of its pairs, which together count as K - 1; a tie is half a win each.
    Gaps of all states together are about 1 long, each state counting as much as any other, and each of the other
    numbers `SHARE`. `DataError` where nothing is told apart.
    """
    gaps, chances, counts = [], [], []
    for at, (order, values) in enumerate(zip(ranks, found, strict=True)):
        sure = None if probabilities is None else probabilities[at]
        ranked = [index for index, rank in enumerate(order) if rank]
        for one, other in combinations(ranked, 2):
            better = 0.5 if order[one] == order[other] else float(order[one] < order[other])
            gaps.append(values[one] - values[other])
            chances.append(better if sure is None else better * sure + (1 - better) * (1 - sure))
            counts.append(2 / len(ranked))
    rows = np.array(gaps).reshape(len(gaps), -1)
    typical = np.sqrt((rows**2).mean(0)) if gaps else np.zeros(rows.shape[1])
    if not typical.any():
        raise DataError("To this model all completions of a prompt are the same; expected some that differ.")
    states = len(typical) - NUMBERS
    parts = np.concatenate([np.full(states, states**-0.5), np.full(NUMBERS, SHARE)])
    unit = np.where(typical > 0, parts / np.where(typical > 0, typical, 1.0), 0.0)
    return Linear(unit, posterior(rows * unit, chances=chances, counts=counts), len(gaps))


def features_of(loaded: Loaded, groups: Sequence[Group], *, budget: int = 8192) -> list[Floats | None]:
    """The features of each group's completions, [K, h + 3] (`models.features`); None for a group that does not fit the
    context of the model, or that its template refuses.

    The first texts also show whether the model can be packed; where it cannot, `loaded.notes` says so. `ModelError` for
    a model that gives no words, and for features that are not finite.
    """
    encoded = encode(groups, loaded.tokenizer, max_length=loaded.context or LONGEST, twins=True).groups
    found: list[Floats | None] = [None] * len(groups)
    for group, values in zip(encoded, features_of_tokens(loaded, encoded, budget=budget), strict=True):
        found[group.row] = values
    return found


@torch.no_grad()
def features_of_tokens(loaded: Loaded, groups: Sequence[TokenGroup], *, budget: int = 8192) -> list[Floats]:
    """The same of groups that are tokens already."""
    policy = loaded.policy
    if isinstance(policy, Scorer) and not isinstance(policy, FittedReward):
        raise ModelError(
            f"{loaded.name} gives scores and no words; expected a language model, whose log-probs are read: the one "
            "that the reward model began at, or a reward of `preferably reward fit`."
        )
    if groups and not policy.checked and (note := check_packing(policy, groups).note):
        loaded.notes.append(note)
    found: list[Floats] = []
    for run in split_by_tokens(groups, budget):
        values = features(policy, collate(run))
        if not torch.isfinite(values).all():
            raise ModelError(f"{loaded.name} has states that are not finite; expected numbers: are its weights whole?")
        parts = torch.split(values.double().cpu(), [len(group.completions) for group in run])
        found += [part.numpy() for part in parts]
    return found
