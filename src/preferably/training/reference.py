"""The reference: the model as it was when training began (or another), and what it makes of the data."""

from typing import Any

import torch
from torch import Tensor

from preferably.batches.group import Batch
from preferably.errors import ModelError
from preferably.models.loading import Loaded, load, model_directory
from preferably.models.policy import Policy, frozen_copy
from preferably.training import parallel


class Reference:
    """Log-probs under the starting model, from a frozen copy or, with adapters, from the policy with them switched off;
    or under `other`, which is frozen.

    With `cache` each completion is computed once, in the step that first needs it, and remembered: two numbers a pair.
    """

    def __init__(self, policy: Policy, *, adapters: bool, cache: bool, other: Policy | None = None) -> None:
        self.adapters, self.other = adapters and other is None, other is not None
        if other is not None:
            self.policy = other.requires_grad_(False)
        else:
            self.policy = policy if adapters else frozen_copy(policy)
        self.known: dict[tuple[str, int], Tensor] | None = {} if cache else None

    @torch.no_grad()
    def logps(self, batch: Batch) -> Tensor:
        """log ref of every completion token, [C] float32, nats: the same forward as the policy's."""
        if self.adapters:
            with self.policy.as_reference():
                return self.policy(batch)
        return self.policy(batch)

    def sums(self, batch: Batch, part: str) -> Tensor:
        """[N] summed log-probs of the completions, nats; `part` names the data set that rows are counted in."""
        keys = [(part, group.row) for group in batch.groups]
        # All processes compute, or none does: the weights are gathered together.
        if self.known is not None and not parallel.any_of(any(key not in self.known for key in keys)):
            return torch.cat([self.known[key] for key in keys])
        sums = batch.sums(self.logps(batch)).cpu()
        if self.known is not None:
            sizes = [len(group.completions) for group in batch.groups]
            for found in parallel.from_all(dict(zip(keys, sums.split(sizes), strict=True))):
                self.known |= found
        return sums

    def state(self) -> dict[str, Tensor]:
        """What was remembered, as tensors for a checkpoint: a resumed run must use the very same numbers."""
        out: dict[str, Tensor] = {}
        for part in sorted({part for part, _ in self.known or {}}):
            rows = sorted(row for known, row in self.known or {} if known == part)
            assert self.known is not None
            out[f"{part}.rows"] = torch.tensor(rows)
            out[f"{part}.sizes"] = torch.tensor([len(self.known[part, row]) for row in rows])
            out[f"{part}.sums"] = torch.cat([self.known[part, row] for row in rows])
        return out

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up what `state` gave."""
        if self.known is None:
            return
        for name in [key for key in state if key.endswith(".rows")]:
            part = name.removesuffix(".rows")
            pieces = state[f"{part}.sums"].split(state[f"{part}.sizes"].tolist())
            self.known.update({(part, row): piece for row, piece in zip(state[name].tolist(), pieces, strict=True)})


def load_reference(name: str, loaded: Loaded, longest: int, **how: Any) -> Loaded:
    """The model `name` as a reference for `loaded`; `how` is for `load`.

    Raises `ModelError` for one that has another vocabulary, whose log-probs are of other tokens, or that takes in fewer
    than `longest` tokens.
    """
    other = load(model_directory(name), **how)
    if other.tokenizer.get_vocab() != loaded.tokenizer.get_vocab():
        raise ModelError(
            f"The reference {name} has another vocabulary than {loaded.name}, so their log-probs cannot be subtracted; "
            "expected a model with the same tokenizer."
        )
    if other.context is not None and other.context < longest:
        raise ModelError(
            f"The reference {name} takes in {other.context} tokens, and this run has up to {longest}; lower max_length "
            "or sample_tokens, or take another reference."
        )
    return other
