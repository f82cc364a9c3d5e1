"""Files to files: another shape or container, or two parts that share no prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preferably.data.accounting import Accounting, Reject
from preferably.data.formats import Feedback, parse_row
from preferably.data.load import read_feedback, rows_of
from preferably.data.splits import split_by_prompt
from preferably.data.trees import tree_rows
from preferably.data.writers import beside, ending_of, refuse_existing, row_of, write_files, write_rows
from preferably.errors import ConfigError
from preferably.feedback.records import Group


@dataclass(frozen=True, slots=True)
class Converted:
    """How many rows were written, and what became of those that were read."""

    written: int
    accounting: Accounting


def convert_files(
    paths: Sequence[str | Path],
    to: Feedback,
    output: str | Path,
    *,
    axis: str | None = None,
    trees: bool = False,
    max_rejected: float = 0.01,
) -> Converted:
    """Write what `paths` hold as rows of the kind `to`; the name of `output` says how (`writers.write_rows`).

    With `trees` the files hold message trees, and the accounts count the comparisons in them. Raises `DataError` where
    too many rows are at fault, where nothing is left, and where `output` exists or cannot hold the rows.
    """
    ending_of(output)  # before anything is read
    refuse_existing(output)
    loaded = read_feedback(paths, to, axis=axis, expand=tree_rows if trees else None)
    loaded.accounting.enforce(max_rejected)
    # A prompt keeps its other columns, as functions that score completions read them.
    rows = (beside(group) | row_of(group) if to == "prompts" else row_of(group) for group in loaded.groups)
    return Converted(write_rows(rows, output), loaded.accounting)


@dataclass(frozen=True, slots=True)
class Parts:
    """How many rows are in each part, how many were set apart, and what became of those that were read."""

    train: int
    held_out: int
    rejected: int
    accounting: Accounting


def split_files(
    paths: Sequence[str | Path],
    held_out: float,
    seed: int,
    directory: str | Path,
    *,
    max_rejected: float = 0.01,
) -> Parts:
    """Write `train.jsonl` and `held_out.jsonl` into `directory`: the rows as they are, near-equal prompts on one side.

    `held_out` is a share below 1, or a whole number of rows. Rows that hold no feedback of any kind go to
    `rejected.jsonl`, where there are any; nothing else is left out, not even what says the same twice. (What is no row
    at all, such as a broken line, is counted only.) Raises what `convert_files` raises.
    """
    if held_out >= 1 and not float(held_out).is_integer():
        raise ConfigError(f"--held-out is a share below 1 or a whole number of rows; got {held_out:g}.")
    targets = [Path(directory) / f"{name}.jsonl" for name in ("train", "held_out", "rejected")]
    refuse_existing(*targets)
    accounting = Accounting()
    rows: list[dict[str, Any]] = []
    apart: list[dict[str, Any]] = []
    groups: list[Group] = []
    for place, columns in rows_of(paths, accounting):
        if isinstance(columns, Reject):
            accounting.reject(columns)
            continue
        judged = parse_row(columns, None, place)
        if isinstance(judged, Reject):
            accounting.reject(judged)
            apart.append(columns)
            continue
        accounting.use()
        rows.append(columns)
        groups.append(judged.group)
    accounting.enforce(max_rejected)
    split = split_by_prompt(groups, held_out if held_out < 1 else int(held_out), seed)
    parts = [[rows[index] for index in part] for part in (split.train, split.held_out)] + ([apart] if apart else [])
    write_files(list(zip(parts, targets, strict=False)))
    return Parts(len(split.train), len(split.held_out), len(apart), accounting)
