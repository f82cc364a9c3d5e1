"""One training run from settings to a model directory: load, account, check, train, save."""

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import BaseFileLock

from preferably.config import HYPERPARAMETERS, TrainSettings
from preferably.data.tokens import TokenGroup
from preferably.errors import CheckpointError, PreferablyError
from preferably.feedback.records import Group
from preferably.functions import source_of
from preferably.models.adapters import add_adapters
from preferably.models.critic import Critic
from preferably.models.loading import Loaded, load, save
from preferably.models.policy import weights_digest
from preferably.models.scorer import Scorer
from preferably.models.selfcheck import check_packing
from preferably.training import parallel
from preferably.training.alarms import Warning
from preferably.training.checkpoint import environment_facts, lock_run
from preferably.training.closing import STOPPED, Progress
from preferably.training.disk import new_directory
from preferably.training.equipment import Equipment, equip, probes
from preferably.training.estimate import refuse_what_does_not_fit
from preferably.training.offline import TrainData, total_steps, train_offline
from preferably.training.online import total_iterations, train_online
from preferably.training.ranked import center
from preferably.training.reading import read_data
from preferably.training.reference import Reference, load_reference
from preferably.training.run_directory import RunDirectory
from preferably.training.selfcheck import check_balance, check_reference
from preferably.training.sharding import assembled, shard
from preferably.training.state import Saver, State
from preferably.training.stops import Stop, listening
from preferably.training.trackers import require, tracked

# What a resumed run may change, or what other facts speak of.
FREE = {"output", "model", "reference_model", "data", "held_out_data", "keep", "threads", "memory_limit", "track"}


