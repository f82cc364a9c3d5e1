"""The files of a run that other programs read. No torch. Their shape is described in docs/run-directory.md."""

import json
import math
import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from preferably.errors import ConfigError

SCHEMA = 1


class RunDirectory:
    """One run's folder: settings, status, metrics, warnings."""

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self.path = path
        self.writes = writes  # one process of a run alone; for the others everything that writes does nothing
        self.fresh = True  # false once `create` took up a run that had begun
        self.id = uuid.uuid4().hex  # a resumed run keeps its own

    def make(self) -> None:
        """Make the folder if it is not there; a `ConfigError` if it cannot be."""
        if not self.writes:
            return
        try:
            (self.path / "evaluation").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or error
            raise ConfigError(f"Cannot make the run directory {self.path}: {reason}; give another --output.") from None

    def create(self, *, resume: bool) -> None:
        """Begin in the folder, or take it up again; a `ConfigError` if a run is there already and `resume` is false.

        A run that failed before it made anything (a mistyped model) is no run yet.
        """
        made_something = any((self.path / name).exists() for name in ("checkpoints", "metrics.jsonl", "model"))
        if made_something and not resume:
            raise ConfigError(
                f"{self.path} already holds a run; give another --output, or go on with it by --resume. "
                "Nothing was changed."
            )
        self.make()
        known = self.path / "run-id"
        self.fresh = not (made_something and known.exists())
        if self.fresh:
            known.write_text(self.id + "\n", encoding="utf-8")
        else:
            self.id = known.read_text(encoding="utf-8").strip()

    def write_json(self, name: str, values: dict[str, Any]) -> None:
        """Write `name` whole or not at all; `schema` is added."""
        if not self.writes:
            return
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"schema": SCHEMA} | _plain(values), indent=1, ensure_ascii=False) + "\n"
        temporary = target.with_name(target.name + ".tmp")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, target)

    def write_yaml(self, name: str, values: dict[str, Any]) -> None:
        """Write settings as YAML."""
        if not self.writes:
            return
        (self.path / name).write_text(yaml.safe_dump(_plain(values), sort_keys=False), encoding="utf-8")

    def status(self, state: str, step: int, total: int, reason: str = "") -> None:
        """Say how the run stands: running, finished, stopped or failed."""
        self.write_json("status.json", {"state": state, "step": step, "total_steps": total, "reason": reason})

    def append(self, name: str, values: Any) -> None:
        """Add one object as a line. Numbers that are not finite become null: JSON has no word for them."""
        self._write_lines(name, [values], "a")

    def write_lines(self, name: str, values: Iterable[Any]) -> None:
        """Write objects as the lines of a new file."""
        self._write_lines(name, values, "w")

    def _write_lines(self, name: str, values: Iterable[Any], mode: str) -> None:
        if not self.writes:
            return
        with (self.path / name).open(mode, encoding="utf-8") as file:
            for value in values:
                plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
                file.write(json.dumps(_plain(plain), ensure_ascii=False) + "\n")

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        """The objects of a line file; none if it does not exist."""
        if (self.path / name).exists():
            for line in (self.path / name).read_text(encoding="utf-8").split("\n"):
                if line:
                    yield json.loads(line)

    def rewind(self, step: int) -> None:
        """Forget what was logged after `step`, so that a resumed run logs it once."""
        if not self.writes:
            return
        for name in ("metrics.jsonl", "timing.jsonl", "warnings.jsonl"):
            path = self.path / name
            if not path.exists():
                continue
            # A line that a killed process left half-written is after `step` too, for a checkpoint is written last.
            kept = []
            for line in path.read_text(encoding="utf-8").split("\n"):
                try:
                    if line and json.loads(line)["step"] <= step:
                        kept.append(line + "\n")
                except ValueError:
                    break
            path.write_text("".join(kept), encoding="utf-8")


def _plain(value: Any) -> Any:
    """`value` in what JSON knows: tuples as lists, numbers that are not finite as null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
