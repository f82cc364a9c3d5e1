"""A model of what is still to come: the value of the state in which each token is drawn."""

import torch
from torch import Tensor, nn

from preferably.batches.group import Batch
from preferably.models.features import before
from preferably.models.policy import Policy
from preferably.models.scorer import Scorer

SHARED = "shared"  # the name of a critic that is a head on the policy's own trunk


class Critic(Scorer):
    """A scorer that is asked before every token and not once at the end.

    Begun from a reward model, its first values are that model's scores of what there is so far; begun from a language
    model, its head is 0 and so are they.
    """

    @classmethod
    def of(cls, scorer: Scorer) -> "Critic":
        """A critic in the place of `scorer`, with its weights."""
        axes = dict(zip(scorer.axes, scorer.weights, strict=True))
        return cls(
            scorer.model, axes=axes, compute=scorer.compute, packed=scorer.packed, mean=scorer.mean,
            spread=scorer.spread,
        )  # fmt: skip

    def forward(self, batch: Batch) -> Tensor:
        """The value of the state before each completion token, [C] float32, in the unit of the reward."""
        batch = batch.to(self.device)
        scores = self.scores_at(batch, batch.source, before)
        return self.total(self.centered(scores)) / self.spread


class SharedCritic(nn.Module):
    """A linear head, 0 at first, on the states of the policy, which its loss trains too.

    No second network is held; where batches are packed, `Policy.remembering` spares the second forward too. The
    policy's weights are not among its parameters.
    """

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        width: int = policy.inner.config.get_text_config().hidden_size
        self.score = nn.Linear(width, 1, bias=False, device=policy.device)
        nn.init.zeros_(self.score.weight)
        self.trunk = (policy,)  # in a tuple, where nn.Module does not take it for a part of this one

    def forward(self, batch: Batch) -> Tensor:
        """The value of the state before each completion token, [C] float32, in the unit of the reward."""
        (policy,) = self.trunk
        batch = batch.to(policy.device)
        states = policy.states_at(batch, batch.source, before)
        with torch.autocast(policy.device.type, enabled=False):
            values: Tensor = self.score(states.float())[:, 0]
        return values
