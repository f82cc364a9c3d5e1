"""The weights of a policy shared out among the processes (FSDP2). On one process, everything here does nothing.

`Policy` is the one root that is wrapped and each of its blocks is gathered as it is needed, so weights are whole only
inside `Policy.forward`. Whatever needs them elsewhere (sampling, saving) works on a plain copy on the main process.
"""

import copy
import os
from collections.abc import Mapping
from weakref import WeakKeyDictionary

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from preferably.errors import ConfigError
from preferably.models.loading import choose_device
from preferably.models.policy import Policy
from preferably.training import parallel

# The modules of each sharded policy around weights that take no memory: what FSDP wrapped cannot be copied.
_outlines: WeakKeyDictionary[Policy, Policy] = WeakKeyDictionary()


def shard(policy: Policy, device: str) -> None:
    """Leave each process its part of the weights of `policy`, on `device` (auto, cpu or cuda; there is one for each).

    Gradients are added up over processes, not averaged: losses are divided by counts of the whole step already. They
    are float32 on the way, as are the weights: the casts of `Policy.autocast` stay what they are on one process.
    Raises `ConfigError` for a device that cannot be shared.
    """
    if not dist.is_initialized():
        return
    mesh = _mesh(device)
    empty = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=p.requires_grad)
        for p in policy.parameters()
    }
    _outlines[policy] = copy.deepcopy(policy, dict(empty))
    names = getattr(policy.inner, "_no_split_modules", None) or ()  # transformers' classes of blocks
    stacks = [module for module in policy.modules() if isinstance(module, nn.ModuleList)]
    blocks = [block for stack in stacks for block in stack if type(block).__name__ in names]
    for module in [*blocks, policy]:
        # Also the root is given up after its forward: what reads weights between two steps must find its part of them.
        fully_shard(module, mesh=mesh, reshard_after_forward=True)
        assert isinstance(module, FSDPModule)
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(True)  # gloo has no other


def _mesh(name: str) -> DeviceMesh:
    device = choose_device(name)
    if device.type not in ("cpu", "cuda") or device.index is not None:
        raise ConfigError(f"{parallel.world()} processes cannot share the device {str(device)!r}; use cpu or cuda.")
    if device.type == "cuda":
        place = int(os.environ.get("LOCAL_RANK", parallel.rank()))
        if place >= torch.cuda.device_count():
            raise ConfigError(
                f"Each process needs a GPU of its own, and this machine has {torch.cuda.device_count()}; start as many "
                "processes, or use --device cpu."
            )
        torch.cuda.set_device(place)
    return init_device_mesh(device.type, (parallel.world(),))


def whole(tensor: Tensor) -> Tensor:
    """`tensor` with the parts of all processes, on each of them."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def to_main(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole `tensors` in the main process's memory, not its GPU's; nothing elsewhere.

    One at a time passes through a device. The main process holds all that it is given at once: for a checkpoint, the
    trained weights and AdamW's two moments, 12 bytes for each trained parameter.
    """
    out = {}
    for name, tensor in tensors.items():
        value = whole(tensor.detach())
        if parallel.is_main():
            out[name] = value.cpu().contiguous()
    return out


def like(value: Tensor, parameter: Tensor) -> Tensor:
    """A whole `value`, the same on all processes, where and in the parts that `parameter` is."""
    value = value.to(parameter.device)
    if not isinstance(parameter, DTensor):
        return value
    return distribute_tensor(value, parameter.device_mesh, parameter.placements, src_data_rank=None)


@torch.no_grad()
def assembled(policy: Policy) -> Policy:
    """A plain copy of a sharded `policy` with whole weights, on the main process, where it takes the memory of a whole
    model on the device; elsewhere one without weights. All processes must ask. `policy` itself where it is not sharded.
    """
    outline = _outlines.get(policy)
    if outline is None:
        return policy
    filled = {}
    for empty, part in zip(outline.parameters(), policy.parameters(), strict=True):
        value = whole(part.detach())
        if parallel.is_main():
            filled[id(empty)] = nn.Parameter(value, requires_grad=part.requires_grad)
    if not parallel.is_main():
        return outline
    plain = copy.deepcopy(outline, filled).to(policy.device)
    plain.follow(policy)
    return plain
