"""From a batch to one loss per group, and the numbers that users know. Shapes: G groups, N completions."""

from collections.abc import Callable

import torch
from torch import Tensor

from preferably.batches.group import Batch
from preferably.methods import Method
from preferably.models.policy import Policy
from preferably.objectives import pairwise, supervised

PAIRWISE: dict[str, Callable[..., Tensor]] = {
    "dpo": pairwise.dpo,
    "robust_dpo": pairwise.robust_dpo,
    "ipo": pairwise.ipo,
    "hinge": pairwise.hinge,
}


def count_of(method: Method, groups: int, tokens: float) -> float:
    """What the step's summed loss is divided by: all its groups, or all its trained tokens."""
    return tokens if method.count == "tokens" else groups


def group_losses(
    policy: Policy, batch: Batch, reference: Tensor | None, method: Method, hyperparameters: dict[str, float]
) -> tuple[Tensor, dict[str, Tensor]]:
    """One loss per group [G], with the graph, and what to log of each group ([G] each, without it).

    `reference`: [N] summed log-probs of the completions under the reference, nats; None where the method has none.
    """
    batch = batch.to(policy.device)
    sums = batch.sums(policy(batch))
    if method.feedback == "demonstrations":
        return supervised.nll(sums), {}
    assert reference is not None
    return pair_losses(sums, reference.to(sums.device), batch.lengths, method, hyperparameters)


def pair_losses(
    policy: Tensor, reference: Tensor, lengths: Tensor, method: Method, hyperparameters: dict[str, float]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Losses and metrics of pairs: everything [2G], chosen and rejected in turn; sums in nats, lengths in tokens."""
    options = dict(hyperparameters)
    nll_weight = options.pop("nll_weight", 0.0)
    scale = lengths if method.length == "mean" else torch.ones_like(lengths)
    ours, theirs = policy / scale, reference / scale
    losses = PAIRWISE[method.loss](ours[::2], ours[1::2], theirs[::2], theirs[1::2], **options)
    metrics = _pair_metrics(policy.detach(), reference, lengths, options["beta"])
    if nll_weight:
        per_token = -policy[::2] / lengths[::2]
        losses = losses + nll_weight * per_token
        metrics["nll"] = per_token.detach()
    return losses, metrics


def _pair_metrics(policy: Tensor, reference: Tensor, lengths: Tensor, beta: float) -> dict[str, Tensor]:
    """TRL's names. Rewards are beta x log-ratio, summed over tokens; a tie counts half in the accuracy."""
    log_ratio = policy - reference
    chosen, rejected = beta * log_ratio[::2], beta * log_ratio[1::2]
    return {
        "rewards/chosen": chosen,
        "rewards/rejected": rejected,
        "rewards/accuracies": 0.5 + 0.5 * torch.sign(chosen - rejected),
        "rewards/margins": chosen - rejected,
        "logps/chosen": policy[::2],
        "logps/rejected": policy[1::2],
        "logratio/chosen_per_token": log_ratio[::2] / lengths[::2],
    }
