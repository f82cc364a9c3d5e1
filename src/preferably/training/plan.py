"""What a run would do, hold and take, said before it begins. Nothing is trained and nothing is left on disk."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from preferably.config import TrainSettings
from preferably.feedback.records import Group
from preferably.models.loading import load
from preferably.training.estimate import GB, Estimate, estimate, why_not
from preferably.training.pace import measure_pace, online_seconds, seconds_of
from preferably.training.reading import read_data
from preferably.training.workload import Workload


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that has not begun. `seconds` are by part, None where the model was not tried; `refused` says why."""

    settings: TrainSettings
    account: dict[str, Any]  # what became of every row, as in data.json
    estimate: Estimate | str  # or why there is none
    seconds: dict[str, float] | None
    probe: float  # seconds that the model was tried for
    refused: str | None

    def lines(self) -> Iterator[tuple[str, str]]:
        """(what, figures), for people; a line without a name goes on with the one before."""
        made, account = self.settings, self.account
        counts = {"used": account["used"], "duplicates": account["deduplicated"]}
        counts |= {"rejected": sum(account["rejected"].values()), "cut": account["truncated"]}
        yield "data", f"{account['read']} rows: {', '.join(f'{count} {name}' for name, count in counts.items())}"
        yield "", f"{account['train']} to train on, {account['held_out']} held out"
        if isinstance(self.estimate, str):
            yield "memory", f"not known: {self.estimate}"
            return
        work, found, memory = self.estimate.work, self.estimate.rehearsal, self.estimate.memory
        yield "model", f"{made.model}: {found.parameters:,} parameters, {found.trained:,} of them trained"
        yield from self._steps(work)
        yield "looks", f"{work.evaluations} evaluations, each with {work.prompts} sampled prompts"
        yield (
            "disk",
            f"{work.checkpoints} checkpoints of {3 * (found.gradients + self.estimate.company.critic) / GB:.2f} GB; "
            f"{made.keep + 1} kept at most",
        )
        limit = self.estimate.limit
        known = "what there is cannot be read here" if limit is None else f"{limit / GB:.2f} GB may be held"
        yield "memory", f"about {memory.peak / GB:.2f} GB at most, in {memory.phase}; {known}"
        if made.processes > 1:
            yield "", f"these figures are of one process; what each of {made.processes} holds and takes is not known"
        for name, size in memory.parts.items():
            yield "", f"{size / GB:7.2f} GB  {name}"
        if self.seconds is None:
            yield "time", "not tried, as the run does not fit" + (" in one process" if made.processes > 1 else "")
            return
        a_step = self.seconds["training"] / work.steps
        yield "time", f"about {_duration(sum(self.seconds.values()))}; {a_step:.2g} s a step"
        for name, value in self.seconds.items():
            yield "", f"{_duration(value):>10}  {name}"
        yield "", f"from {self.probe:.0f} s with the model itself; samples are taken to be as long as they may be"
        if self.estimate.company.unknown:
            yield "", f"without what {', '.join(self.estimate.company.unknown)} takes, which nobody knows beforehand"

    def _steps(self, work: Workload) -> Iterator[tuple[str, str]]:
        made = self.settings
        micros = f"{work.microbatches:,} micro-batches, the largest of {work.largest_tokens:,} tokens"
        if not made.row.online:
            yield "steps", f"{work.steps:,} of {made.batch_size} groups, {work.tokens:,} tokens"
            yield "", micros
            return
        drawn = f"{made.samples} completions each, up to {made.sample_tokens} tokens long"
        yield "steps", f"{work.steps:,} of {made.batch_size} prompts, {drawn}"
        yield "", f"learnt from in {made.update_epochs} passes, together of {work.tokens:,} tokens each at most"
        yield "", f"a pass has {micros}"


def plan(settings: TrainSettings, *, groups: Sequence[Group] | None = None, ready: tuple[int, int] = (0, 0)) -> Plan:
    """The plan for a run of `settings`; `groups` stand in for its data files.

    `ready`: prompts and tokens that the caller samples before training. Raises what reading data and model would.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    outline = load(
        settings.model, device=settings.device, dtype=settings.dtype, attention=settings.attention,
        axes=settings.heads, weights=False,
    )  # fmt: skip
    data, _, account = read_data(settings, groups, outline, None)
    found = estimate(settings, outline, data)
    if isinstance(found, str):
        return Plan(settings, account, found, None, 0.0, None)
    if not found.fits:
        refused = why_not(settings, outline, data, found) if settings.processes == 1 else None  # as the run itself
        return Plan(settings, account, found, None, 0.0, refused)
    pace = measure_pace(settings, data, found.work)
    if settings.row.online:
        seconds = online_seconds(settings, found.work, found.rehearsal, found.company, pace, ready)
    else:
        seconds = seconds_of(settings, found.work, found.rehearsal, pace, ready)
    return Plan(settings, account, found, seconds, pace.probe, None)


def _duration(seconds: float) -> str:
    """`41 s`, `12 min`, `3.4 h`."""
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
