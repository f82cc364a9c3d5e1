"""The loop over completions that the policy draws itself: prompts -> rollouts -> scores -> advantages -> updates.

It reads as the algorithm. What the rollouts teach differs by method: each token its advantage (PPO, RLOO, GRPO), the
better of two (online DPO), or the best one (rejection sampling). Everything that is drawn is a function of
(seed, step), so a run that was killed anywhere goes on as if it had not been.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Any

from preferably.config import TrainSettings
from preferably.data.order import batch_indices
from preferably.data.tokens import TokenGroup
from preferably.models.critic import Critic, SharedCritic
from preferably.models.policy import Policy
from preferably.training.alarms import Warning
from preferably.training.closing import Closing, Progress
from preferably.training.optimizer import adamw, learning_rate_at, warmup_steps
from preferably.training.reference import Reference
from preferably.training.rewarding import scored
from preferably.training.rollouts import Engine, Rollout
from preferably.training.run_directory import RunDirectory
from preferably.training.state import Saver, State
from preferably.training.teaching import Teaching

Score = Callable[[Sequence[Rollout]], str]  # fills in the scores; says what is wrong with them, or nothing
SEEDS = 1_000_003  # apart from the seeds of evaluations, which are multiples of it plus a step


@dataclass(frozen=True, slots=True)
class OnlineData:
    """Prompts to draw for (token ids), demonstrations to mix in, and prompts held out."""

    train: Sequence[Sequence[int]]
    mixed: Sequence[TokenGroup]


def total_iterations(settings: TrainSettings, prompts: int) -> int:
    """Rounds of rollouts in the run."""
    if settings.max_steps is not None:
        return settings.max_steps
    return max(1, math.ceil(round(settings.epochs * prompts / settings.batch_size, 6)))


def train_online(
    policy: Policy,
    reference: Reference | None,
    critic: Critic | SharedCritic | None,
    score: Score,
    data: OnlineData,
    engine: Engine,
    settings: TrainSettings,
    run: RunDirectory,
    saver: Saver,
    *,
    look: Callable[[int], dict[str, float]],
    progress: Progress,
    at_start: Sequence[Warning] = (),
    stop_asked: Callable[[], bool] = lambda: False,
) -> State:
    """Train `policy` (and `critic`) in place and return where it ended (`State.reason` says why).

    One iteration is one step of the run: `batch_size` prompts, their rollouts, and all updates on them. Raises
    `TrainingError` after three iterations in a row that could not be used; of one that breaks in the middle, the
    updates before stay.
    """
    total = total_iterations(settings, len(data.train))
    warmup = warmup_steps(settings.warmup, total)
    options: dict[str, Any] = {"betas": settings.betas, "eps": settings.eps, "weight_decay": settings.weight_decay}
    optimizer = adamw(policy, learning_rate=settings.peak_learning_rate, **options)
    tutor = None
    if critic is not None:
        tutor = adamw(critic, learning_rate=settings.critic_rate, **options)
        saver.critic = (critic, tutor)
    state = saver.restore(policy, optimizer, reference)
    if state.kl_coef is None:
        state.kl_coef = settings.hyperparameters.get("kl_coef", 0.0)
    closing = Closing(
        settings, total, run, progress, look=look,
        save=lambda state, must: saver.save(policy, optimizer, reference, state, must=must),
    )  # fmt: skip
    closing.begin(state, at_start)
    teaching = Teaching(policy, reference, critic, optimizer, tutor, settings, data.mixed)
    updating = False

    def iterate() -> dict[str, Any]:
        nonlocal updating
        rows = batch_indices(state.step, settings.batch_size, len(data.train), settings.seed)
        began = time.perf_counter()
        engine.refresh()
        seed = settings.seed * SEEDS + SEEDS // 2 + state.step
        rollouts = engine.draw(rows, [data.train[row] for row in rows], seed=seed, version=state.step)
        drawn = time.perf_counter()
        wrong = score(rollouts)
        logged = told(rollouts)
        if not wrong:
            wrong = teaching.prepare(scored(rollouts), state, logged)
        updating = True  # from here on a stop waits, as half of an iteration's updates can be neither kept nor undone
        share = learning_rate_at(state.step, total, peak=1.0, schedule=settings.schedule, warmup=warmup)
        state.step += 1
        state.tokens += sum(len(one.prompt) + sum(len(s.tokens) for s in one.samples) for one in rollouts)
        wrong = wrong or teaching.update(state, share, logged)
        logged = {
            "step": state.step, "epoch": round(state.step * settings.batch_size / len(data.train), 6),
            "num_tokens": state.tokens, "episode": state.step * settings.batch_size * settings.samples,
            "learning_rate": share * settings.peak_learning_rate,
        } | logged  # fmt: skip
        for one in engine.shown(rollouts):
            run.append("rollouts.jsonl", {"step": state.step} | one)
        closing.count(state, logged, rows, wrong)
        logged["time/rollouts"] = round(drawn - began, 4)
        updating = False
        return logged

    beside = [engine.resident] if engine.resident is not None else []
    return closing.drive(policy, state, iterate, stop_asked, held=lambda: updating, beside=beside)


def told(rollouts: Sequence[Rollout]) -> dict[str, Any]:
    """What can be seen of rollouts: lengths, how many ended, and the mean and spread of every part of the reward."""
    samples = [one for rollout in rollouts for one in rollout.samples]
    values: dict[str, Any] = {
        "rollouts/length": fmean(len(one.tokens) for one in samples),
        "val/num_eos_tokens": float(sum(one.finished for one in samples)),
        "rollouts/unfinished": fmean(not one.finished for one in samples),
        "rollouts/unscored": len(rollouts) - len(scored(rollouts)),  # prompts left out
    }
    for name in rollouts[0].parts:
        scores = [score for rollout in rollouts for score in rollout.parts[name] if score is not None]
        if scores:
            values[f"rewards/{name}"] = fmean(scores)
            values[f"rewards/{name}/std"] = pstdev(scores)
    return values
