"""Is the packed forward of this model, on this data, its plain forward?

The check costs a few small batches and catches what otherwise costs a night: an architecture that ignores the attention
interface, or that lets what is outside attention (recurrent layers) run across the whole packed row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from preferably.batches.group import collate
from preferably.batches.packing import packed_size
from preferably.data.tokens import TokenGroup
from preferably.models.attention import NAME
from preferably.models.policy import Policy

GROUPS, TOKENS = 4, 4096  # how much data is enough to tell
# Largest difference of a log-prob between packed and plain forward, nats, in float32. Rounding gives 1e-6 on small
# models and 1e-4 on billions of parameters; a wrong mask gives 1e-2 (ALiBi lost) to 1 (prompt hidden).
TOLERANCE = 1e-3
ROUNDED = 2.0  # by how much more one kernel may round than the other, in the mean
UNLIKE = 0.3  # of a parameter's gradient: rounding to bfloat16 gives some hundredths, a head of keys left out 1
WEIGHTY = 0.01  # of the largest gradient: smaller ones are rounding alone


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """What was found."""

    packed: bool  # whether the packed path is used
    difference: float | None  # largest |packed - plain|, nats; None where the packed path could not run
    note: str | None  # what the user should know


@torch.no_grad()
def check_packing(policy: Policy, groups: Sequence[TokenGroup]) -> SelfCheck:
    """Compare the packed with the plain forward and count the calls of our attention; fall back if either is off."""
    policy.checked = True
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
            policy.compute = compute
            return SelfCheck(True, difference, _check_strips(policy, few, packed))
        return SelfCheck(False, difference, note)
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        policy.fall_back()
        reason = str(error).split("\n")[0][:160]
        return SelfCheck(False, None, f"{name} cannot run packed batches ({reason}); the padded path is used.")
    finally:
        policy.compute = compute


def _check_strips(policy: Policy, groups: Sequence[TokenGroup], exact: Tensor) -> str | None:
    """On a GPU in half precision: is all in one call as near to `exact`, the log-probs in float32, as branch by branch,
    and does it learn the same? If not, it is not used, and what is said of it is given back."""
    if policy.compute == torch.float32 or collate(groups).to(policy.device).plan.strip is None:
        return None
    try:
        apart, slopes = _felt(policy, groups, exact, strips=False)
        ours, others = _felt(policy, groups, exact, strips=True)
    except (RuntimeError, ValueError, TypeError) as error:
        policy.strips = False
        reason = str(error).split("\n")[0][:160]
        return f"The GPU cannot attend to branches of any length in one call ({reason}); it takes many."
    sizes = [float(slope.norm()) for slope in slopes]
    told = [
        float((a - b).norm()) / size
        for a, b, size in zip(others, slopes, sizes, strict=True) if size > WEIGHTY * max(sizes)
    ]  # fmt: skip
    if ours <= ROUNDED * apart + TOLERANCE and all(one <= UNLIKE for one in told):
        return None
    policy.strips = False
    return (
        f"Attending to all branches in one call is off by {ours:.2g} nats a token, in many calls by {apart:.2g}, and "
        f"its gradients differ by up to {max(told, default=0.0):.0%}; many calls are used."
    )


def _felt(
    policy: Policy, groups: Sequence[TokenGroup], exact: Tensor, *, strips: bool
) -> tuple[float, list[Tensor]]:  # fmt: skip
    """How far the log-probs are from `exact` in the mean, nats; and their gradient, by parameter."""
    policy.strips = strips
    trained = [parameter for parameter in policy.parameters() if parameter.requires_grad]
    with torch.enable_grad():
        found = policy(collate(groups))
        slopes = torch.autograd.grad(found.sum(), trained, materialize_grads=True) if trained else ()
    return float((found.detach() - exact).abs().mean()), list(slopes)


def some_of(groups: Sequence[TokenGroup]) -> list[TokenGroup]:
    """Some small groups, and at least one."""
    few: list[TokenGroup] = []
    for group in sorted(groups[:256], key=packed_size)[:: max(1, len(groups[:256]) // GROUPS)][:GROUPS]:
        if not few or sum(map(packed_size, few)) + packed_size(group) <= TOKENS:
            few.append(group)
    return few
