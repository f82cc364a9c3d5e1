"""Before step 1, on the real model and data: is the policy the reference, do labels pull evenly?"""

from collections.abc import Sequence

import torch

from preferably.batches.group import collate
from preferably.data.tokens import TokenGroup
from preferably.errors import TrainingError
from preferably.methods import Method
from preferably.models.policy import Policy
from preferably.models.selfcheck import TOLERANCE, some_of
from preferably.training.reference import Reference
from preferably.training.steps import losses_of


@torch.no_grad()
def check_reference(
    policy: Policy,
    reference: Reference,
    groups: Sequence[TokenGroup],
    method: Method,
    hyperparameters: dict[str, float],
) -> float:
    """The loss at the start, without an SFT term; raises `TrainingError` if the two models differ."""
    batch = collate(some_of(groups)).to(policy.device)
    ours, theirs = batch.sums(policy(batch)), batch.sums(reference.logps(batch))
    apart = float((ours - theirs).abs().max())
    if not apart <= TOLERANCE:
        raise TrainingError(
            f"Before training, policy and reference differ by {apart:.3g} nats on a completion; they are one model "
            "then, so the reference is not the model that training starts from. This is a bug; please report it with "
            "the model."
        )
    if method.online:
        return 0.0  # what they learn from is not there yet
    losses, _ = losses_of(ours, theirs, batch, method, {**hyperparameters, "nll_weight": 0.0}, 0.0)
    return float(losses.mean())


def check_balance(groups: Sequence[TokenGroup], hyperparameters: dict[str, float]) -> str | None:
    """What to say of thumbs that pull unevenly: desirable ones should weigh 1 to 4/3 times as much as the others.

    Source: the KTO paper, equation 8 (https://arxiv.org/abs/2402.01306).
    """
    up = sum(bool(group.label) for group in groups)
    down = len(groups) - up
    if not up or not down:
        return f"All {len(groups)} training labels are {'' if up else 'un'}desirable: there is no contrast to learn."
    weights = [hyperparameters.get(name, 1.0) for name in ("desirable_weight", "undesirable_weight")]
    if not all(weights):
        return f"Of {len(groups)} training labels {down if weights[0] else up} weigh 0: they are learnt nothing from."
    ratio = weights[0] * up / (weights[1] * down)
    if 1 <= round(ratio, 2) <= 1.34:
        return None
    return (
        f"{up} completions are desirable and {down} are not: with these weights the former pull {ratio:.2f} times as "
        f"much; 1 to 1.33 is advised: set undesirable_weight {weights[1] * ratio:.3g}, or "
        f"desirable_weight {weights[0] / ratio:.3g}."
    )
