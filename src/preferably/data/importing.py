"""Rows of files into a store, every one of them accounted for; and whole stores from the lines that one exports."""

import errno
import gzip
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any
from uuid import UUID, uuid5

from preferably.data.accounting import CODES, Accounting, Reject
from preferably.data.columns import Row
from preferably.data.formats import ORDERED, parse_row
from preferably.data.load import rows_of
from preferably.errors import DataError
from preferably.feedback.records import Group, Judgment, Preference, Ranking, moved
from preferably.feedback.store.codec import digest_of, group_content, kind_of, verdict_of
from preferably.feedback.store.entry import Entry, LabelerKind
from preferably.feedback.store.moving import entries_of

LONGEST = 1 << 24  # characters of a first line that are looked at
IDS = UUID("3f0a3c8e-6a0e-4d7b-9b52-1f1a54ce0b11")  # of judgments that came without an id


def rows_in(
    paths: Sequence[str | Path],
    *,
    labeler: str = "",
    labeler_kind: LabelerKind = "human",
    max_rejected: float = 0.01,
) -> tuple[list[Entry], Accounting]:
    """What the rows of `paths` say of completions, to be said to a store, and what became of every row.

    `labeler` is whose the rows are that name nobody.
    The id of a judgment is made of what it says, so importing a file twice adds nothing, and rows of a file that say
    the same, by the same labeler, count once. Rows that judge nothing are rejected; of ranks and ratings the ranks
    count. Raises `DataError` as `load_feedback` does.
    """
    entries, accounting = read_rows_in(paths, labeler=labeler, labeler_kind=labeler_kind)
    accounting.enforce(max_rejected)
    return entries, accounting


def read_rows_in(
    paths: Sequence[str | Path], *, labeler: str = "", labeler_kind: LabelerKind = "human"
) -> tuple[list[Entry], Accounting]:
    """The same, whatever became of the rows: for whoever looks at what was said alone."""
    accounting = Accounting()
    entries: dict[str, Entry] = {}
    for place, columns in rows_of(paths, accounting):
        row = Row({} if isinstance(columns, Reject) else columns, None)
        judged = columns if isinstance(columns, Reject) else parse_row(columns, None, place, row)
        if not isinstance(judged, Reject) and not judged.judgments:
            judged = Reject(*place, "row", "unjudged", CODES["unjudged"])
        if isinstance(judged, Reject):
            accounting.reject(judged)
            continue
        ranked = [one for one in judged.judgments if isinstance(one, Ranking)]
        new = False
        for said in ranked or judged.judgments:
            shown = row.shape in ORDERED or not isinstance(said, Preference | Ranking)
            said = said if said.labeler else replace(said, labeler=labeler)
            name = _id_of(judged.group, said, labeler_kind)
            new |= name not in entries
            entries.setdefault(name, Entry(judged.group, said, name, labeler_kind, shown=shown))
        if new:
            accounting.use()
        else:
            accounting.deduplicate()
    return list(entries.values()), accounting


def is_export(path: str | Path) -> bool:
    """Whether a file holds the lines of a store: its first one is a group with its content, or the end of all."""
    try:
        with _opened(path) as file:
            first = json.loads(file.readline(LONGEST))
    except (OSError, EOFError, ValueError):
        return False
    return isinstance(first, dict) and set(first) in ({"group", "content"}, {"judgments"})


def export_in(path: str | Path) -> list[Entry]:
    """Everything that another store exported to a file. `DataError` for one that is damaged or breaks off."""
    try:
        return entries_of(_lines(path))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _opened(path: str | Path) -> IO[str]:
    if not os.path.isfile(path):  # a pipe would wait for somebody to write
        raise FileNotFoundError(errno.ENOENT, "no regular file", str(path))
    opening = gzip.open if str(path).lower().endswith(".gz") else open
    return opening(path, "rt", encoding="utf-8", newline="\n")


def _lines(path: str | Path) -> Iterator[dict[str, Any]]:
    number = 0
    try:
        with _opened(path) as file:
            for line in file:
                number += 1
                yield json.loads(line)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"line {number} cannot be read ({error}); is the export complete?") from error


def _id_of(group: Group, said: Judgment, kind: LabelerKind) -> str:
    """An id that is the same for the same judgment, in whatever order the file has the completions."""
    content, places = group_content(group)
    said = moved(said, places)
    about = [said.labeler, said.labeler_group, said.state, getattr(said, "order", ()), kind]
    return str(uuid5(IDS, digest_of([content, kind_of(said), verdict_of(said), about])))
