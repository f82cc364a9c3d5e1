"""One training run from settings to a model directory: load, account, check, train, save."""

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from preferably.config import TrainSettings
from preferably.data.accounting import Accounting
from preferably.data.load import load_feedback
from preferably.data.splits import refuse_leakage, split_by_prompt
from preferably.data.tokens import TokenGroup, encode
from preferably.data.writers import row_of
from preferably.errors import CheckpointError, ConfigError, DataError, PreferablyError
from preferably.feedback.records import Group
from preferably.models.adapters import add_adapters
from preferably.models.loading import Loaded, load, save
from preferably.training.alarms import Warning
from preferably.training.checkpoint import environment_facts, lock_run
from preferably.training.disk import new_directory
from preferably.training.offline import STOPPED, Progress, TrainData, total_steps, train_offline
from preferably.training.reference import Reference
from preferably.training.run_directory import RunDirectory
from preferably.training.selfcheck import check_packing, check_reference
from preferably.training.state import Saver, State
from preferably.training.stops import Stop, listening

MAX_LENGTH = 2048  # tokens, unless settings or the model's context say less


@dataclass(frozen=True, slots=True)
class Run:
    """A finished (or stopped) run."""

    path: Path
    state: State
    loaded: Loaded  # the trained model
    held_out: list[Group]  # records that were not trained on
    stopped_by: int | None = None  # the signal that ended it early, where one did

    @property
    def warnings(self) -> list[dict[str, Any]]:
        """What was warned of: step, code, message (what it means), advice (what to change)."""
        return list(RunDirectory(self.path).lines("warnings.jsonl"))

    @property
    def model(self) -> Path:
        """The directory that plain `from_pretrained` loads."""
        return self.path / "model"


def train(
    settings: TrainSettings,
    *,
    groups: Sequence[Group] | None = None,
    start: Loaded | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    before: Callable[[Loaded, Sequence[Group]], Sequence[Warning]] | None = None,
) -> Run:
    """Do what `settings` says. `groups` stand in for its `data` files, `start` for loading its `model`.

    `before` is shown the starting model and the held-out records before training (readiness is asked there), and says
    what is to be warned of.

    Writes the run directory (docs/run-directory.md) and returns the run. SIGINT, SIGTERM and SIGHUP end it with a
    checkpoint (docs/reliability.md). Raises a `PreferablyError` for anything that the user can mend.
    """
    progress = progress or Progress()
    run = RunDirectory(Path(settings.output))
    run.make()
    with lock_run(run.path) as lock, listening() as stop:
        run.create(resume=resume)  # under the lock: another process may be about to begin here
        total = 0
        try:
            if settings.threads is not None:
                torch.set_num_threads(settings.threads)
            torch.manual_seed(settings.seed)  # adapters draw their starting weights
            loaded = start or load(
                settings.model, device=settings.device, dtype=settings.dtype, attention=settings.attention
            )
            data, held_out = _data(settings, groups, loaded, run)
            total = total_steps(settings, len(data.train))
            at_start = _checked_model(settings, loaded, data, progress)
            reference = _checked_reference(settings, loaded, data)
            facts = _facts(settings, loaded, data)
            if run.fresh:
                _describe(run, settings, facts, in_memory=groups is not None)
                at_start += before(loaded, held_out) if before is not None else []
            saver = Saver(run, facts, settings.keep, resume, lock, progress.warn)
            stop.waits = True
            state = train_offline(
                loaded.policy, reference, data, loaded.tokenizer, settings, run, saver,
                stop_ids=loaded.stop_ids, progress=progress, at_start=at_start, stop_asked=stop.asked,
            )  # fmt: skip
            if settings.chooses_best:
                saver.load_best(loaded.policy, state)
            with new_directory(run.path / "model") as place:
                save(loaded, place)
            run.status("stopped" if state.reason else "finished", state.step, total, state.reason)
        except BaseException as error:
            _tell_end(run, error, stop, total)
            raise
    return Run(run.path, state, loaded, held_out, stop.number if state.reason == STOPPED else None)


def _data(
    settings: TrainSettings, groups: Sequence[Group] | None, loaded: Loaded, run: RunDirectory
) -> tuple[TrainData, list[Group]]:
    """Token groups of both parts; what became of every row goes to data.json, also where this fails."""
    feedback = settings.row.feedback
    accounting = Accounting()
    if groups is None:
        if not settings.data:
            raise DataError("There is nothing to train on: give --data FILE.")
        read = load_feedback(settings.data, feedback, max_rejected=settings.max_rejected)
        groups, accounting = read.groups, read.accounting
    else:
        for _ in groups:
            accounting.use()
    held_out: list[Group] = []
    if settings.held_out_data:
        other = load_feedback(settings.held_out_data, feedback, max_rejected=settings.max_rejected)
        held_out = other.groups
        accounting.merge(other.accounting)
        refuse_leakage(groups, held_out)
    length = min(settings.max_length or MAX_LENGTH, loaded.context or MAX_LENGTH)
    options: dict[str, Any] = {"max_length": length, "truncation": settings.truncation, "accounting": accounting}
    first, second = (encode(part, loaded.tokenizer, **options) for part in (groups, held_out))
    account = {"max_length": length, "truncated": first.truncated + second.truncated}
    if run.fresh:
        run.write_json("data.json", accounting.as_json() | account)
    accounting.enforce(settings.max_rejected)
    train, measured = first.groups, second.groups
    if not settings.held_out_data:  # split what can be used, or a held-out part of long rows would come to nothing
        held_out = [groups[group.row] for group in train]
        split = split_by_prompt(held_out, _share(settings.held_out), settings.seed)
        train, measured = [train[i] for i in split.train], [train[i] for i in split.held_out]
        kept = [held_out[i] for i in split.held_out]
    else:
        kept = [held_out[group.row] for group in measured]
    if run.fresh:
        counts = {"train": len(train), "held_out": len(measured)}
        run.write_json("data.json", accounting.as_json() | account | counts)
        run.write_lines("held_out.jsonl", map(row_of, kept))
    if settings.held_out_data and not measured:
        raise DataError(f"All held-out groups were rejected, so nothing could be measured. {accounting.describe()}")
    if not measured and settings.chooses_best:
        raise ConfigError("patience and final = best choose by the held-out loss; hold something out (held_out > 0).")
    if not train:
        raise DataError(f"No group is left to train on. {accounting.describe()}")
    prompts = _prompts(settings, measured, loaded.context or length + settings.sample_tokens)
    return TrainData(train, measured, prompts), kept


