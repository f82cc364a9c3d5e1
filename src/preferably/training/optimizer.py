"""AdamW and the learning rate as a function of the step."""

import math

import torch
from torch import nn

from preferably.errors import ConfigError


def adamw(
    model: nn.Module, *, learning_rate: float, betas: tuple[float, float], eps: float, weight_decay: float
) -> torch.optim.AdamW:
    """Fused AdamW (Loshchilov & Hutter 2019) over the trainable weights; vectors (norms, biases) do not decay."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=learning_rate, betas=betas, eps=eps, fused=True)


def step_at(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Update the weights at the learning rate `rate`."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()


def warmup_steps(warmup: float, total: int) -> int:
    """Steps of warm-up: a share of `total` below 1, a count from 1 on. At least one step is left to train at the peak.

    `ConfigError` for a count that leaves none.
    """
    if warmup < 1:
        return min(math.ceil(warmup * total), total - 1)
    if warmup >= total:
        raise ConfigError(
            f"A warm-up of {warmup:g} steps leaves none of the {total} steps of the run; make it smaller."
        )
    return int(warmup)


def learning_rate_at(step: int, total: int, *, peak: float, schedule: str, warmup: int) -> float:
    """The learning rate of update `step` (0-based) of `total`: linear from 0 to `peak`, then as `schedule` says.

    `cosine` and `linear` reach 0 at `total`; `constant` stays. The same functions as in transformers, so that a run can
    be compared with one of TRL step by step.
    """
    if step < warmup:
        return peak * step / warmup
    progress = (step - warmup) / max(1, total - warmup)
    if schedule == "linear":
        return peak * max(0.0, 1 - progress)
    if schedule == "cosine":
        return peak * max(0.0, 0.5 * (1 + math.cos(math.pi * progress)))
    return peak
