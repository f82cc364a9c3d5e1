"""The loop over feedback that is already there: SFT and every method on pairs or labels.

It reads as the algorithm: order, micro-batches, losses over the count of the whole step, clip, update, look, save.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from preferably.batches.group import collate
from preferably.config import TrainSettings
from preferably.data.order import batch_indices
from preferably.data.tokens import TokenGroup
from preferably.errors import TrainingError
from preferably.models.policy import Policy
from preferably.training import parallel
from preferably.training.alarms import Warning, raised
from preferably.training.baseline import baseline_of
from preferably.training.measure import held_out_metrics, sample_metrics
from preferably.training.optimizer import adamw, learning_rate_at, warmup_steps
from preferably.training.reference import Reference
from preferably.training.run_directory import RunDirectory
from preferably.training.sharding import whole
from preferably.training.state import Saver, State
from preferably.training.steps import count_of, group_losses, means, tally
from preferably.training.stops import until_stopped

BAD_STEPS = 3  # in a row: the run stops
STOPPED = "asked to stop"
EVALUATIONS = 5  # a run, unless eval_every says otherwise


@dataclass(frozen=True, slots=True)
class TrainData:
    """Token groups to train on, to hold out, and prompts (token ids) to sample from."""

    train: Sequence[TokenGroup]
    held_out: Sequence[TokenGroup]
    prompts: Sequence[Sequence[int]]


@dataclass(slots=True)
class Progress:
    """What the loop tells whoever watches: each step's metrics as they come."""

    start: Callable[[int], None] = field(default=lambda total: None)
    step: Callable[[int, dict[str, Any]], None] = field(default=lambda step, metrics: None)
    warn: Callable[[str, str, str], None] = field(default=lambda code, message, advice: None)

    def note(self, text: str) -> None:
        """Say what is worth knowing and no cause for worry."""
        self.warn("note", text, "")


def total_rows(settings: TrainSettings, rows: int) -> int:
    """Groups that the run goes through, of `rows` there are; the last step may have fewer than the others."""
    if settings.max_steps is not None:
        return settings.max_steps * settings.batch_size
    return max(1, round(settings.epochs * rows))


def total_steps(settings: TrainSettings, rows: int) -> int:
    """Optimizer steps of the run."""
    return -(-total_rows(settings, rows) // settings.batch_size)


def evaluation_every(settings: TrainSettings, total: int) -> int:
    """Steps between evaluations. There is one before any update too, and one after the last."""
    return settings.eval_every or max(1, -(-total // EVALUATIONS))


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
    eval_every = evaluation_every(settings, total)
    save_every = settings.save_every or eval_every
    optimizer = adamw(
        policy, learning_rate=settings.peak_learning_rate, betas=settings.betas, eps=settings.eps,
        weight_decay=settings.weight_decay,
    )  # fmt: skip
    trainable = [p for p in policy.parameters() if p.requires_grad]
    state = saver.restore(policy, optimizer, reference)
    if state.reason == STOPPED:
        state.reason = ""  # who resumes wants it to go on
    run.rewind(state.logs)
    for warning in at_start if not state.logs else ():
        run.append("warnings.jsonl", warning)
    run.status("running", state.step, total)
    progress.start(total)

    def close(line: dict[str, Any], began: float) -> None:
        step = state.step
        if step % eval_every == 0 or step == total:
            # A stop that is asked for meanwhile ends it here, with nothing changed.
            seen = _look(policy, reference, data, tokenizer, settings, stop_ids, run, step)
            line = line | seen
            if step == 0:
                state.start = seen
                if math.isnan(seen.get("eval_loss", 0.0)):
                    raise TrainingError(
                        "The held-out loss is not a number before anything was trained: the model, the data or the "
                        "objective gives NaN; nothing was changed."
                    )
            else:
                state.judge(seen.get("eval_loss"), settings.patience)
                for warning in raised(step, seen, state.start or seen, set(state.alarms), last=step == total):
                    state.alarms.append(warning.code)
                    run.append("warnings.jsonl", warning)
                    progress.warn(warning.code, warning.message, warning.advice)
        run.append("metrics.jsonl", line)
        if step > 0:
            run.append("timing.jsonl", {"step": step, "seconds": round(time.perf_counter() - began, 4)})
        state.line = None
        progress.step(step, line)
        # Weights that give NaN are no good checkpoint to put in the place of an older one.
        due = step % save_every == 0 and not state.bad_steps
        if due or step in (total, state.best_step) or state.reason:
            best = settings.chooses_best and step == state.best_step
            saver.save(policy, optimizer, reference, state, must=step == total or best or bool(state.reason))
            run.status("running", step, total)

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
        if torch.isfinite(torch.tensor([loss, norm])).all():
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            state.bad_steps = 0
        else:
            state.bad_steps += 1
            logged["skipped"] = f"loss is {loss}, gradient norm is {norm}"
            rows_hit = [group.row for group in groups][:20]
            run.append("warnings.jsonl", {
                "step": state.step, "code": "not_finite", "message": f"{logged['skipped']}; rows {rows_hit}",
                "advice": "the step was not applied; lower the learning rate, or look at these rows",
            })  # fmt: skip
            progress.warn("not_finite", logged["skipped"], "the step was not applied")
        optimizer.zero_grad(set_to_none=True)
        if state.bad_steps == BAD_STEPS:
            run.append("metrics.jsonl", logged)
            raise TrainingError(
                f"Steps {state.step - BAD_STEPS + 1} to {state.step} had a loss or gradient that is not finite; none "
                "was applied. The last good checkpoint is kept. Lower the learning rate, or look at the rows named in "
                "warnings.jsonl."
            )
        return logged

    with until_stopped(policy, stop_asked):
        while state.line is not None or (state.step < total and not state.reason):
            if parallel.any_of(stop_asked()):
                break
            began = time.perf_counter()
            if state.line is None:
                state.line = update()
            close(state.line, began)
        else:
            return state
    optimizer.zero_grad(set_to_none=True)
    state.reason = STOPPED
    saver.save(policy, optimizer, reference, state, must=True)
    return state


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
