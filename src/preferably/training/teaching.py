"""What the rollouts of an iteration teach, and the updates that learn it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from preferably.batches.group import collate
from preferably.batches.packing import split_by_tokens
from preferably.config import TrainSettings
from preferably.data.order import batch_indices, index_at
from preferably.data.tokens import TokenGroup
from preferably.methods import METHODS
from preferably.models.critic import Critic, SharedCritic
from preferably.models.policy import Policy
from preferably.training.lessons import Lesson, lessons_of
from preferably.training.optimizer import step_at
from preferably.training.policy_steps import update_losses, weights_of
from preferably.training.reference import Reference
from preferably.training.rollouts import Rollout
from preferably.training.state import State
from preferably.training.steps import count_of, group_losses, means, tally

LARGEST_CHANGE = 0.2  # of the coefficient of an adaptive KL, relative, for a whole horizon


@dataclass(slots=True)
class Teaching:
    """Everything that an update needs. `prepare` looks at rollouts without changing anything; `update` learns."""

    policy: Policy
    reference: Reference | None
    critic: Critic | SharedCritic | None
    optimizer: torch.optim.Optimizer
    tutor: torch.optim.Optimizer | None  # the critic's
    settings: TrainSettings
    mixed: Sequence[TokenGroup]  # demonstrations, whose loss is mixed in (PPO-ptx)
    lessons: list[Lesson] = field(default_factory=list)
    groups: list[TokenGroup] = field(default_factory=list)  # pairs or demonstrations that the rollouts gave

    def prepare(self, rollouts: Sequence[Rollout], state: State, logged: dict[str, Any]) -> str:
        """Make lessons of `rollouts`; says what is wrong with them, if anything is."""
        assert state.kl_coef is not None
        if self.settings.row.learns == "tokens":
            self.lessons, seen = lessons_of(
                rollouts, self.policy, self.reference, self.critic, self.settings, state.kl_coef
            )
            logged |= seen | {"kl_coef": state.kl_coef}
            numbers = [one for lesson in self.lessons for kind in (lesson.old, lesson.advantages) for one in kind]
            return "" if torch.isfinite(torch.cat(numbers)).all() else "log-probs or advantages are not finite"
        scores = [score for rollout in rollouts for score in rollout.scores]
        logged["objective/scores"] = sum(scores) / len(scores)
        self.groups = chosen_of(rollouts, pairs=self.settings.row.learns == "pairs")
        logged["rollouts/taught"] = len(self.groups)
        return ""

    def update(self, state: State, share: float, logged: dict[str, Any]) -> str:
        """All epochs over the lessons; says what went wrong, if anything did. `share` of the peak learning rates.

        A minibatch whose numbers are not finite is not applied, and ends the iteration.
        """
        settings = self.settings
        sums: dict[str, float] = {}
        norms: list[float] = []
        for epoch in range(settings.update_epochs):
            for number, places in enumerate(self._minibatches(state.step, epoch)):
                # The seed of demonstrations counts minibatches, so that each sees others.
                at = (state.step * settings.update_epochs + epoch) * settings.minibatches + number
                backward = self._tokens if settings.row.learns == "tokens" else self._completions
                loss = backward(places, sums, state.kl_coef or 0.0) + self._mix(at, sums)
                norm = self._step(share, loss)
                if norm is None:
                    return f"in epoch {epoch + 1}, minibatch {number + 1}, loss {loss} or its gradient is not finite"
                norms.append(norm)
        logged |= means(sums)
        if norms:
            logged["grad_norm"] = norms[-1]
        if "val/ratio_sq" in logged:
            logged["val/ratio_var"] = max(0.0, logged.pop("val/ratio_sq") - logged["val/ratio"] ** 2)
        logged["loss"] = logged.get("loss/policy_avg", logged.get("loss", 0.0))
        self._adapt(state, logged)
        return ""

    def _minibatches(self, step: int, epoch: int) -> list[list[int]]:
        """Places of the lessons in a fresh order each epoch, in as many parts as there are minibatches."""
        n = len(self.lessons if self.settings.row.learns == "tokens" else self.groups)
        order = [index_at(at, n, self.settings.seed + 1, step * self.settings.update_epochs + epoch) for at in range(n)]
        parts = min(self.settings.minibatches, n)
        return [order[part * n // parts : (part + 1) * n // parts] for part in range(parts)]

    def _tokens(self, places: Sequence[int], sums: dict[str, float], kl_coef: float) -> float:
        lessons = [self.lessons[place] for place in places]
        weights = weights_of(lessons, self.settings)
        total = 0.0
        at = 0
        for run in split_by_tokens([lesson.group for lesson in lessons], self.settings.tokens_per_microbatch):
            some = lessons[at : at + len(run)]
            weight = torch.cat([weights[place] for place in range(at, at + len(run))])
            at += len(run)
            loss, value_loss, seen = update_losses(self.policy, self.critic, some, weight, self.settings, kl_coef)
            both = loss
            if value_loss is not None:
                both = loss + self.settings.hyperparameters["value_weight"] * value_loss
            both.backward()
            total += float(both.detach())
            tally(sums, seen | {"val/ratio_sq": seen["val/ratio"] ** 2})
        return total

    def _completions(self, places: Sequence[int], sums: dict[str, float], kl_coef: float) -> float:
        """Pairs by the loss of DPO, best completions as demonstrations."""
        method = METHODS["dpo" if self.settings.row.learns == "pairs" else "sft"]
        groups = [self.groups[place] for place in places]
        numbers = {"beta": self.settings.hyperparameters.get("beta", 0.1), "label_smoothing": 0.0}
        tokens = float(sum(mask.sum() for group in groups for mask in group.train))
        count, total = count_of(method, len(groups), tokens), 0.0
        for run in split_by_tokens(groups, self.settings.tokens_per_microbatch):
            batch = collate(run)
            known = None
            if self.reference is not None and method.reference:
                with torch.no_grad():
                    known = batch.sums(self.reference.logps(batch)).cpu()
            losses, seen = group_losses(self.policy, batch, known, method, numbers)
            (losses.sum() / count).backward()
            total += float(losses.detach().sum()) / count
            tally(sums, seen | {"loss": losses.detach() * (len(groups) / count)})
        return total

    def _mix(self, at: int, sums: dict[str, float]) -> float:
        """The SFT loss on other demonstrations, by its weight (Ouyang et al. 2022, equation 2)."""
        weight = self.settings.hyperparameters.get("ptx_weight", 0.0)
        if not weight or not self.mixed:
            return 0.0
        size = min(self.settings.batch_size, len(self.mixed))
        groups = [self.mixed[row] for row in batch_indices(at, size, len(self.mixed), self.settings.seed + 2)]
        tokens, total = float(sum(mask.sum() for group in groups for mask in group.train)), 0.0
        for run in split_by_tokens(groups, self.settings.tokens_per_microbatch):
            losses, _ = group_losses(self.policy, collate(run), None, METHODS["sft"], {})
            loss = weight * losses.sum() / tokens
            loss.backward()
            total += float(loss.detach())
        tally(sums, {"loss/ptx": torch.tensor([total / weight])})
        return total

    def _step(self, share: float, loss: float) -> float | None:
        """Clip and apply both optimizers; the policy's gradient norm, or None where nothing was applied."""
        settings = self.settings
        trained = [p for p in self.policy.parameters() if p.requires_grad]
        norm = float(nn.utils.clip_grad_norm_(trained, settings.clip))
        other = 0.0
        if self.critic is not None:
            other = float(nn.utils.clip_grad_norm_(self.critic.parameters(), settings.clip))
        finite = all(map(math.isfinite, (loss, norm, other)))
        if finite:
            step_at(self.optimizer, share * settings.peak_learning_rate)
            if self.tutor is not None:
                step_at(self.tutor, share * settings.critic_rate)
        for optimizer in (self.optimizer, self.tutor):
            if optimizer is not None:
                optimizer.zero_grad(set_to_none=True)
        return norm if finite else None

    def _adapt(self, state: State, logged: dict[str, Any]) -> None:
        """Move the coefficient towards the wanted KL (Ziegler et al. 2019, section 2.2)."""
        target, kl = self.settings.kl_target, logged.get("objective/rollout_kl")
        if target is None or kl is None or state.kl_coef is None:
            return
        error = min(max(kl / target - 1, -LARGEST_CHANGE), LARGEST_CHANGE)
        episodes = self.settings.batch_size * self.settings.samples
        state.kl_coef *= 1 + error * episodes / self.settings.kl_horizon


def chosen_of(rollouts: Sequence[Rollout], *, pairs: bool) -> list[TokenGroup]:
    """The best completion of each rollout, with `pairs` also the worst; none of one whose scores are all equal."""
    made = []
    for rollout in rollouts:
        group, scores = rollout.group, rollout.scores
        best, worst = scores.index(max(scores)), scores.index(min(scores))
        if scores[best] == scores[worst]:
            continue
        taken = (best, worst) if pairs else (best,)
        completions, train = tuple(group.completions[k] for k in taken), tuple(group.train[k] for k in taken)
        made.append(TokenGroup(group.prompt, completions, train, group.row))
    return made
