"""Groups back to rows that every reader of this package (and of TRL) takes, and rows to files."""

import csv
import gzip
import io
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

from preferably.data.chat import is_text
from preferably.data.csv_rows import JSON_COLUMNS, TEXT_COLUMNS
from preferably.errors import ConfigError, DataError
from preferably.feedback.records import Group, Message

ENDINGS = (".jsonl", ".json", ".csv", ".parquet")
# Columns that say what is answered, by whom, and what was thought of it: of other completions than those of a new row.
SAYS = JSON_COLUMNS | TEXT_COLUMNS | {
    "edited", "models", "model_a", "model_b", "generator_1", "generator_2", "annotator", "rewards", "best_of",
    "labeler", "labeler_group",
}  # fmt: skip
HALF = re.compile("[\ud800-\udfff]")
LIKE_MESSAGES = re.compile(r"\s*\[\s*\{")
CSV_CELL = 128 * 1024  # characters of a cell that the reader takes for text and not for a quote that is never closed


def row_of(group: Group) -> dict[str, Any]:
    """`prompt`, and with ranks `completions` and `ranks`, with those of several axes `ratings`, as they were given or,
    where they are not known, by which a better rank is one more than the next; else with one completion `completion`,
    with two `chosen` and `rejected`; beside them `label`, `strength` and `tools`, where the group has them.

    Plain text without a prompt is `text`. `ValueError` for more than two completions without ranks.
    """
    names = {0: (), 1: ("completion",), 2: ("chosen", "rejected")}.get(len(group.completions))
    if names is None and not group.ranks and not group.by_axis:
        raise ValueError(f"a row without ranks holds at most two completions; got {len(group.completions)}")
    prompt, answers = spoken(group)
    if group.ranks:
        row = {"prompt": prompt, "completions": answers, "ranks": list(group.ranks)}
    elif group.by_axis:
        row = {"prompt": prompt, "completions": answers, "ratings": _ratings(group)}
    elif not group.prompt and len(answers) == 1:
        row = {"text": answers[0]}
    else:
        row = {"prompt": prompt} | dict(zip(names or (), answers, strict=True))
    more: dict[str, Any] = {"source": group.source or None}
    more |= {"label": group.label, "strength": group.strength, "tools": json.loads(group.tools or "null")}
    return row | {name: value for name, value in more.items() if value is not None}


def spoken(group: Group) -> tuple[Any, list[Any]]:
    """The prompt and the completions of a group as a row has them: texts, or lists of messages."""
    parts = [group.prompt, *(completion.messages for completion in group.completions)]
    if any(is_text(part) for part in parts):
        said: list[Any] = ["".join(message.content for message in part) for part in parts]
    else:
        said = [[_turn(message) for message in part] for part in parts]
    return said[0], said[1:]


def beside(group: Group) -> dict[str, Any]:
    """What the row of a prompt holds beside it, such as a reference answer, without columns that would make its
    completions something else: `SAYS`."""
    held: dict[str, Any] = json.loads(group.columns or "{}")
    return {name: value for name, value in held.items() if name not in SAYS}


def _ratings(group: Group) -> list[dict[str, float | None]]:
    if group.ratings:
        return [{axis: scores[at] for axis, scores in group.ratings} for at in range(len(group.completions))]
    worst = {axis: max(ranks) for axis, ranks in group.by_axis}
    return [
        {axis: worst[axis] - ranks[at] if ranks[at] else None for axis, ranks in group.by_axis}
        for at in range(len(group.completions))
    ]


def _turn(message: Message) -> dict[str, Any]:
    fields = json.loads(message.fields) if message.fields else {}
    return {"role": message.role, "content": message.content} | fields | ({} if message.train else {"train": False})


def ending_of(path: str | Path) -> str:
    """How a file of rows is written, by its name: one of `ENDINGS`. `ConfigError` for any other name."""
    name = str(path).lower().removesuffix(".gz")
    found = next((ending for ending in ENDINGS if name.endswith(ending)), None)
    if found is None:
        raise ConfigError(f"{path} does not say how to write it; expected a name that ends in {', '.join(ENDINGS)}.")
    return found


def write_rows(rows: Iterable[dict[str, Any]], path: str | Path) -> int:
    """Write rows as the name of the file says (also with .gz behind it) and return how many there were.

    The file has its name only once all of it is on the disk; what a process that was killed had written is left beside
    it as `NAME.tmp-...`. Raises `DataError` where the file exists already or cannot be written, and where the rows do
    not fit into the kind of file: CSV and Parquet have one type for a column. What was begun is removed then.
    """
    return write_files([(rows, path)])[0]


