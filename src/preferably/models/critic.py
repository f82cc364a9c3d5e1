"""A model of what is still to come: the value of the state in which each token is drawn."""

from torch import Tensor

from preferably.batches.group import Batch
from preferably.models.scorer import Scorer


class Critic(Scorer):
    """A scorer that is asked before every token and not once at the end.

    Begun from a reward model, its first values are that model's scores of what there is so far; begun from a language
    model, its head is 0 and so are they.
    """

    @classmethod
    def of(cls, scorer: Scorer) -> "Critic":
        """A critic in the place of `scorer`, with its weights."""
        axes = dict(zip(scorer.axes, scorer.weights, strict=True))
        critic = cls(scorer.model, axes=axes, compute=scorer.compute, packed=scorer.packed, mean=scorer.mean)
        critic.spread = scorer.spread
        return critic

    def forward(self, batch: Batch) -> Tensor:
        """The value of the state before each completion token, [C] float32, in the unit of the reward."""
        batch = batch.to(self.device)
        scores = self.scores_at(batch, batch.source, lambda row, start, end: row[start - 1 : end - 1])
        return self.total(self.centered(scores)) / self.spread
