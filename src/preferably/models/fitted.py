"""A reward that is linear in what a language model sees in a completion, and leaves its weights as they are."""

from pathlib import Path
from typing import Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers.utils import cached_file

from preferably.batches.group import Batch
from preferably.models.features import features
from preferably.models.policy import Policy
from preferably.models.scorer import Scorer

LINEAR = "linear.safetensors"  # beside the language model: one weight for each of its features


class FittedReward(Scorer):
    """A language model that scores by its `features`, with a weight [1, h + 3] for each.

    It is packed, centered and asked like any `Scorer`. Gradients do not train it: `training.fitting` finds its weights.
    """

    linear: nn.Linear

    @classmethod
    def of(cls, policy: Policy, weights: Tensor) -> Self:
        """The model of `policy` with these weights."""
        made = cls(policy.model, axes={"reward": 1.0}, compute=policy.compute, packed=policy.packed)
        made.linear = nn.Linear(weights.shape[1], 1, bias=False, device=policy.device)
        made.linear.weight.data.copy_(weights)
        made.checked = policy.checked
        return made.requires_grad_(False)

    def forward(self, batch: Batch) -> Tensor:
        """The raw score of every completion, [N, 1] float32."""
        found = features(self, batch)
        with torch.autocast(self.device.type, enabled=False):
            scores: Tensor = self.linear(found)
        return scores

    def write(self, directory: Path) -> None:
        """Write the weights of the features; the language model is written like any other."""
        save_file({"weight": self.linear.weight.detach().cpu().contiguous()}, directory / LINEAR)


def linear_in(name: str) -> Tensor | None:
    """The weights of the features, [1, h + 3], beside a language model (a directory or a hub id); None if there are
    none."""
    missing = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
    path = cached_file(name, LINEAR, **missing)
    return None if path is None else load_file(path)["weight"]
