"""The packed batch: tokens of many groups in one row, each prompt once.

Shapes: T tokens, C scored tokens, N completions, G groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from preferably.batches.plan import Branch, Plan, plan_attention
from preferably.data.tokens import TokenGroup


@dataclass(slots=True)
class Batch:
    """Groups as tensors. A completion sees its prompt and itself; positions restart at the prompt's end for each."""

    groups: list[TokenGroup]
    tokens: Tensor  # [T] int64
    positions: Tensor  # [T] int64, position in prompt + own completion
    source: Tensor  # [C] int64, the token of the row whose hidden state predicts the c-th completion token
    target: Tensor  # [C] int64, the completion token itself
    segment: Tensor  # [C] int64, which completion (0..N-1) the token belongs to
    train: Tensor  # [C] bool, whether the token is learnt and scored
    last: Tensor  # [N] int64, the last token of each completion in the row
    first: Tensor  # [G + 1] int64: completions first[g] .. first[g+1]-1 belong to group g
    lengths: Tensor  # [N] float32, trained tokens per completion
    plan: Plan

    @property
    def completions(self) -> int:
        """N, the number of completions."""
        return len(self.lengths)

    def to(self, device: torch.device) -> "Batch":
        """The batch on `device`."""
        for name in ("tokens", "positions", "source", "target", "segment", "train", "last", "first", "lengths"):
            setattr(self, name, getattr(self, name).to(device, non_blocking=True))
        self.plan = self.plan.to(device)
        return self

    def sums(self, logps: Tensor) -> Tensor:
        """[N]: log-probs [C] summed over each completion's trained tokens, in float32 or wider, nats."""
        values = torch.where(self.train, logps, 0.0)
        # A GPU adds in any order, so that two sums of one thing differ by their rounding, unless there is none.
        wide = torch.float64 if logps.is_cuda else logps.dtype
        zeros = torch.zeros(self.completions, dtype=wide, device=logps.device)
        return zeros.index_add(0, self.segment, values.to(wide)).to(logps.dtype)


def collate(groups: Sequence[TokenGroup]) -> Batch:
    """Pack `groups` into one row."""
    tokens: list[np.ndarray] = []
    positions: list[np.ndarray] = []
    source: list[np.ndarray] = []
    branches: list[Branch] = []
    at = 0
    for group in groups:
        prompt_start, prompt = at, len(group.prompt)
        tokens.append(group.prompt)
        positions.append(np.arange(prompt))
        at += prompt
        for index, completion in enumerate(group.completions):
            length = len(completion)
            tokens.append(completion)
            positions.append(np.arange(prompt, prompt + length))
            # The first completion token is predicted by the prompt's last token, which all completions share.
            source.append(np.concatenate([[prompt_start + prompt - 1], np.arange(at, at + length - 1)]))
            branches.append(Branch(prompt_start, prompt, at, length, first=index == 0))
            at += length
    completions = [completion for group in groups for completion in group.completions]
    train = [mask for group in groups for mask in group.train]
    return Batch(
        groups=list(groups),
        tokens=_tensor(tokens),
        positions=_tensor(positions),
        source=_tensor(source),
        target=_tensor(completions),
        segment=torch.repeat_interleave(torch.tensor([len(c) for c in completions])),
        train=torch.from_numpy(np.concatenate(train)),
        last=torch.tensor([branch.start + branch.length - 1 for branch in branches]),
        first=torch.tensor([0, *np.cumsum([len(group.completions) for group in groups])]),
        lengths=torch.tensor([float(mask.sum()) for mask in train]),
        plan=plan_attention(branches, at),
    )


def _tensor(parts: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts).astype(np.int64))
