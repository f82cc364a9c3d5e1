"""Optional writers beside metrics.jsonl: TensorBoard, Weights & Biases, trackio. No torch until one is started.

metrics.jsonl and warnings.jsonl are the record. A tracker is told each of their lines once, also where a run is
resumed, and nothing that goes wrong with a tracker stops the training.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import yaml

from preferably.errors import ConfigError
from preferably.training.alarms import Warning
from preferably.training.run_directory import RunDirectory
from preferably.training.wandb_file import last_step

PROJECT = "preferably"  # unless WANDB_PROJECT or TRACKIO_PROJECT says another
FAILED = "tracker_failed"
Tell = Callable[[str, str, str], None]  # code, message, advice


class Tracker(Protocol):
    """One writer. Made with what began (its settings among it), then told; any call may raise.

    `held` is the last step that its own store has of this run, -1 where it has none.
    """

    held: int

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """The finite numbers of one line of metrics.jsonl."""

    def warn(self, step: int, code: str, message: str, advice: str) -> None:
        """One line of warnings.jsonl."""

    def finish(self, ok: bool) -> None:
        """No more will come; `ok` is false where the run failed."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What a tracker is told at the start."""

    path: Path
    id: str  # of the run; a resumed run keeps its own
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """What people call the run."""
        return self.path.resolve().name


class TensorBoard:
    """Event files in RUN/tensorboard. All numbers of a step are one record, which no kill can part."""

    def __init__(self, begun: Begun) -> None:
        from torch.utils.tensorboard.writer import FileWriter

        folder = begun.path / "tensorboard"
        self.held = self._held(folder)
        self._writer = FileWriter(str(folder))
        if self.held < 0:
            written = yaml.safe_dump(begun.settings, sort_keys=False)
            self._text("settings", "".join(f"    {line}\n" for line in written.splitlines()), 0)

    @staticmethod
    def _held(folder: Path) -> int:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        if not folder.is_dir():
            return -1
        kept = EventAccumulator(str(folder), size_guidance={"scalars": 1}).Reload()  # of each tag the newest
        return max((kept.Scalars(tag)[-1].step for tag in kept.Tags()["scalars"]), default=-1)

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """See `Tracker`."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
        self._writer.add_summary(Summary(value=values), step)
        self._writer.flush()

    def warn(self, step: int, code: str, message: str, advice: str) -> None:
        """See `Tracker`."""
        self._text(f"warnings/{code}", f"{message}\n\n{advice}", step)

    def finish(self, ok: bool) -> None:
        """See `Tracker`."""
        self._writer.close()

    def _text(self, tag: str, words: str, step: int) -> None:
        from torch.utils.tensorboard.summary import text

        self._writer.add_summary(text(tag, words), step)
        self._writer.flush()


class WandB:
    """A run of Weights & Biases under the id of ours. WANDB_MODE decides whether anything leaves the machine."""

    def __init__(self, begun: Begun) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # crash reports to its makers: only if asked for
        import wandb

        held = last_step((begun.path / "wandb").glob(f"*run-*-{begun.id}/*.wandb"))
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT), id=begun.id, dir=str(begun.path), config=begun.settings,
            name=os.environ.get("WANDB_NAME", begun.name), resume="allow" if held >= 0 else None, reinit="create_new",
            settings=wandb.Settings(console="off"),
        )  # fmt: skip
        self.held = held if self._run.offline else self._run.starting_step - 1

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """See `Tracker`."""
        self._run.log(metrics, step=step, commit=True)  # else it is kept back until the next step

    def warn(self, step: int, code: str, message: str, advice: str) -> None:
        """See `Tracker`."""
        self._run.alert(title=code, text=f"step {step}: {message}; {advice}.", level="WARN")

    def finish(self, ok: bool) -> None:
        """See `Tracker`."""
        self._run.finish(exit_code=0 if ok else 1)


class Trackio:
    """A run in trackio's own store on this machine, or where TRACKIO_SPACE_ID or TRACKIO_SERVER_URL says."""

    def __init__(self, begun: Begun) -> None:
        import trackio

        project, name = os.environ.get("TRACKIO_PROJECT", PROJECT), f"{begun.name}-{begun.id[:8]}"
        with redirect_stdout(sys.stderr), _hub_left_alone():
            self._run = trackio.init(
                project=project, name=name, config=begun.settings, resume="allow", embed=False,
                auto_log_cpu=False, auto_log_gpu=False,
            )  # fmt: skip
        self.held = self._run._next_step - 1
        self._finish = trackio.finish  # the method of the run would leave it to be finished again at exit

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """See `Tracker`."""
        self._run.log(metrics, step=step)

    def warn(self, step: int, code: str, message: str, advice: str) -> None:
        """See `Tracker`."""
        with redirect_stdout(sys.stderr):
            self._run.alert(title=code, text=f"step {step}: {message}; {advice}.")

    def finish(self, ok: bool) -> None:
        """See `Tracker`."""
        with redirect_stdout(sys.stderr):
            self._finish()


