"""Completions as a language model sees them, in a few numbers that a reward may be linear in."""

import torch
from torch import Tensor

from preferably.batches.group import Batch
from preferably.models.policy import Policy

NUMBERS = 3  # beside the states: log-prob, log-prob per token, tokens


def before(row: Tensor, start: int, end: int) -> Tensor:
    """The states [L, h] of a plain row in which its completion's tokens were drawn."""
    return row[start - 1 : end - 1]


def features(policy: Policy, batch: Batch) -> Tensor:
    """[N, h + 3] float32: of each completion the mean of the last hidden states in which its tokens are drawn, then its
    log-prob (nats), its log-prob per token, and its tokens.

    Only tokens that are learnt count. What a few hundred verdicts can teach about these is more than what they teach to
    all weights (docs/reward.md).
    """
    batch = batch.to(policy.device)
    with policy.remembering():
        logps = Policy.forward(policy, batch)
        states = policy.states_at(batch, batch.source, before).float()
    counted = batch.train.float()
    lengths = batch.lengths.clamp(min=1)[:, None]
    sums = torch.zeros(batch.completions, states.shape[1], device=states.device)
    means = sums.index_add(0, batch.segment, states * counted[:, None]) / lengths
    said = batch.sums(logps)[:, None]
    return torch.cat([means, said, said / lengths, batch.lengths[:, None]], 1)