@dataclass(frozen=True, slots=True)
class Run:
    """A finished (or stopped) run."""

    path: Path
    state: State
    loaded: Loaded  # the trained model; of several processes, each has its part of the weights
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
    checkpoint (docs/reliability.md). Under torchrun every process calls this, and they train one model together. Raises
    a `PreferablyError` for anything that the user can mend.
    """
    require(settings.track)
    progress = progress if progress is not None and parallel.is_main() else Progress()
    run = RunDirectory(Path(settings.output), writes=parallel.is_main())
    run.make()
    with parallel.together(), _lock(run) as lock, listening() as stop, ExitStack() as at_end:
        settings = parallel.confirmed(settings)
        _create(run, resume=resume)  # under the lock: another process may be about to begin here
        if resume and run.fresh:
            progress.note(f"{run.path} holds no checkpoint to go on from, so a new run begins.")
        total = 0
        try:
            if settings.threads is not None:
                torch.set_num_threads(settings.threads)
            how: dict[str, Any] = settings.model_dump(include={"device", "dtype", "attention"})
            how["axes"] = settings.heads
            outline = start or load(settings.model, **how, weights=False)
            data, held_out, _ = read_data(settings, groups, outline, run if run.fresh else None, progress.note)
            total = (total_iterations if settings.row.online else total_steps)(settings, len(data.train))
            if settings.processes == 1:  # of several, each has a part, and nobody knows of whose memory
                refuse_what_does_not_fit(settings, outline, data, progress.note)
            elif settings.memory_limit is not None:
                progress.note("What each of several processes holds is not estimated, so memory_limit limits nothing.")
            torch.manual_seed(settings.seed)  # adapters draw their starting weights
            loaded = start or load(settings.model, **how, place=settings.processes == 1)
            reference, weights = _reference(settings, loaded, data, how)
            equipment = equip(settings, loaded, data, held_out) if settings.row.online else None
            at_start = _checked(settings, loaded, reference, equipment, data, progress)
            facts = parallel.on_main(lambda: _facts(settings, loaded, data, weights, equipment))
            if run.fresh:
                _describe(run, settings, facts, in_memory=groups is not None)
                at_start += _asked(before, loaded, held_out)
            saver = Saver(run, facts, settings.keep, resume, lock, progress.warn)
            at_end.enter_context(tracked(run, settings.track if run.writes else (), progress.warn))
            stop.waits = True
            watched = {"progress": progress, "at_start": at_start, "stop_asked": stop.asked}
            state = _learn(settings, loaded, reference, data, equipment, run, saver, **watched)
            _save(loaded, run.path / "model")
            run.status("stopped" if state.reason else "finished", state.step, total, state.reason)
        except BaseException as error:
            _tell_end(run, error, stop, total)
            raise
    return Run(run.path, state, loaded, held_out, stop.number if state.reason == STOPPED else None)


def _lock(run: RunDirectory) -> AbstractContextManager[BaseFileLock | None]:
    return lock_run(run.path) if run.writes else nullcontext()


def _create(run: RunDirectory, *, resume: bool) -> None:
    def created() -> tuple[bool, str]:
        run.create(resume=resume)
        return run.fresh, run.id

    run.fresh, run.id = parallel.on_main(created)


def _asked(
    before: Callable[[Loaded, Sequence[Group]], Sequence[Warning]] | None, loaded: Loaded, held_out: Sequence[Group]
) -> Sequence[Warning]:
    """What `before` warns of, shown the whole model."""
    if before is None:
        return []
    whole = _whole(loaded)
    return parallel.on_main(lambda: before(whole, held_out))


def _save(loaded: Loaded, directory: Path) -> None:
    whole = _whole(loaded)

    def written() -> None:
        with new_directory(directory) as place:
            save(whole, place)

    parallel.on_main(written)


def _whole(loaded: Loaded) -> Loaded:
    return replace(loaded, policy=assembled(loaded.policy))


def _learn(
    settings: TrainSettings,
    loaded: Loaded,
    reference: Reference | None,
    data: TrainData,
    equipment: Equipment | None,
    run: RunDirectory,
    saver: Saver,
    **watched: Any,
) -> State:
    """The loop of the method, over feedback that is there or completions that the policy draws; then what is kept."""
    if equipment is not None:
        state = train_online(
            loaded.policy, reference, equipment.critic, equipment.rewarding, equipment.data, equipment.engine,
            settings, run, saver, look=equipment.look(loaded, reference, data.prompts, settings, run), **watched,
        )  # fmt: skip
    else:
        state = train_offline(
            loaded.policy, reference, data, loaded.tokenizer, settings, run, saver, stop_ids=loaded.stop_ids, **watched
        )
    if settings.chooses_best or state.turned:
        saver.load_best(loaded.policy, state)
    if isinstance(loaded.policy, Scorer):
        center(loaded.policy, data.train, settings.tokens_per_microbatch)
    return state


def _reference(
    settings: TrainSettings, loaded: Loaded, data: TrainData, how: dict[str, Any]
) -> tuple[Reference | None, dict[str, str]]:
    """Add adapters if asked to, set up the reference if the method has one, and share out the weights of both.

    Also digests of the weights that the run starts from, before adapters, and of a reference that is another model.
    """
    policy, other = loaded.policy, None
    weights = {"start_weights": parallel.on_main(lambda: weights_digest(policy))}
    if settings.reference_model:
        how = how | {"axes": None, "place": settings.processes == 1}
        frozen = load_reference(settings.reference_model, loaded, _longest(settings, loaded, data), **how).policy
        other, weights["reference_weights"] = frozen, parallel.on_main(lambda: weights_digest(frozen))
    if settings.lora:
        add_adapters(policy, r=settings.lora_r, alpha=settings.lora_alpha, targets=settings.lora_targets)
    reference = None
    if settings.row.reference:
        reference = Reference(policy, adapters=settings.lora, cache=settings.reference == "cache", other=other)
    shard(policy, settings.device)
    if reference is not None and not reference.adapters:
        shard(reference.policy, settings.device)
    return reference, weights


def _longest(settings: TrainSettings, loaded: Loaded, data: TrainData) -> int:
    """The most tokens of a prompt with a completion, given or drawn."""
    groups = [*data.train, *data.held_out]
    given = max(len(group.prompt) + max(map(len, group.completions), default=0) for group in groups)
    asked = [*([len(group.prompt) for group in groups] if settings.row.online else []), *map(len, data.prompts)]
    drawn = max(asked, default=0) + settings.sample_tokens if asked else 0
    return max(given, min(drawn, loaded.context or drawn))


def _checked(
    settings: TrainSettings, loaded: Loaded, reference: Reference | None, equipment: Equipment | None, data: TrainData,
    progress: Progress,
) -> list[Warning]:  # fmt: skip
    """Check the forward, the reference and the ends of completions on real data; what is to be warned of."""
    groups = probes(loaded, data) if settings.row.online else data.train
    check, other = check_packing(loaded.policy, groups), None
    beside = [*equipment.notes] if equipment is not None else []
    if equipment is not None and isinstance(equipment.critic, Critic):
        beside.append(check_packing(equipment.critic, groups).note or "")
    if reference is not None and reference.other:
        other = check_packing(reference.policy, groups).note
        progress.note(
            f"The reference is {settings.reference_model} and not the model that the run starts from: KL, and the loss "
            "of preference methods, do not begin where they do for one model."
        )
    elif reference is not None:
        reference.policy.follow(loaded.policy)
        check_reference(loaded.policy, reference, groups, settings.row, settings.hyperparameters)
    uneven = check_balance(data.train, settings.hyperparameters) if settings.row.baseline else None
    for note in [*loaded.notes, check.note, other, uneven, _no_margin(settings, data), *beside]:
        if note:
            progress.note(note)
    if settings.row.online:
        return []
    stops = loaded.stop_ids
    ended = sum(int(c[-1]) in stops for group in data.train for c in group.completions)
    completions = sum(len(group.completions) for group in data.train)
    if ended >= completions / 2:
        return []
    message = f"only {ended} of {completions} training completions end with an end-of-sequence token"
    advice = "the model will not learn to stop: raise max_length, or end the completions in the data with EOS"
    progress.warn("no_eos", message, advice)
    return [Warning(0, "no_eos", message, advice)]


def _facts(
    settings: TrainSettings, loaded: Loaded, data: TrainData, weights: dict[str, str], equipment: Equipment | None
) -> dict[str, Any]:
    """What a resumed run must have in common with the one that was stopped."""
    policy = loaded.policy
    environment = environment_facts(
        device=str(policy.device), dtype=str(policy.compute).removeprefix("torch."), threads=torch.get_num_threads()
    )
    job = settings.model_dump(mode="json", exclude=FREE) | settings.hyperparameters
    job["learning_rate"] = settings.peak_learning_rate  # a default that is now said is no change
    parts = {"train": data.train, "held_out": data.held_out}
    if equipment is not None and equipment.data.mixed:
        parts["ptx_data"] = equipment.data.mixed
    tokens = {name: {"groups": len(part), "digest": _digest_of_tokens(part)} for name, part in parts.items()}
    own = [source_of(part.loss) for _, part in settings.row.parts if ":" in part.loss]
    facts = {"settings": job, "data": tokens, **weights, "packed": policy.packed}
    more = {"objective": own} if own else {}
    return facts | {"environment": environment} | more | (equipment.facts if equipment else {})


def _digest_of_tokens(groups: Sequence[TokenGroup]) -> str:
    digest = hashlib.sha256()
    for group in groups:
        for part in (group.prompt, *group.completions, *group.train):
            digest.update(np.ascontiguousarray(part).tobytes() + b"|")
        # A probability only where there is one: runs from before there were any can go on.
        soft = () if group.probability is None else (group.probability,)
        digest.update(repr((group.label, group.ranks, group.strength, *soft)).encode())
    return digest.hexdigest()


def _no_margin(settings: TrainSettings, data: TrainData) -> str:
    """What to say of a margin that nothing asks for."""
    if not settings.row.scores or not settings.hyperparameters.get("margin"):
        return ""
    strong = any(group.strength for group in data.train)
    return "" if strong else "No training pair says by how much it is better (strength), so margin changes nothing."


def _describe(run: RunDirectory, settings: TrainSettings, facts: dict[str, Any], *, in_memory: bool) -> None:
    """Write config.yaml and environment.json."""
    # Those of an objective of the user's own may be called like a setting, so they stay apart.
    known = {name: value for name, value in settings.hyperparameters.items() if name in HYPERPARAMETERS}
    own = {name: value for name, value in settings.hyperparameters.items() if name not in known}
    resolved: dict[str, Any] = {"learning_rate": settings.peak_learning_rate, "objective": own} | known
    if in_memory:
        resolved["data"] = ["(made in memory)"]
    run.write_yaml("config.yaml", settings.model_dump(mode="json") | resolved)
    run.write_json("environment.json", facts["environment"] | {"packed": facts["packed"], "cores": os.cpu_count()})


def _tell_end(run: RunDirectory, error: BaseException, stop: Stop, total: int) -> None:
    """Say in status.json how a run ended by `error`."""
    if not (run.fresh or run.state):
        return  # before a resumed run goes on it has changed nothing, so it stands as it did
    last = max((line["step"] for line in run.lines("metrics.jsonl")), default=0) if run.state else 0
    asked, error = stop.asked() and isinstance(error, KeyboardInterrupt), parallel.explained(error)
    state, reason = "failed", str(error) if isinstance(error, PreferablyError) else f"{type(error).__name__}: {error}"
    if asked:
        state, reason = "stopped", STOPPED
    with suppress(CheckpointError):  # from a disk that takes nothing; what it did first is told
        run.status(state, last, total, reason)