@contextmanager
def _hub_left_alone() -> Iterator[None]:
    """trackio asks the Hugging Face hub for the user's name, also where nothing is to leave the machine: not then."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not (
        os.environ.get("TRACKIO_SPACE_ID") or os.environ.get("TRACKIO_SERVER_URL")
    )
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


TRACKERS: dict[str, Callable[[Begun], Tracker]] = {"tensorboard": TensorBoard, "wandb": WandB, "trackio": Trackio}


def require(names: Sequence[str]) -> None:
    """Raise `ConfigError` for the first of `names` whose package is not installed."""
    for name in names:
        spec = find_spec(name)
        if spec is None or spec.origin is None:  # W&B leaves folders called wandb about, which Python could import
            raise ConfigError(
                f"track asks for {name}, which is not installed: pip install 'preferably[track]', or leave it out."
            )


@contextmanager
def tracked(run: RunDirectory, names: Sequence[str], warn: Tell) -> Iterator[None]:
    """Tell the trackers called `names` every line that `run` writes to metrics.jsonl and warnings.jsonl inside.

    What went wrong is warned of once a tracker, and counted in tracking.json. Raises `ConfigError` if one cannot start.
    """
    if not names:
        yield
        return
    trackers = Trackers(run, names, warn)
    run.listeners.append(trackers.hear)
    ok = False
    try:
        yield
        ok = True
    finally:
        run.listeners.remove(trackers.hear)
        trackers.finish(ok)


class Trackers:
    """All trackers of a run, none of which can disturb it."""

    def __init__(self, run: RunDirectory, names: Sequence[str], warn: Tell) -> None:
        self._run, self._warn = run, warn
        lines = [(name, line) for name in ("warnings.jsonl", "metrics.jsonl") for line in _readable(run, name)]
        lines.sort(key=lambda each: each[1]["step"])
        self._told = {_key(name, line) for name, line in lines}
        settings = yaml.safe_load((run.path / "config.yaml").read_text(encoding="utf-8"))
        begun = Begun(run.path, run.id, settings)
        self.calls = dict.fromkeys(names, 0)
        self.failed = dict.fromkeys(names, 0)
        self._trackers: dict[str, Tracker] = {}
        for name in names:
            try:
                self._trackers[name] = TRACKERS[name](begun)
            except Exception as error:
                self.finish(False)
                raise ConfigError(
                    f"{name} cannot be started: {_one_line(error)}; mend that, or leave it out of track."
                ) from None
        # A tracker that was not there before, or lost what came last, is told it now.
        for file, line in lines:
            for name, tracker in self._trackers.items():
                if line["step"] > tracker.held:
                    self._tell(name, file, line)

    def hear(self, file: str, line: dict[str, Any]) -> None:
        """A line was written. One that was written before a resume, and now again, is told no second time."""
        if file in ("metrics.jsonl", "warnings.jsonl") and _key(file, line) not in self._told:
            self._told.add(_key(file, line))
            for name in self._trackers:
                self._tell(name, file, line)

    def _tell(self, name: str, file: str, line: dict[str, Any]) -> None:
        tracker, step = self._trackers[name], line["step"]
        if line.get("code") == FAILED or (file == "metrics.jsonl" and step <= tracker.held):
            return
        if file == "warnings.jsonl":
            self._guard(name, step, partial(tracker.warn, step, line["code"], line["message"], line["advice"]))
        else:
            numbers = {
                key: float(value)
                for key, value in line.items()
                if isinstance(value, int | float) and not isinstance(value, bool) and key != "step"
            }
            self._guard(name, step, partial(tracker.log, step, numbers))

    def _guard(self, name: str, step: int, call: Callable[[], None]) -> None:
        self.calls[name] += 1
        try:
            call()
        except Exception as error:
            self.failed[name] += 1
            if self.failed[name] == 1:
                message = f"{name} could not be written at step {step}: {_one_line(error)}"
                advice = f"the run goes on, and metrics.jsonl has everything; see why {name} fails"
                self._run.append("warnings.jsonl", Warning(step, FAILED, message, advice))
                self._warn(FAILED, message, advice)

    def finish(self, ok: bool) -> None:
        """Close all trackers and write tracking.json: how often each was told something, and how often that failed."""
        last = max((step for _, step, _ in self._told), default=0)
        for name, tracker in self._trackers.items():
            self._guard(name, last, partial(tracker.finish, ok))
            if self.failed[name]:
                self._warn("note", f"{self.failed[name]} of {self.calls[name]} writes to {name} failed", "")
        counts = {name: {"calls": self.calls[name], "failed": self.failed[name]} for name in self._trackers}
        try:
            self._run.write_json("tracking.json", {"trackers": counts})
        except OSError as error:
            self._warn("note", f"tracking.json cannot be written: {_one_line(error)}", "")


def _readable(run: RunDirectory, name: str) -> Iterator[dict[str, Any]]:
    """The lines up to one that a power cut tore: that lies behind the checkpoint, so a resumed run writes it again."""
    with suppress(ValueError):
        yield from run.lines(name)


def _key(file: str, line: dict[str, Any]) -> tuple[str, int, str]:
    return file, line["step"], line.get("code", "")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
