"""The losses of an update on the policy's own tokens. Shapes: C tokens of a micro-batch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from preferably.batches.group import Batch, collate
from preferably.config import TrainSettings
from preferably.models.critic import Critic, SharedCritic
from preferably.models.policy import Policy
from preferably.objectives.policy import clipped, clipped_value
from preferably.training.lessons import APART, ESTIMATES, Lesson, captured


def weights_of(lessons: Sequence[Lesson], settings: TrainSettings) -> dict[int, Tensor]:
    """What each token of a minibatch counts, by the lesson's place: [tokens of the lesson].

    `tokens`: all alike. `sequences`: every completion as much as any other, however long. `fixed`: all alike, whatever
    there are of them, 1 / (completions x sample_tokens) (Dr. GRPO).
    """
    completions = [one for lesson in lessons for one in lesson.old]
    tokens = sum(map(len, completions))
    weights = {}
    for place, lesson in enumerate(lessons):
        parts = []
        for one in lesson.old:
            size = {
                "tokens": tokens,
                "sequences": len(completions) * len(one),
                "fixed": len(completions) * settings.sample_tokens,
            }[settings.loss_norm]
            parts.append(torch.full((len(one),), 1 / size))
        weights[place] = torch.cat(parts)
    return weights


def update_losses(
    policy: Policy,
    critic: Critic | SharedCritic | None,
    lessons: Sequence[Lesson],
    weights: Tensor,
    settings: TrainSettings,
    kl_coef: float,
) -> tuple[Tensor, Tensor | None, dict[str, Tensor]]:
    """The loss of a micro-batch for the policy and for the critic, each a sum by `weights` [C], and what to log, [C].

    The ratio is 1 in the first minibatch of an iteration: the same forward gave `old`, or gives it here.
    """
    batch: Batch = collate([lesson.group for lesson in lessons]).to(policy.device)
    numbers, device = settings.hyperparameters, policy.device

    def of(name: str) -> Tensor:
        return torch.cat([one for lesson in lessons for one in getattr(lesson, name)]).to(device)

    weights, old, advantages = weights.to(device), of("old"), of("advantages")
    with policy.remembering(), policy.at(settings.temperature):
        new = policy(batch)
        values = critic(batch) if critic is not None else None
    logged = {}
    if captured(policy, settings):
        logged[APART], old = (new.detach() - old).abs(), new.detach()
    clip = numbers["clip_range"]
    losses = clipped(new, old, advantages, low=clip, high=settings.clip_high or clip)
    cut = (losses > -advantages * (new - old).exp()).float()  # where the clipped branch is the one that counts
    if settings.kl_in == "loss" and lessons[0].reference:
        losses = losses + kl_coef * ESTIMATES[settings.estimator](new, of("reference"))
    with torch.no_grad():
        moved = new - old
        ratio = moved.exp()
        logged |= {
            "policy/approxkl_avg": 0.5 * moved**2, "policy/clipfrac_avg": cut,
            "val/ratio": ratio, "loss/policy_avg": losses.detach(),
        }  # fmt: skip
    value_loss = None
    if values is not None:
        wanted = of("returns")
        by_token = clipped_value(values, of("values"), wanted, clip=numbers["value_clip"])
        value_loss = (by_token * weights).sum()
        logged["loss/value_avg"] = by_token.detach()
        logged["val/clipfrac_avg"] = (by_token > 0.5 * (values - wanted) ** 2).detach().float()
    return (losses * weights).sum(), value_loss, logged
