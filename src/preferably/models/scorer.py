"""A model that scores completions: the body of a language model with a linear head, one row of it for each axis.

It is a policy whose head gives a score where that of a language model gives words, so that it is packed, checked,
sharded and adapted like any other.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from preferably.batches.group import Batch
from preferably.models.policy import Policy


class Scorer(Policy):
    """A sequence classification model of transformers behind the one forward.

    Args:
        model: its body is `base_model_prefix`, its head `score`: [A, h], without a bias.
        axes: what each row of the head is about, A names; of a reward model that knows one kind of better, `reward`.
        weights: [A], what each axis counts in `total`.
        mean: [A], the mean raw score of reference completions, which `total` takes away; 0 until it was measured.
        spread: the standard deviation of their total.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        axes: Mapping[str, float],
        compute: torch.dtype = torch.float32,
        packed: bool = True,
        mean: tuple[float, ...] = (),
        spread: float = 1.0,
    ) -> None:
        super().__init__(model, compute=compute, packed=packed)
        self.axes, self.weights = tuple(axes), tuple(axes.values())
        self.mean, self.spread = mean or (0.0,) * len(axes), spread

    def forward(self, batch: Batch) -> Tensor:
        """The raw scores of every completion on every axis, [N, A] float32, read at its last token."""
        batch = batch.to(self.device)
        return self.scores_at(batch, batch.last, lambda row, start, end: row[end - 1 : end])

    def scores_at(self, batch: Batch, places: Tensor, plain: Callable[[Tensor, int, int], Tensor]) -> Tensor:
        """What the head says of some states (`states_at`), [n, A] float32."""
        states = self.states_at(batch, places, plain)
        with torch.autocast(self.device.type, enabled=False):
            scores: Tensor = self.inner.score(states.float())
        return scores

    def centered(self, scores: Tensor) -> Tensor:
        """`scores` [N, A] less the mean of the reference completions, so that these score 0."""
        return scores - torch.tensor(self.mean, device=scores.device)

    def total(self, scores: Tensor) -> Tensor:
        """[N]: centered `scores` [N, A] of all axes added up by their weights."""
        return scores @ torch.tensor(self.weights, device=scores.device)
