"""A model of what is still to come: the value of the state in which each token is drawn."""

import torch
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
        if self.packed:
            states = torch.nn.functional.embedding(batch.source, self.states(batch))
        else:
            tokens, mask, spans = self.rows(batch)
            with self.autocast():
                hidden = self.body(input_ids=tokens, attention_mask=mask, use_cache=False).last_hidden_state
            states = torch.cat([row[start - 1 : end - 1] for row, (start, end) in zip(hidden, spans, strict=True)])
        with torch.autocast(self.device.type, enabled=False):
            scores = self.inner.score(states.float())
        return self.total(self.centered(scores)) / self.spread
