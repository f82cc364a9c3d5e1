"""Before step 1, on the real model and data: is the packed forward right, and is the policy the reference?

These checks cost a few small batches and catch the bugs that otherwise cost a night: an architecture that ignores the
attention interface, a reference that is not the starting model, completions that never end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from preferably.batches.group import collate
from preferably.batches.packing import packed_size
from preferably.data.tokens import TokenGroup
from preferably.errors import TrainingError
from preferably.methods import Method
from preferably.models.attention import NAME
from preferably.models.policy import Policy
from preferably.training.reference import Reference
from preferably.training.steps import losses_of

GROUPS, TOKENS = 4, 4096  # how much data is enough to tell
# Largest difference of a log-prob between packed and plain forward, nats, in float32. Rounding gives 1e-6 on small
# models and 1e-4 on billions of parameters; a wrong mask gives 1e-2 (ALiBi lost) to 1 (prompt hidden).
TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """What was found."""

    packed: bool  # whether the packed path is used
    difference: float | None  # largest |packed - plain|, nats; None where the packed path could not run
    note: str | None  # what the user should know


@torch.no_grad()
def check_packing(policy: Policy, groups: Sequence[TokenGroup]) -> SelfCheck:
    """Compare the packed with the plain forward and count the calls of our attention; fall back if either is off."""
    if not policy.packed:
        return SelfCheck(False, None, None)
    few = some_of(groups)
    compute, policy.compute = policy.compute, torch.float32  # rounding of bfloat16 would hide what is looked for
    name = type(policy.inner).__name__
    try:
        batch = collate(few)
        packed = policy(batch)
        policy.fall_back()  # the model's own attention: what ours is held against, and the way back
        difference = float((packed - policy(collate(few))).abs().max())
        layers = policy.inner.config.get_text_config().num_hidden_layers
        if batch.plan.calls != layers:
            note = f"{name} called our attention {batch.plan.calls} times for {layers} layers; the padded path is used."
        elif not difference <= TOLERANCE:
            note = f"Packed and plain forward of {name} differ by {difference:.2g} nats; the padded path is used."
        else:
            policy.packed = True
            policy.inner.set_attn_implementation(NAME)
            return SelfCheck(True, difference, None)
        return SelfCheck(False, difference, note)
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        policy.fall_back()
        reason = str(error).split("\n")[0][:160]
        return SelfCheck(False, None, f"{name} cannot run packed batches ({reason}); the padded path is used.")
    finally:
        policy.compute = compute


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
    ratio = hyperparameters["desirable_weight"] * up / (hyperparameters["undesirable_weight"] * down)
    if 1 <= round(ratio, 2) <= 1.34:
        return None
    return (
        f"{up} completions are desirable and {down} are not: with these weights the former pull {ratio:.2f} times as "
        f"much; 1 to 1.33 is advised: set undesirable_weight {hyperparameters['undesirable_weight'] * ratio:.3g}, or "
        f"desirable_weight {hyperparameters['desirable_weight'] / ratio:.3g}."
    )


def some_of(groups: Sequence[TokenGroup]) -> list[TokenGroup]:
    """Some small groups, and at least one."""
    few: list[TokenGroup] = []
    for group in sorted(groups[:256], key=packed_size)[:: max(1, len(groups[:256]) // GROUPS)][:GROUPS]:
        if not few or sum(map(packed_size, few)) + packed_size(group) <= TOKENS:
            few.append(group)
    return few
