"""From a batch to one loss per group, and the numbers that users know. Shapes: G groups, N completions."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from preferably.batches.group import Batch
from preferably.errors import ConfigError
from preferably.functions import load_function
from preferably.methods import Method
from preferably.models.policy import Policy
from preferably.objectives import pairwise, supervised, unpaired
from preferably.training.ranked import ranked_losses

OBJECTIVES: dict[str, Callable[..., Tensor]] = {
    "nll": supervised.nll,
    "dpo": pairwise.dpo,
    "robust_dpo": pairwise.robust_dpo,
    "ipo": pairwise.ipo,
    "hinge": pairwise.hinge,
    "orpo": pairwise.orpo,
    "kto": unpaired.kto,
}

# What was measured, by name: a tensor of as many entries as it was measured on (not every group has every metric).
Metrics = dict[str, Tensor]


def count_of(method: Method, groups: int, tokens: float) -> float:
    """What the step's summed loss is divided by: all its groups, or all its trained tokens."""
    return tokens if method.count == "tokens" else groups


def group_losses(
    policy: Policy,
    batch: Batch,
    reference: Tensor | None,
    method: Method,
    hyperparameters: dict[str, float],
    baseline: float | None = None,
) -> tuple[Tensor, Metrics]:
    """One loss per group [G], with the graph, and what to log, without it.

    `reference`: [N] summed log-probs of the completions under the reference, nats; None where the method has none.
    `baseline`: the step's KL baseline, nats, where the method takes one.
    """
    batch = batch.to(policy.device)
    if method.scores:
        return ranked_losses(policy(batch), batch, hyperparameters)
    sums = batch.sums(policy(batch))
    known = reference.to(sums.device) if reference is not None else None
    return losses_of(sums, known, batch, method, hyperparameters, baseline)


def losses_of(
    policy: Tensor,
    reference: Tensor | None,
    batch: Batch,
    method: Method,
    hyperparameters: dict[str, float],
    baseline: float | None = None,
) -> tuple[Tensor, Metrics]:
    """`group_losses` from the log-probs of the completions, [N] each: sums over trained tokens, nats."""
    losses = torch.zeros(len(batch.groups), device=policy.device)
    for weight, part in method.parts:
        losses = losses + weight * _objective(part, policy, reference, batch, hyperparameters, baseline)
    metrics: Metrics = {}
    liked = _liked(method, batch)
    if method.feedback != "demonstrations":
        metrics = _metrics(policy.detach(), reference, batch.lengths, liked, hyperparameters.get("beta", 1.0))
        if method.feedback == "pairs":  # a tie counts half
            ahead = metrics["rewards/chosen"] - metrics["rewards/rejected"]
            metrics["rewards/accuracies"] = 0.5 + 0.5 * torch.sign(ahead)
    if baseline is not None:
        metrics["kl_baseline"] = torch.tensor([baseline])
    if nll_weight := hyperparameters.get("nll_weight"):
        per_token = -policy / batch.lengths
        if method.feedback == "pairs":
            losses = losses + nll_weight * per_token[::2]
        else:
            losses = losses + nll_weight * torch.where(torch.tensor(liked, device=policy.device), per_token, 0.0)
        metrics["nll"] = per_token.detach()[_places(liked, True)]
    return losses, metrics


