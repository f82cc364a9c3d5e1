"""From rollouts to what each token is to learn: rewards with the KL in them, advantages, returns.

Everything here is computed once an iteration, without gradients, before any update (details 11 to 18 of
https://arxiv.org/abs/2403.17031; docs/ppo.md). Shapes: N completions, R_k tokens of the k-th, L of the longest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from preferably.batches.group import Batch, collate
from preferably.batches.packing import split_by_tokens
from preferably.config import TrainSettings
from preferably.data.tokens import TokenGroup
from preferably.models.critic import Critic, SharedCritic
from preferably.models.policy import Policy
from preferably.objectives import kl
from preferably.objectives.advantages import gae, leave_one_out, whitened, within_group
from preferably.training.reference import Reference
from preferably.training.rollouts import Rollout

ESTIMATES = {"k1": kl.k1, "k2": kl.k2, "k3": kl.k3}
APART = "sampling/sampling_logp_difference/mean"  # of the log-probs that drawing captured from the trainer's own, nats


@dataclass(slots=True)
class Lesson:
    """A rollout as its update sees it: K tensors [R_k] of each kind, on the processor."""

    group: TokenGroup
    old: list[Tensor]  # log-probs under the policy that drew it, at the temperature it was drawn with, nats
    reference: list[Tensor]  # the same under the reference; empty without one
    values: list[Tensor]  # of the critic; empty without one
    advantages: list[Tensor]
    returns: list[Tensor]  # what the critic is to learn; empty without one


def captured(policy: Policy, settings: TrainSettings) -> bool:
    """Whether the log-probs that drawing captured are the old ones, which spares a forward.

    They are those of the policy at temperature 1, computed in float32 by the same weights, so they differ from the
    trainer's by rounding. Where an iteration has one update, its own forward gives them once more, for a ratio of 1.
    """
    once = settings.update_epochs * settings.minibatches == 1
    return once and settings.temperature == 1 and policy.compute == torch.float32


def lessons_of(
    rollouts: Sequence[Rollout],
    policy: Policy,
    reference: Reference | None,
    critic: Critic | SharedCritic | None,
    settings: TrainSettings,
    kl_coef: float,
) -> tuple[list[Lesson], dict[str, float]]:
    """Lessons, and what to log: KL and entropy in nats per completion, the score with and without the KL."""
    groups = [rollout.group for rollout in rollouts]
    drawn = [torch.tensor(one.logps) for rollout in rollouts for one in rollout.samples]
    given = drawn if captured(policy, settings) else None
    old, known, values = looked_at(groups, policy, reference, critic, settings, given)
    estimate = ESTIMATES[settings.estimator]
    ratios = [kl.k1(mine, theirs) for mine, theirs in zip(old, known, strict=True)] if known else []
    scores = torch.tensor([score for rollout in rollouts for score in rollout.scores])
    penalties = [torch.zeros_like(one) for one in old]
    if known and settings.kl_in == "reward":
        penalties = [kl_coef * estimate(mine, theirs) for mine, theirs in zip(old, known, strict=True)]
    totals = scores - torch.stack([one.sum() for one in penalties])
    lengths = torch.tensor([len(one) for one in old])
    returns: list[Tensor] = []
    if settings.row.advantage == "gae":
        rewards = pad_sequence([-one for one in penalties], batch_first=True)
        rewards[torch.arange(len(lengths)), lengths - 1] += scores  # on the last token: EOS where there is one
        if settings.whiten_rewards:
            inside = torch.arange(rewards.shape[1]) < lengths[:, None]
            rewards[inside] = whitened(rewards[inside], shift=False)
        numbers = {name: settings.hyperparameters[name] for name in ("gamma", "lam")}
        gained, wanted = gae(rewards, pad_sequence(values, batch_first=True), lengths, **numbers)
        advantages = [row[:length] for row, length in zip(gained, lengths.tolist(), strict=True)]
        returns = [row[:length] for row, length in zip(wanted, lengths.tolist(), strict=True)]
    else:
        grid = totals.view(len(rollouts), -1)
        scaled = settings.scale_advantages
        better = leave_one_out(grid) if settings.row.advantage == "leave-one-out" else within_group(grid, scale=scaled)
        advantages = [one.expand(length) for one, length in zip(better.flatten(), lengths.tolist(), strict=True)]
    if settings.whiten_advantages:
        white = whitened(torch.cat(advantages))
        advantages = list(white.split(lengths.tolist()))
    logged = {
        "objective/scores": float(scores.mean()), "objective/rlhf_reward": float(totals.mean()),
        "objective/non_score_reward": float(totals.mean() - scores.mean()),
        "objective/entropy": float(-torch.cat(old).sum() / len(old)),
    }  # fmt: skip
    if settings.temperature == 1 and given is None:  # what was captured is at that; a large gap: another model draws
        logged[APART] = float((torch.cat(old) - torch.cat(drawn)).abs().mean())
    if ratios:
        per_sequence = torch.stack([one.sum() for one in ratios])
        logged["objective/rollout_kl"] = float(per_sequence.mean())
        logged["objective/rollout_kl_per_token"] = float(per_sequence.sum() / lengths.sum())
    if values:
        everything, wanted = torch.cat(values), torch.cat(returns)
        unexplained = (wanted - everything).var(unbiased=False) / wanted.var(unbiased=False).clamp(min=1e-8)
        logged["value/explained"] = float(1 - unexplained)
    return _by_group(groups, old, known, values, advantages, returns), logged


@torch.no_grad()
def looked_at(
    groups: Sequence[TokenGroup],
    policy: Policy,
    reference: Reference | None,
    critic: Critic | SharedCritic | None,
    settings: TrainSettings,
    given: list[Tensor] | None = None,
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Log-probs under policy (unless they are `given`) and reference, and values, of every completion's tokens: [R_k]
    each, in order."""
    found: tuple[list[Tensor], list[Tensor], list[Tensor]] = (given or [], [], [])
    for run in split_by_tokens(groups, settings.tokens_per_microbatch):
        batch = collate(run)
        with policy.remembering(), policy.at(settings.temperature):
            if given is None:
                found[0].extend(_split(policy(batch), batch))
            if critic is not None:
                found[2].extend(_split(critic(batch), batch))
        if reference is not None:
            with reference.policy.at(settings.temperature):
                found[1].extend(_split(reference.logps(batch), batch))
    return found


def _split(values: Tensor, batch: Batch) -> list[Tensor]:
    return list(values.cpu().split([len(one) for group in batch.groups for one in group.completions]))


def _by_group(groups: Sequence[TokenGroup], *kinds: Sequence[Tensor]) -> list[Lesson]:
    made, at = [], 0
    for group in groups:
        end = at + len(group.completions)
        made.append(Lesson(group, *(list(kind[at:end]) for kind in kinds)))
        at = end
    return made