def _share(held_out: float) -> float | int:
    """A share below 1, a count from 1 on."""
    if held_out < 1:
        return held_out
    if not held_out.is_integer():
        raise ConfigError(f"held_out is a share below 1 or a whole number of groups; got {held_out:g}.")
    return int(held_out)


def _prompts(settings: TrainSettings, held_out: Sequence[TokenGroup], context: int) -> list[list[int]]:
    """Distinct held-out prompts that leave room for a sample."""
    room = context - min(settings.sample_tokens, context // 2)
    distinct = dict.fromkeys(tuple(group.prompt.tolist()) for group in held_out if len(group.prompt) <= room)
    return [list(prompt) for prompt in distinct][: settings.sample_prompts]


def _checked_model(settings: TrainSettings, loaded: Loaded, data: TrainData, progress: Progress) -> list[Warning]:
    """Check the forward and the ends of completions on real data; what is to be warned of."""
    check = check_packing(loaded.policy, data.train)
    for note in [*loaded.notes, *([check.note] if check.note else [])]:
        progress.warn("note", note, "")
    ended = sum(int(c[-1]) in loaded.stop_ids for group in data.train for c in group.completions)
    completions = sum(len(group.completions) for group in data.train)
    if ended >= completions / 2:
        return []
    message = f"only {ended} of {completions} training completions end with an end-of-sequence token"
    advice = "the model will not learn to stop: raise max_length, or end the completions in the data with EOS"
    progress.warn("no_eos", message, advice)
    return [Warning(0, "no_eos", message, advice)]


def _checked_reference(settings: TrainSettings, loaded: Loaded, data: TrainData) -> Reference | None:
    """Add adapters if asked to, and set up the reference if the method has one."""
    if settings.lora:
        add_adapters(loaded.policy, r=settings.lora_r, alpha=settings.lora_alpha, targets=settings.lora_targets)
    if not settings.row.reference:
        return None
    reference = Reference(loaded.policy, adapters=settings.lora, cache=settings.reference == "cache")
    check_reference(loaded.policy, reference, data.train, settings.row, settings.hyperparameters)
    return reference


def _facts(settings: TrainSettings, loaded: Loaded, data: TrainData) -> dict[str, Any]:
    """What a resumed run must have in common with the one that was stopped."""
    policy = loaded.policy
    environment = environment_facts(
        device=str(policy.device), dtype=str(policy.compute).removeprefix("torch."), threads=torch.get_num_threads()
    )
    job = settings.model_dump(mode="json", exclude={"output", "model", "data", "held_out_data", "keep", "threads"})
    parts = {"train": data.train, "held_out": data.held_out}
    tokens = {name: {"groups": len(part), "digest": _digest(part)} for name, part in parts.items()}
    weights = hashlib.sha256()
    for name, parameter in policy.named_parameters():
        weights.update(name.encode() + parameter.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return {
        "settings": job, "data": tokens, "start_weights": weights.hexdigest(), "packed": policy.packed,
        "environment": environment,
    }  # fmt: skip


def _digest(groups: Sequence[TokenGroup]) -> str:
    digest = hashlib.sha256()
    for group in groups:
        for part in (group.prompt, *group.completions, *group.train):
            digest.update(np.ascontiguousarray(part).tobytes() + b"|")
    return digest.hexdigest()


def _describe(run: RunDirectory, settings: TrainSettings, facts: dict[str, Any], *, in_memory: bool) -> None:
    """Write config.yaml and environment.json."""
    resolved: dict[str, Any] = {"learning_rate": settings.peak_learning_rate} | settings.hyperparameters
    if in_memory:
        resolved["data"] = ["(made in memory)"]
    run.write_yaml("config.yaml", settings.model_dump(mode="json") | resolved)
    run.write_json("environment.json", facts["environment"] | {"packed": facts["packed"], "cores": os.cpu_count()})


def _tell_end(run: RunDirectory, error: BaseException, stop: Stop, total: int) -> None:
    """Say in status.json how a run ended by `error`."""
    if not (run.fresh or run.state):
        return  # before a resumed run goes on it has changed nothing, so it stands as it did
    last = max((line["step"] for line in run.lines("metrics.jsonl")), default=0) if run.state else 0
    state, reason = "failed", str(error) if isinstance(error, PreferablyError) else f"{type(error).__name__}: {error}"
    if stop.asked() and isinstance(error, KeyboardInterrupt):
        state, reason = "stopped", STOPPED
    with suppress(CheckpointError):  # from a disk that takes nothing; what it did first is told
        run.status(state, last, total, reason)
