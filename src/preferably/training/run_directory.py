"""The files of a run that other programs read. No torch. Their shape is described in docs/run-directory.md."""

import json
import math
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from preferably.errors import ConfigError
from preferably.training.disk import NoSpaceError, sync, telling, write_whole

SCHEMA = 1
# What a training run adds lines to.
LOGS = (
    "metrics.jsonl", "timing.jsonl", "warnings.jsonl", "policy_samples.jsonl", "start_samples.jsonl", "rollouts.jsonl",
)  # fmt: skip


class RunDirectory:
    """One run's folder: settings, status, metrics, warnings."""

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self.path = path
        self.writes = writes  # one process of a run alone; for the others everything that writes does nothing
        self.fresh = True  # false once `create` took up a run that had begun
        self.id = uuid.uuid4().hex  # a resumed run keeps its own
        self.listeners: list[Callable[[str, dict[str, Any]], None]] = []  # told of every line: file, values
        self.state = ""  # what `status` said last
        self.waiting: dict[str, bytes] = {}  # lines that a full disk did not take yet

    def make(self) -> None:
        """Make the folder if it is not there; a `ConfigError` if it cannot be."""
        if not self.writes:
            return
        try:
            (self.path / "evaluation").mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # who may not read the folder above cannot sync it
                sync(self.path.parent)
        except OSError as error:
            reason = error.strerror or error
            raise ConfigError(f"Cannot make the run directory {self.path}: {reason}; give another --output.") from None

    def create(self, *, resume: bool) -> None:
        """Begin in the folder, or take it up again; a `ConfigError` if a run is there already and `resume` is false.

        A run that failed before it made anything (a mistyped model) is no run yet, and one that was killed before its
        first checkpoint begins anew.
        """
        made_something = any((self.path / name).exists() for name in ("checkpoints", "metrics.jsonl", "model"))
        if made_something and not resume:
            raise ConfigError(
                f"{self.path} already holds a run; give another --output, or go on with it by --resume. "
                "Nothing was changed."
            )
        self.make()
        known = self.path / "run-id"
        begun = any("." not in path.name for path in (self.path / "checkpoints").glob("step-*"))
        self.fresh = not (begun and known.exists())
        if self.fresh:
            write_whole(known, f"{self.id}\n".encode())
        else:
            self.id = known.read_text(encoding="utf-8").strip()

    def write_json(self, name: str, values: dict[str, Any]) -> None:
        """Write `name` whole or not at all; `schema` is added."""
        if not self.writes:
            return
        target = self.path / name
        with telling(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"schema": SCHEMA} | _plain(values), indent=1, ensure_ascii=False) + "\n"
        self._whole(name, text.encode())

    def write_yaml(self, name: str, values: dict[str, Any]) -> None:
        """Write settings as YAML."""
        self._whole(name, yaml.safe_dump(_plain(values), sort_keys=False).encode())

    def write_lines(self, name: str, rows: Iterable[Any]) -> None:
        """Write a line file whole, one object a line."""
        self._whole(name, b"".join(map(_line, rows)))

    def status(self, state: str, step: int, total: int, reason: str = "") -> None:
        """Say how the run stands: running, finished, stopped or failed."""
        self.state = state
        self.write_json("status.json", {"state": state, "step": step, "total_steps": total, "reason": reason})

    def append(self, name: str, values: Any) -> None:
        """Add one object as a line. Numbers that are not finite become null: JSON has no word for them.

        On a full disk a line of the `LOGS` waits for room, until `mark`; for other files it is a `NoSpaceError`.
        """
        plain = _plain(asdict(values) if is_dataclass(values) and not isinstance(values, type) else values)
        lines = self.waiting.pop(name, b"") + _line(plain)
        try:
            self._put(name, lines)
        except NoSpaceError:
            if name not in LOGS:
                raise
            self.waiting[name] = lines
        for listen in self.listeners:
            listen(name, plain)

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        """The objects of a line file; none if it does not exist. What does not end in a newline is no line yet."""
        if (self.path / name).exists():
            for line in (self.path / name).read_bytes().split(b"\n")[:-1]:
                if line:
                    yield json.loads(line)

    def mark(self) -> dict[str, int]:
        """Wait until the logs are on the disk; the bytes of each, which `rewind` takes.

        Raises `NoSpaceError` while lines still wait for room.
        """
        sizes = dict.fromkeys(LOGS, 0)
        with telling(self.path):
            for name in LOGS:
                path = self.path / name
                if name in self.waiting:
                    self._put(name, self.waiting[name])
                    del self.waiting[name]
                if path.exists():
                    sync(path)
                    sizes[name] = path.stat().st_size
            sync(self.path)
        return sizes

    def rewind(self, sizes: Mapping[str, int]) -> None:
        """Forget what was logged after `mark` gave `sizes`, so that a resumed run logs it once."""
        for name in LOGS if self.writes else ():
            path, size = self.path / name, sizes.get(name, 0)
            if path.exists() and path.stat().st_size > size:
                with telling(path):
                    os.truncate(path, size)

    def _whole(self, name: str, content: bytes) -> None:
        if self.writes:
            write_whole(self.path / name, content)

    def _put(self, name: str, lines: bytes) -> None:
        """Write all of it or, on an error, nothing."""
        if not self.writes:
            return
        rest = memoryview(lines)
        with telling(self.path / name), (self.path / name).open("ab", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                file.truncate(end)
                raise


def _line(values: Any) -> bytes:
    values = asdict(values) if is_dataclass(values) and not isinstance(values, type) else values
    return (json.dumps(_plain(values), ensure_ascii=False) + "\n").encode()


def _plain(value: Any) -> Any:
    """`value` in what JSON knows: tuples as lists, numbers that are not finite as null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
