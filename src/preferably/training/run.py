"""One training run from settings to a model directory: load, account, check, train, save."""

import hashlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
from preferably.models.loading import Loaded, load, save, weights_digest
from preferably.training.alarms import Warning
from preferably.training.checkpoint import environment_facts, lock_run
from preferably.training.estimate import refuse_what_does_not_fit
from preferably.training.offline import Progress, TrainData, total_steps, train_offline
from preferably.training.reference import Reference
from preferably.training.run_directory import RunDirectory
from preferably.training.selfcheck import check_packing, check_reference
from preferably.training.state import Saver, State

# What a resumed run may change, or what other facts speak of.
FREE = {"output", "model", "data", "held_out_data", "keep", "threads", "memory_limit"}
MAX_LENGTH = 2048  # tokens, unless settings or the model's context say less


@dataclass(frozen=True, slots=True)
class Run:
    """A finished (or stopped) run."""

    path: Path
    state: State
    loaded: Loaded  # the trained model
    held_out: list[Group]  # records that were not trained on

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

    Writes the run directory (docs/run-directory.md) and returns the run. SIGINT and SIGTERM end it after the step in
    hand, with a checkpoint. Raises a `PreferablyError` for anything that the user can mend.
    """
    progress = progress or Progress()
    run = RunDirectory(Path(settings.output))
    run.make()
    with lock_run(run.path) as lock, _signals() as stop_asked:
        run.create(resume=resume)  # under the lock: another process may be about to begin here
        total = 0
        try:
            if settings.threads is not None:
                torch.set_num_threads(settings.threads)
            how: dict[str, Any] = settings.model_dump(include={"device", "dtype", "attention"})
            outline = start or load(settings.model, **how, weights=False)
            data, held_out, _ = read_data(settings, groups, outline, run if run.fresh else None)
            total = total_steps(settings, len(data.train))
            refuse_what_does_not_fit(settings, outline, data, lambda why: progress.warn("note", why, ""))
            torch.manual_seed(settings.seed)  # adapters draw their starting weights
            loaded = start or load(settings.model, **how)
            at_start = _checked_model(settings, loaded, data, progress)
            facts = _facts(settings, loaded, data)  # of the model that the run starts from, before adapters
            reference = _checked_reference(settings, loaded, data)
            if run.fresh:
                _describe(run, settings, facts, in_memory=groups is not None)
                at_start += before(loaded, held_out) if before is not None else []
            saver = Saver(
                run.path / "checkpoints", run.id, facts, settings.keep, resume, lock,
                lambda path, why: progress.warn("checkpoint_refused", f"{path.name}: {why}", "an older one is used"),
            )  # fmt: skip
            state = train_offline(
                loaded.policy, reference, data, loaded.tokenizer, settings, run, saver,
                stop_ids=loaded.stop_ids, progress=progress, at_start=at_start, stop_asked=stop_asked,
            )  # fmt: skip
            if settings.ends_with_best:
                saver.load_best(loaded.policy, state)
            save(loaded, run.path / "model")
            run.status("stopped" if state.reason else "finished", state.step, total, state.reason)
        except BaseException as error:
            # A resume that was refused has changed nothing, so the run stands as it did.
            if not (resume and isinstance(error, CheckpointError)):
                reason = str(error) if isinstance(error, PreferablyError) else f"{type(error).__name__}: {error}"
                run.status("failed", _last_step(run), total, reason)
            raise
    return Run(run.path, state, loaded, held_out)


def read_data(
    settings: TrainSettings, groups: Sequence[Group] | None, loaded: Loaded, run: RunDirectory | None
) -> tuple[TrainData, list[Group], dict[str, Any]]:
    """Token groups of both parts, the records held out, and what became of every row.

    Only the tokenizer and the context of `loaded` count. The account goes to data.json of `run`, also where this fails.
    """
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
    account: dict[str, Any] = {"max_length": length, "truncated": first.truncated + second.truncated}
    if run is not None:
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
    account = accounting.as_json() | account | {"train": len(train), "held_out": len(measured)}
    if run is not None:
        run.write_json("data.json", account)
        (run.path / "held_out.jsonl").unlink(missing_ok=True)
        for record in kept:
            run.append("held_out.jsonl", row_of(record))
    if settings.held_out_data and not measured:
        raise DataError(f"All held-out groups were rejected, so nothing could be measured. {accounting.describe()}")
    if not measured and settings.ends_with_best:
        raise ConfigError("patience and final = best choose by the held-out loss; hold something out (held_out > 0).")
    if not train:
        raise DataError(f"No group is left to train on. {accounting.describe()}")
    prompts = _prompts(settings, measured, loaded.context or length + settings.sample_tokens)
    return TrainData(train, measured, prompts), kept, account


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
    job = settings.model_dump(mode="json", exclude=FREE)
    digest = hashlib.sha256()
    for group in [*data.train, *data.held_out]:
        for part in (group.prompt, *group.completions, *group.train):
            digest.update(np.ascontiguousarray(part).tobytes() + b"|")
    return {
        "settings": job, "data": digest.hexdigest(), "start_weights": weights_digest(policy),
        "packed": policy.packed, "environment": environment,
    }  # fmt: skip


def _describe(run: RunDirectory, settings: TrainSettings, facts: dict[str, Any], *, in_memory: bool) -> None:
    """Write config.yaml and environment.json."""
    resolved: dict[str, Any] = {"learning_rate": settings.peak_learning_rate} | settings.hyperparameters
    if in_memory:
        resolved["data"] = ["(made in memory)"]
    run.write_yaml("config.yaml", settings.model_dump(mode="json") | resolved)
    run.write_json("environment.json", facts["environment"] | {"packed": facts["packed"], "cores": os.cpu_count()})


def _last_step(run: RunDirectory) -> int:
    return max((line["step"] for line in run.lines("metrics.jsonl")), default=0)


@contextmanager
def _signals() -> Iterator[Any]:
    """SIGINT and SIGTERM ask the loop to stop after the step in hand; a second one acts at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield asked.is_set
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: object) -> None:
        asked.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