def _objective(
    part: Method,
    policy: Tensor,
    reference: Tensor | None,
    batch: Batch,
    hyperparameters: dict[str, float],
    baseline: float | None,
) -> Tensor:
    """Call the method's function with what the names of its parameters ask for, [G]."""
    function = OBJECTIVES.get(part.loss) or load_function(part.loss)
    scale = batch.lengths if part.length == "mean" else 1.0
    ours, theirs = policy / scale, reference / scale if reference is not None else None
    given: dict[str, Tensor | None] = {"policy": ours, "reference": theirs, "length": batch.lengths}
    if part.feedback == "pairs":
        given = {f"{name}_{side}": value[at::2] for name, value in (("policy", ours), ("reference", theirs))
                 if value is not None for at, side in enumerate(("chosen", "rejected"))}  # fmt: skip
        given |= {"chosen_length": batch.lengths[::2], "rejected_length": batch.lengths[1::2]}
    if part.feedback == "labels":
        given["desirable"] = torch.tensor(_liked(part, batch), device=policy.device)
        given["baseline"] = torch.tensor(baseline or 0.0, device=policy.device)
    takes = inspect.signature(function).parameters
    tensors = {name: value for name, value in given.items() if name in takes}
    numbers = {name: value for name, value in hyperparameters.items() if name in takes}
    if part.loss in OBJECTIVES:
        return _expected(function, tensors, numbers, batch)
    try:
        losses = function(**tensors, **numbers)
    except Exception as error:
        raise ConfigError(f"The objective {part.loss} raised {type(error).__name__}: {error}.") from error
    shape = tuple(losses.shape) if isinstance(losses, Tensor) else f"a {type(losses).__name__}"
    wanted = (len(batch.groups),)
    if shape != wanted or (policy.requires_grad and not losses.requires_grad):
        graph = "" if shape != wanted else ", without a graph back to the policy"
        raise ConfigError(
            f"The objective {part.loss} gave {shape}{graph}; expected a tensor {wanted}, one loss for each group, made "
            "of the log-probs that it was given."
        )
    return losses


def _expected(
    function: Callable[..., Tensor], tensors: dict[str, Any], numbers: dict[str, float], batch: Batch
) -> Tensor:
    """The loss, [G], of a pair of which the chosen one is the better with probability p: p times that of the pair and
    1 - p times that of the pair the other way round. It is -p log sigmoid(x) - (1 - p) log sigmoid(-x) for DPO."""
    losses = function(**tensors, **numbers)
    if all(group.probability is None for group in batch.groups):
        return losses
    turned = {name: tensors.get(_other_side(name), value) for name, value in tensors.items()}
    sure = torch.tensor([1.0 if one.probability is None else one.probability for one in batch.groups]).to(losses)
    return sure * losses + (1 - sure) * function(**turned, **numbers)


def _other_side(name: str) -> str:
    swapped = {"chosen": "rejected", "rejected": "chosen"}
    return "_".join(swapped.get(word, word) for word in name.split("_"))


def _liked(method: Method, batch: Batch) -> list[bool]:
    """Of each of the N completions, whether it is to be made likelier."""
    if method.feedback == "labels":
        return [bool(group.label) for group in batch.groups]
    return [method.feedback != "pairs" or index % 2 == 0 for index in range(batch.completions)]


def _places(liked: list[bool], value: bool) -> list[int]:
    # Indices, not a mask: how many there are is known without looking into tensors, which a rehearsal does not fill.
    return [index for index, one in enumerate(liked) if one == value]


def _metrics(policy: Tensor, reference: Tensor | None, lengths: Tensor, liked: list[bool], beta: float) -> Metrics:
    """TRL's names. Rewards are beta x log-ratio summed over tokens, or, without a reference, beta x mean log-prob."""
    chosen, rejected = _places(liked, True), _places(liked, False)
    reward = beta * (policy - reference if reference is not None else policy / lengths)
    metrics = {
        "rewards/chosen": reward[chosen],
        "rewards/rejected": reward[rejected],
        "logps/chosen": policy[chosen],
        "logps/rejected": policy[rejected],
    }
    if reference is not None:
        metrics["logratio/chosen_per_token"] = ((policy - reference) / lengths)[chosen]
    return metrics


def tally(sums: dict[str, float], metrics: Metrics, share: float = 1.0) -> None:
    """Add what a micro-batch measured to `sums`: for each metric its sum and, under `name#`, on how many."""
    for name, values in metrics.items():
        sums[name] = sums.get(name, 0.0) + share * float(values.double().sum())
        sums[name + "#"] = sums.get(name + "#", 0.0) + share * len(values)


def means(sums: Mapping[str, float]) -> dict[str, float]:
    """The mean of every metric over all that it was measured on, and the margin between the two rewards."""
    measured = {name for name in sums if not name.endswith("#") and sums[name + "#"]}
    out = {name: sums[name] / sums[name + "#"] for name in sums if name in measured}
    if "rewards/chosen" in out and "rewards/rejected" in out:
        out["rewards/margins"] = out["rewards/chosen"] - out["rewards/rejected"]
    return out