def write_files(parts: Sequence[tuple[Iterable[dict[str, Any]], str | Path]]) -> list[int]:
    """Write (rows, path) each as `write_rows` does. The files get their names when the last of them is whole."""
    endings = [ending_of(path) for _, path in parts]
    refuse_existing(*(path for _, path in parts))
    counts, written = [], []
    with ExitStack() as leftovers, ExitStack() as placed:
        for (rows, path), ending in zip(parts, endings, strict=True):
            temporary = Path(f"{path}.tmp-{secrets.token_hex(4)}")
            with _telling(path):
                temporary.parent.mkdir(parents=True, exist_ok=True)
                with open(temporary, "xb") as raw:
                    leftovers.callback(_remove, temporary)
                    counts.append(_write(rows, raw, path, ending))
                    raw.flush()
                    os.fsync(raw.fileno())
            written.append((temporary, Path(path)))
        for temporary, final in written:
            with _telling(final):
                _place(temporary, final)
            placed.callback(_remove, final)
        placed.pop_all()
    return counts


def refuse_existing(*paths: str | Path) -> None:
    """Raise `DataError` where one of `paths` is there."""
    for path in paths:
        if os.path.lexists(path):
            raise DataError(f"{path} exists already, and nothing is overwritten; name another one.")


@contextmanager
def _telling(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise DataError(f"{path} cannot be written: {problem.strerror or problem}.") from problem


def _place(temporary: Path, final: Path) -> None:
    """Give a whole file its name, which nothing may have taken meanwhile."""
    try:
        os.link(temporary, final)
    except OSError:  # it is taken, or this file system has no hard links
        refuse_existing(final)
        os.rename(temporary, final)
    if os.name != "nt":  # directories cannot be synced there
        directory = os.open(final.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _write(rows: Iterable[dict[str, Any]], raw: IO[bytes], path: str | Path, ending: str) -> int:
    zipped = str(path).lower().endswith(".gz")  # without name and time: same rows, same bytes
    stream: Any = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) if zipped else nullcontext(raw)
    with stream as file:
        if ending == ".parquet":
            return _write_parquet(list(rows), file, path)
        text = io.TextIOWrapper(file, "utf-8", newline="")
        count = _write_csv(list(rows), text, path) if ending == ".csv" else _write_json(rows, text, path, ending)
        text.flush()
        text.detach()
        return count


def _write_json(rows: Iterable[dict[str, Any]], text: IO[str], path: str | Path, ending: str) -> int:
    count, array = 0, ending == ".json"
    for count, row in enumerate(rows, 1):
        if array:
            text.write("[\n" if count == 1 else ",\n")
        try:
            line = json.dumps(row, ensure_ascii=False, allow_nan=False)
            if HALF.search(line):  # half a character is no UTF-8, but it can be spelled out
                line = json.dumps(row, allow_nan=False)
            text.write(line)
        except (TypeError, ValueError) as problem:  # bytes or times, which other kinds of file hold
            raise DataError(f"{path}: JSON cannot hold row {count}: {problem}; leave out that column.") from problem
        if not array:
            text.write("\n")
    if array:
        text.write("\n]\n" if count else "[]\n")
    return count


def _columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _write_csv(rows: Sequence[dict[str, Any]], text: IO[str], path: str | Path) -> int:
    columns = _columns(rows)
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)  # else a lone CR is not quoted
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(name, row, path) for name in columns])
    return len(rows)


def _cell(name: str, row: dict[str, Any], path: str | Path) -> str:
    value = row.get(name)
    if value is None and name in ("prompt", "completion", "chosen", "rejected", "text"):
        raise DataError(f"{path}: CSV cannot leave out {name!r} in some rows, an empty cell is empty text; use .jsonl.")
    cell = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    if len(cell) > CSV_CELL:
        raise DataError(f"{path}: a cell of {len(cell)} characters is more than CSV is read back with; use .jsonl.")
    if isinstance(value, str) and LIKE_MESSAGES.match(cell):
        raise DataError(f"{path}: the text {cell[:40]!r} would be read back from CSV as messages; use .jsonl.")
    return cell


def _write_parquet(rows: Sequence[dict[str, Any]], file: IO[bytes], path: str | Path) -> int:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as missing:
        raise DataError(f"{path} is to be Parquet, which needs pyarrow: pip install 'preferably[data]'.") from missing
    columns = _columns(rows)
    try:
        table = pyarrow.table({name: pyarrow.array([_flat(row.get(name), name) for row in rows]) for name in columns})
        parquet.write_table(table, file)
    except (pyarrow.ArrowException, TypeError, ValueError) as problem:
        reason = str(problem).splitlines()[0][:200]
        raise DataError(f"{path}: the rows do not fit into columns of one type ({reason}); use .jsonl.") from problem
    return len(rows)


def _flat(value: Any, name: str = "") -> Any:
    """`value`, with tools and calls of them as JSON text: their keys differ from row to row, as no column's may."""
    if value is not None and name in ("tools", "tool_calls"):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return {key: _flat(item, key) for key, item in value.items()}
    return [_flat(item) for item in value] if isinstance(value, list) else value
