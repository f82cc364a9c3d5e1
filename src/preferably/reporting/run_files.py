"""The files of a run directory, read as they are: missing, torn or odd files are told, never repaired or guessed."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from preferably.errors import DataError

Record = dict[str, Any]

SIGNS_OF_A_RUN = ("config.yaml", "status.json", "data.json", "metrics.jsonl", "evaluation")


@dataclass(frozen=True, slots=True)
class RunFiles:
    """What one run directory holds. An absent file is an empty record or list; `problems` names unreadable ones."""

    path: Path
    config: Record = field(default_factory=dict)
    environment: Record = field(default_factory=dict)
    status: Record = field(default_factory=dict)
    data: Record = field(default_factory=dict)
    metrics: list[Record] = field(default_factory=list)
    timing: list[Record] = field(default_factory=list)
    warnings: list[Record] = field(default_factory=list)
    samples: list[Record] = field(default_factory=list)
    policy_samples: list[Record] = field(default_factory=list)
    win_rate: Record = field(default_factory=dict)
    other_win_rates: dict[str, Record] = field(default_factory=dict)  # what stands after the @ in the file's name
    axes: Record = field(default_factory=dict)
    readiness: Record = field(default_factory=dict)
    preference_accuracy: Record = field(default_factory=dict)
    reward_model: Record = field(default_factory=dict)
    reward_kl: Record = field(default_factory=dict)
    people: Record = field(default_factory=dict)
    board: Record = field(default_factory=dict)
    your_label: Record = field(default_factory=dict)
    audits: dict[str, Record] = field(default_factory=dict)  # what stands after audit_ in the file's name
    problems: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The directory's own name, also where the path is `.`."""
        return self.path.resolve().name or str(self.path)


def read_run(path: Path, *, growing: bool = False) -> RunFiles:
    """Reads the run in `path`; a `DataError` where there is none.

    `growing`: it is being written, so that there may be nothing yet, and a last line without its end is no problem.
    """
    if not growing and not any((path / sign).exists() for sign in SIGNS_OF_A_RUN):
        raise DataError(
            f"{path} is not a run directory: none of {', '.join(SIGNS_OF_A_RUN)} is there. "
            "Give a directory that a training run or an evaluation wrote."
        )
    problems: list[str] = []
    evaluation = path / "evaluation"
    others = {
        file.stem.partition("@")[2]: read_object(file, problems) for file in sorted(evaluation.glob("win_rate@*.json"))
    }
    audits = {
        file.stem[len("audit_") :]: read_object(file, problems) for file in sorted(evaluation.glob("audit_*.json"))
    }
    return RunFiles(
        path=path,
        config=read_object(path / "config.yaml", problems),
        environment=read_object(path / "environment.json", problems),
        status=read_object(path / "status.json", problems),
        data=read_object(path / "data.json", problems),
        metrics=_read_lines(path / "metrics.jsonl", problems, growing),
        timing=_read_lines(path / "timing.jsonl", problems, growing),
        warnings=_read_lines(path / "warnings.jsonl", problems, growing),
        samples=_read_lines(path / "samples.jsonl", problems, growing),
        policy_samples=_read_lines(path / "policy_samples.jsonl", problems, growing),
        win_rate=read_object(evaluation / "win_rate.json", problems),
        other_win_rates={label: record for label, record in others.items() if record},
        axes=read_object(evaluation / "axes.json", problems),
        readiness=read_object(evaluation / "readiness.json", problems),
        preference_accuracy=read_object(evaluation / "preference_accuracy.json", problems),
        reward_model=read_object(evaluation / "reward_model.json", problems),
        reward_kl=read_object(evaluation / "reward_kl.json", problems),
        people=read_object(evaluation / "people.json", problems),
        board=read_object(evaluation / "board.json", problems),
        your_label=read_object(evaluation / "your_label.json", problems),
        audits={name: record for name, record in audits.items() if record},
        problems=tuple(problems),
    )


def read_object(file: Path, problems: list[str]) -> Record:
    """The object in a file of JSON or YAML; empty where there is none; `problems` is told where it cannot be read."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
        found = yaml.safe_load(text) if file.suffix == ".yaml" else json.loads(text)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        problems.append(f"{file.name} cannot be read: {' '.join(str(error).split())}")
        return {}
    if not isinstance(found, dict):
        problems.append(f"{file.name} holds a {type(found).__name__}, expected an object; it is left out.")
        return {}
    return found


def _read_lines(file: Path, problems: list[str], growing: bool) -> list[Record]:
    records: list[Record] = []
    refused: list[int] = []
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            for number_of_line, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                try:
                    found = json.loads(line)
                except (ValueError, RecursionError):
                    found = None
                if isinstance(found, dict):
                    records.append(found)
                elif line.endswith("\n") or not growing:
                    refused.append(number_of_line)
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(f"{file.name} cannot be read: {error}")
    if refused:
        lines = ", ".join(str(line) for line in refused[:5]) + (", …" if len(refused) > 5 else "")
        count = "1 line" if len(refused) == 1 else f"{len(refused)} lines"
        problems.append(
            f"{file.name}: {count} cannot be read and {'is' if len(refused) == 1 else 'are'} left out ({lines})."
        )
    return records


def number(record: object, key: str) -> float | None:
    """The number under `key`, NaN and infinity included; `None` where there is no number."""
    value = record.get(key) if isinstance(record, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def finite(record: object, key: str) -> float | None:
    """The number under `key`, or `None` where it is absent, NaN or infinite."""
    value = number(record, key)
    return value if value is not None and math.isfinite(value) else None


def text(record: object, key: str) -> str:
    """The text under `key`; empty where it is absent or null, and as JSON writes it where it is not a text."""
    value = record.get(key) if isinstance(record, dict) else None
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def part(record: object, key: str) -> Record:
    """The object under `key`; empty where there is none."""
    value = record.get(key) if isinstance(record, dict) else None
    return value if isinstance(value, dict) else {}


def records(record: Record, key: str) -> Iterator[Record]:
    """The objects of the list under `key`; none where there is no list."""
    values = record.get(key)
    yield from (each for each in values if isinstance(each, dict)) if isinstance(values, list) else ()


def interval_of(record: Record) -> tuple[float, float] | None:
    """The interval of a win rate, where two finite bounds are stored."""
    bounds = record.get("interval")
    if not isinstance(bounds, list) or len(bounds) != 2:
        return None
    low, high = (finite({"bound": bound}, "bound") for bound in bounds)
    return None if low is None or high is None else (low, high)


def setting(config: Record, *names: str) -> Any:
    """The first setting found under one of `names`, at any depth; `None` where there is none."""
    for name in names:
        for key, value in _leaves(config):
            if key == name or key.endswith("." + name):
                return value
    return None


def flat(record: Record) -> list[tuple[str, Any]]:
    """The leaves of a nested record as (dotted name, value), in the order of the file."""
    return [(name, value) for name, value in _leaves(record) if not (isinstance(value, dict) and value)]


def _leaves(record: Record, before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        name = f"{before}{key}"
        if isinstance(value, dict) and value:
            yield name, value
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value
