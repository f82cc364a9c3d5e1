"""The models beside the policy of an online run, as far as memory and time go: critic, reward models, the copy that
draws. Like the policy they are rehearsed without weights."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from preferably.batches.group import Batch
from preferably.batches.packing import split_by_tokens
from preferably.config import TrainSettings
from preferably.judging.parts import model_names
from preferably.models.critic import SHARED, Critic
from preferably.models.loading import Loaded, load_reward
from preferably.models.scorer import Scorer
from preferably.objectives.policy import clipped_value
from preferably.training.equipment import critic_scorer
from preferably.training.rehearsal import backward_peak, forward_peak
from preferably.training.workload import Workload, largest_of

SCORED = 8192  # tokens of a micro-batch that a reward model takes (`judging.reward`)


@dataclass(frozen=True, slots=True)
class Company:
    """Bytes: of weights in float32, and of what the largest micro-batch holds beside them."""

    critic: int = 0
    rewards: int = 0  # guard included
    resident: int = 0  # the policy's copy in the dtype that it computes in
    critic_step: dict[str, int] = field(default_factory=dict)  # gradients and activations
    critic_forward: int = 0
    scoring: int = 0
    unknown: tuple[str, ...] = ()  # parts of the reward whose memory and time nobody can tell


def company_of(settings: TrainSettings, model: Loaded, work: Workload) -> Company:
    """What stands beside the policy of `model` in a run of `settings`; `Company()` for methods that draw nothing.

    Tokens are counted by the policy's tokenizer, also for a reward model with another. Raises what loading a
    configuration raises, and whatever torch or a model raises where it cannot be rehearsed.
    """
    if not settings.row.online:
        return Company()
    how: dict[str, Any] = settings.model_dump(include={"device", "dtype", "attention"}) | {"weights": False}
    names = model_names(settings.reward)
    rewards = [load_reward(name, **how) for name in [*names, *model_names([settings.guard] if settings.guard else [])]]
    micros = largest_of(split_by_tokens(work.rolled, SCORED))
    made: dict[str, Any] = {
        "rewards": sum(map(_weights, rewards)),
        "scoring": max((forward_peak(one.policy, micro) for one in rewards for micro in micros), default=0),
    }
    if settings.row.advantage == "gae" and settings.critic != SHARED:  # whose one row of weights is nothing
        made |= _critic(settings, critic_scorer(settings, names, model, how)[0], work)
    policy = model.policy
    resident = sum(p.numel() * policy.compute.itemsize for p in policy.parameters())
    return Company(
        **made, resident=resident if policy.compute != torch.float32 else 0,
        unknown=tuple(name for name in settings.reward if ":" in name and "format:" not in name),
    )  # fmt: skip


def _weights(loaded: Loaded) -> int:
    return sum(p.nbytes for p in loaded.policy.parameters())


def _critic(settings: TrainSettings, loaded: Loaded, work: Workload) -> dict[str, Any]:
    assert isinstance(loaded.policy, Scorer)
    critic = Critic.of(loaded.policy)

    def loss(batch: Batch) -> Tensor:
        values = critic(batch)
        return clipped_value(values, torch.zeros_like(values), torch.zeros_like(values), clip=0.2)

    # The largest micro-batches of rollouts whose log-probs and values are computed before the updates.
    rolled = largest_of(split_by_tokens(work.rolled, settings.tokens_per_microbatch))
    steps = [backward_peak(critic, groups, loss, accumulates=work.accumulates)[0] for groups in work.largest]
    return {
        "critic": _weights(loaded),
        "critic_step": max(steps, key=lambda most: sum(most.values())),
        "critic_forward": max(forward_peak(critic, groups) for groups in rolled),
    }
