"""The point from which KTO feels gains and losses: a KL that is estimated over the whole step."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from preferably.batches.group import collate
from preferably.data.tokens import TokenGroup
from preferably.methods import Method
from preferably.models.policy import Policy
from preferably.training import parallel
from preferably.training.reference import Reference


def baseline_of(
    method: Method, policy: Policy, reference: Reference | None, groups: Sequence[TokenGroup], budget: int
) -> float | None:
    """The baseline of a step, for a method that takes one."""
    return kl_baseline(policy, reference, groups, budget) if method.baseline and reference is not None else None


@torch.no_grad()
def kl_baseline(policy: Policy, reference: Reference, groups: Sequence[TokenGroup], budget: int) -> float:
    """max(0, mean of log pi(y'|x) - log ref(y'|x)) over prompts x and the completion y' of the group before, in nats.

    Mismatched completions, as in section 4.1 of the KTO paper (https://arxiv.org/abs/2402.01306): they cost one forward
    pass where samples of the policy's own would cost generation. What would be longer than the longest group is cut, so
    that it fits the context. A step of one group has nothing to mismatch and gives 0. `budget`: tokens a micro-batch.
    """
    if len(groups) < 2:
        return 0.0
    gains = 0.0
    for run, real in parallel.share(mismatched(groups), budget):
        batch = collate(run)
        gains += real * float(batch.sums(policy(batch) - reference.logps(batch)).double().sum())
    gains, _ = parallel.total(gains, {})
    return max(0.0, gains / len(groups))


def mismatched(groups: Sequence[TokenGroup]) -> list[TokenGroup]:
    """Each prompt with the completion of the group before it; the first with that of the last."""
    longest = max(len(group.prompt) + len(group.completions[0]) for group in groups)
    made = []
    for group, other in zip(groups, [groups[-1], *groups[:-1]], strict=True):
        room = longest - len(group.prompt)
        made.append(replace(group, completions=(other.completions[0][:room],), train=(other.train[0][:room],)))
    return made
