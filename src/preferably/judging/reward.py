"""A reward model as one who decides: scores of completions, whoever wrote them."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from preferably.batches.group import collate
from preferably.batches.packing import split_by_tokens
from preferably.data.tokens import TokenGroup, encode
from preferably.errors import ModelError
from preferably.feedback.records import Group, Preference
from preferably.models.loading import Loaded
from preferably.models.scorer import Scorer
from preferably.models.selfcheck import check_packing

LONGEST = 1 << 30


def scorer_of(loaded: Loaded) -> Scorer:
    """The scorer of a reward model; `ModelError` for a model of words."""
    if not isinstance(loaded.policy, Scorer):
        raise ModelError(f"{loaded.name} gives words and no scores; expected a reward model.")
    return loaded.policy


def unit_of(scorer: Scorer) -> dict[str, Any]:
    """What makes scores of what its weights say."""
    return {
        "axes": dict(zip(scorer.axes, scorer.weights, strict=True)),
        "mean": list(scorer.mean),
        "spread": scorer.spread,
    }


@torch.no_grad()
def score_groups(loaded: Loaded, groups: Sequence[Group], *, budget: int = 8192) -> list[Tensor | None]:
    """The centered scores of each group's completions, [K, A] (`Scorer.total` adds up the axes); None for a group that
    does not fit the context of the reward model, or that its template refuses.

    Texts are tokenised with the reward model's own tokenizer, so it need not be that of the model that wrote them. The
    first texts also show whether it can be packed; where it cannot, `loaded.notes` says so.
    """
    scorer = scorer_of(loaded)
    encoded = encode(groups, loaded.tokenizer, max_length=loaded.context or LONGEST, twins=True).groups
    if encoded and not scorer.checked and (note := check_packing(scorer, encoded).note):
        loaded.notes.append(note)
    scores: list[Tensor | None] = [None] * len(groups)
    for group, found in zip(encoded, score_tokens(scorer, encoded, budget=budget), strict=True):
        scores[group.row] = found
    return scores


@torch.no_grad()
def score_tokens(scorer: Scorer, groups: Sequence[TokenGroup], *, budget: int = 8192) -> list[Tensor]:
    """The same of groups that are tokens already, [K, A] each, on the processor."""
    scores: list[Tensor] = []
    for run in split_by_tokens(groups, budget):
        found = scorer.centered(scorer(collate(run))).cpu()
        scores += torch.split(found, [len(group.completions) for group in run])
    return scores


class RewardJudge:
    """A judge that prefers the completion with the higher total score. Equal scores are a tie; a group that the reward
    model cannot read is `failed`.

    It is a model, but how much it likes length is a matter of the verdicts that it learnt from, and can be either way:
    what is known of judges that read (`statistics.length_control`) is not known of it.
    """

    labeler_kind = "model"
    length_prior = False

    def __init__(self, loaded: Loaded, budget: int = 8192) -> None:
        self.loaded, self.budget, self.scorer = loaded, budget, scorer_of(loaded)

    def __call__(self, groups: Sequence[Group]) -> list[Preference]:
        """One preference for each group of two."""
        said = []
        for scores in score_groups(self.loaded, groups, budget=self.budget):
            if scores is None:
                said.append(Preference(None, labeler=self.loaded.name, state="failed"))
                continue
            first, second = self.scorer.total(scores).tolist()
            choice: Literal[0, 1, "tie"] = "tie" if first == second else 0 if first > second else 1
            said.append(Preference(choice, abs(first - second), self.loaded.name))
        return said
