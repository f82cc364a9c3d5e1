"""The whole job of `align.yaml`: each stage once, kept by the digest of what it came from, taken up after any end."""

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from preferably import api
from preferably.errors import CheckpointError, PreferablyError, ToldElsewhereError
from preferably.evaluation.auditing import name_of
from preferably.pipeline import doing
from preferably.pipeline.account import Account, Entry
from preferably.pipeline.audits import AUDITS
from preferably.pipeline.doing import StopAskedError
from preferably.pipeline.gates import Closed, GateError, check_gates, closed, stops
from preferably.pipeline.inputs import check_inputs
from preferably.pipeline.keeping import (
    PRODUCTS,
    SHOWN_BY_THE_RUN,
    Kept,
    digest_of,
    keep,
    make_room,
    output_of,
    read_kept,
    restore,
    retract,
    state_of,
)
from preferably.pipeline.plan import AlignSettings
from preferably.pipeline.stages import Stage, stages_of
from preferably.reporting.alignment import render_alignment
from preferably.training.checkpoint import lock_run
from preferably.training.run_directory import RunDirectory
from preferably.training.stops import listening

ACCOUNT, SETTINGS = "align.json", "align.yaml"
STOPPED = "asked to stop"


class Watcher(doing.Watcher, Protocol):
    """Who is told how the job goes."""

    def begins(self, stage: Stage, number: int, of: int, *, done: bool, moved: Path | None) -> None:
        """A stage begins, goes on, or is found done; `moved` is where what its folder held went."""

    def closed(self, gate: Closed, *, skipped: bool) -> None:
        """A gate is closed, and the job goes on."""


@dataclass(slots=True)
class Alignment:
    """A job as far as it went."""

    path: Path
    account: Account
    stopped_by: int | None = None  # the signal that ended it early, where one did

    @property
    def report(self) -> Path:
        """The page of the whole job."""
        return self.path / "report.html"


@dataclass(slots=True)
class _Job:
    settings: AlignSettings
    watcher: Watcher
    skip: Collection[str]
    account: Account
    outputs: dict[str, str] = field(default_factory=dict)  # digests of what the stages made

    @property
    def root(self) -> Path:
        return Path(self.settings.output)


def align(settings: AlignSettings, *, watcher: Watcher, skip: Collection[str] = ()) -> Alignment:
    """Do the job, or go on with it: what is done with the same settings, data and models is not done again.

    `skip` are gates that do not stop it; they are warned of, and the report says so. SIGTERM, SIGINT and SIGHUP end it
    in order. Raises `GateError` at a closed gate, `ConfigError`, `DataError` and `ModelError` for what cannot be used,
    before anything begins where that can be known, and whatever a stage raises.
    """
    check_gates(skip)
    stages = stages_of(settings, lenient="check" in skip)
    rows = check_inputs(settings, stages, skip)
    root = Path(settings.output)
    with lock_run(root), listening() as stop:
        account = Account(settings.model_dump(mode="json"), [Entry(one) for one in stages], rows)
        job = _Job(settings, watcher, skip, account)
        RunDirectory(root).write_yaml(SETTINGS, settings.model_dump(mode="json"))
        try:
            for number, stage in enumerate(stages, 1):
                _pass(job, stage, number)
        except StopAskedError as asked:
            _write(job, "stopped", STOPPED)
            return Alignment(root, job.account, asked.number)
        except KeyboardInterrupt:
            _write(job, "stopped", STOPPED)
            if stop.number is None:
                raise
            return Alignment(root, job.account, stop.number)
        except PreferablyError as error:
            _write(job, "stopped at a gate" if isinstance(error, GateError) else "failed", str(error))
            raise
        _write(job, "finished", "")
    return Alignment(root, job.account)


def _pass(job: _Job, stage: Stage, number: int) -> None:
    """Have a stage done, by now or before, and go through its gate."""
    digest = digest_of(stage, job.outputs)
    state, moved = state_of(stage, digest), None
    if state == "new":
        moved = make_room(job.root, stage, digest)
        state = state_of(stage, digest)  # it may have been made before
    entry = job.account.entries[number - 1]
    job.watcher.begins(stage, number, len(job.account.entries), done=state == "done", moved=moved)
    entry.cached = state == "done"
    kept = read_kept(stage) if state != "new" else Kept(digest)
    if state != "done":
        _retract(job, stage)
        _do(job, stage, kept, entry)
    elif stage.kind == "train":
        _retract(job, stage)
    if stage.kind in SHOWN_BY_THE_RUN and not stage.name.endswith("-over-previous"):
        if restore(stage, Path(stage.model)):
            api.report(stage.model)
    job.outputs[stage.name] = kept.output
    entry.kept, entry.state = kept, "done"
    if found := closed(stage, job.settings):
        skipped = found.gate in job.skip
        halts = stops(stage, job.settings) and not skipped
        job.account.gates.append({"gate": found.gate, "stage": stage.name, "reasons": list(found.reasons),
                                  "went_on": "" if halts else "skipped" if skipped else "warns"})  # fmt: skip
        if halts:
            raise found.error()
        job.watcher.closed(found, skipped=skipped)
    _write(job, "running", "")


def _retract(job: _Job, stage: Stage) -> None:
    """Of an audit that is to be done, what the run has of it; of a policy, the evaluation and the audits that are no
    longer asked for."""
    shown: list[tuple[str, str]] = []  # stages, and a file that each made
    if stage.kind == "audit":
        run = Path(stage.model)
        shown = [(stage.name, name_of(stage.settings["audit"]))]
    elif stage.kind == "train" and stage.folder.name == stage.road:
        run, beside = stage.folder, stage.name.removesuffix(stage.road)
        audits = [name for name in AUDITS if name not in job.settings.audit]
        shown = [(f"{beside}audit-{name}-{stage.road}", name_of(name)) for name in audits]
        if job.settings.evaluate is None:
            shown += [(f"{beside}evaluate-{stage.road}", file) for file in PRODUCTS["evaluate"]]
    if any([retract(job.root, name, file, run) for name, file in shown]):
        api.report(run)


def _do(job: _Job, stage: Stage, kept: Kept, entry: Entry) -> None:
    kept.tries += 1
    keep(stage, kept)
    entry.kept, entry.state = kept, "begun"
    _write(job, "running", "")
    began = time.perf_counter()
    try:
        kept.figures = doing.do(stage, job.watcher)
    except ToldElsewhereError:
        raise
    except PreferablyError as error:
        raise type(error)(f"{stage.name}: {error}") from error
    finally:
        kept.seconds = round(kept.seconds + time.perf_counter() - began, 2)
        keep(stage, kept)
    kept.output = output_of(stage)
    if not kept.output:
        raise CheckpointError(f"{stage.folder} does not hold what the stage {stage.name} makes; run the command again.")
    kept.finished = True
    keep(stage, kept)


def _write(job: _Job, state: str, reason: str) -> None:
    """Write the account, and the page where the job ends here."""
    job.account.state, job.account.reason = state, reason
    record: dict[str, Any] = job.account.as_json(job.root)
    RunDirectory(job.root).write_json(ACCOUNT, record)
    if state != "running":
        render_alignment(job.root, record)
