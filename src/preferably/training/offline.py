"""The loop over feedback that is already there: SFT and every method on pairs or labels.

It reads as the algorithm: order, micro-batches, losses over the count of the whole step, clip, update, look, save.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from preferably.batches.group import collate
from preferably.config import TrainSettings
from preferably.data.order import batch_indices
from preferably.data.tokens import TokenGroup
from preferably.feedback.records import Group
from preferably.models.policy import Policy
from preferably.training import parallel
from preferably.training.alarms import Warning
from preferably.training.baseline import baseline_of
from preferably.training.closing import Closing, Progress
from preferably.training.measure import held_out_metrics, sample_metrics
from preferably.training.optimizer import adamw, learning_rate_at, step_at, warmup_steps
from preferably.training.reference import Reference
from preferably.training.run_directory import RunDirectory
from preferably.training.sharding import whole
from preferably.training.state import Saver, State
from preferably.training.steps import count_of, group_losses, means, tally


@dataclass(frozen=True, slots=True)
class TrainData:
    """Token groups to train on, to hold out, and prompts (token ids) to sample from."""

    train: Sequence[TokenGroup]
    held_out: Sequence[TokenGroup]
    prompts: Sequence[Sequence[int]]
    asked: Sequence[Group] = ()  # the records of `train`, where completions are drawn and scored


def total_rows(settings: TrainSettings, rows: int) -> int:
    """Groups that the run goes through, of `rows` there are; the last step may have fewer than the others."""
    if settings.max_steps is not None:
        return settings.max_steps * settings.batch_size
    return max(1, round(settings.epochs * rows))


def total_steps(settings: TrainSettings, rows: int) -> int:
    """Optimizer steps of the run."""
    return -(-total_rows(settings, rows) // settings.batch_size)


def train_offline(
    policy: Policy,
    reference: Reference | None,
    data: TrainData,
    tokenizer: PreTrainedTokenizerBase,
    settings: TrainSettings,
    run: RunDirectory,
    saver: Saver,
    *,
    stop_ids: set[int],
    progress: Progress,
    at_start: Sequence[Warning] = (),
    stop_asked: Callable[[], bool] = lambda: False,
) -> State:
    """Train `policy` in place and return where it ended (`State.reason` says why).

    A step is made (`update`), then looked at, logged and saved (`close`); a stopped run can lie between the two.
    Raises `TrainingError` after three steps in a row whose loss or gradient was not finite; none of them was applied.
    """
    method, hyperparameters = settings.row, settings.hyperparameters
    total = total_steps(settings, len(data.train))
    rows = total_rows(settings, len(data.train))
    warmup = warmup_steps(settings.warmup, total)
    optimizer = adamw(
        policy, learning_rate=settings.peak_learning_rate, betas=settings.betas, eps=settings.eps,
        weight_decay=settings.weight_decay,
    )  # fmt: skip
    trainable = [p for p in policy.parameters() if p.requires_grad]
    state = saver.restore(policy, optimizer, reference)
    closing = Closing(
        settings, total, run, progress,
        look=lambda step: _look(policy, reference, data, tokenizer, settings, stop_ids, run, step),
        save=lambda state, must: saver.save(policy, optimizer, reference, state, must=must),
    )  # fmt: skip
    closing.begin(state, at_start)

    def update() -> dict[str, Any]:
        first = state.step * settings.batch_size
        size = min(settings.batch_size, rows - first)
        chosen = batch_indices(state.step, settings.batch_size, len(data.train), settings.seed)[:size]
        groups = [data.train[i] for i in chosen]
        tokens = float(sum(mask.sum() for group in groups for mask in group.train))
        count = count_of(method, len(groups), tokens)
        rate = learning_rate_at(
            state.step, total, peak=settings.peak_learning_rate, schedule=settings.schedule, warmup=warmup
        )
        baseline = baseline_of(method, policy, reference, groups, settings.tokens_per_microbatch)
        loss, sums = 0.0, dict[str, float]()
        for micro, real in parallel.share(groups, settings.tokens_per_microbatch):
            batch = collate(micro)
            known = reference.sums(batch, "train") if reference is not None else None
            losses, metrics = group_losses(policy, batch, known, method, hyperparameters, baseline)
            (real * losses.sum() / count).backward()
            loss += real * float(losses.detach().double().sum()) / count
            tally(sums, metrics, real)
        loss, sums = parallel.total(loss, sums)
        norm = float(whole(torch.nn.utils.clip_grad_norm_(trainable, settings.clip)))
        state.step += 1
        state.tokens += int(sum(len(g.prompt) + sum(map(len, g.completions)) for g in groups))
        logged: dict[str, Any] = {
            "step": state.step, "epoch": round(min(first + size, rows) / len(data.train), 6), "loss": loss,
            "grad_norm": norm, "learning_rate": rate, "num_tokens": state.tokens,
        }  # fmt: skip
        logged |= means(sums)
        finite = math.isfinite(loss) and math.isfinite(norm)
        if finite:
            step_at(optimizer, rate)
        wrong = "" if finite else f"loss is {loss}, gradient norm is {norm}"
        closing.count(state, logged, [group.row for group in groups], wrong)
        optimizer.zero_grad(set_to_none=True)
        return logged

    return closing.drive(policy, state, update, stop_asked)


def _look(
    policy: Policy,
    reference: Reference | None,
    data: TrainData,
    tokenizer: PreTrainedTokenizerBase,
    settings: TrainSettings,
    stop_ids: set[int],
    run: RunDirectory,
    step: int,
) -> dict[str, float]:
    """What the held-out data and own samples show."""
    budget = settings.tokens_per_microbatch
    metrics: dict[str, float] = {}
    if data.held_out:
        metrics |= held_out_metrics(policy, reference, data.held_out, settings.row, settings.hyperparameters, budget)
    if data.prompts:
        metrics |= sample_metrics(
            policy, reference, tokenizer, data.prompts, stop_ids=stop_ids, max_tokens=settings.sample_tokens,
            seed=settings.seed * 1_000_003 + step, budget=budget,
            keep=lambda row: run.append("policy_samples.jsonl", {"step": step} | row),
        ).values  # fmt: skip
    return metrics
