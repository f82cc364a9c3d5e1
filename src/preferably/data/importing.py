"""Rows of files into a store, every one of them accounted for; and whole stores from the lines that one exports."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from preferably.data.accounting import CODES, Accounting, Reject
from preferably.data.formats import parse_row
from preferably.data.load import rows_of
from preferably.errors import DataError
from preferably.feedback.records import Group, Judgment, moved
from preferably.feedback.store.codec import digest_of, group_content, kind_of, verdict_of
from preferably.feedback.store.entry import Entry, LabelerKind
from preferably.feedback.store.moving import entries_of
from preferably.feedback.store.store import Store

IDS = UUID("3f0a3c8e-6a0e-4d7b-9b52-1f1a54ce0b11")  # of judgments that came without an id


def import_rows(
    paths: Sequence[str | Path], store: Store, *, labeler_kind: LabelerKind = "human", max_rejected: float = 0.01
) -> Accounting:
    """Keep what the rows of `paths` say of completions, all of it or nothing, and return what became of every row.

    The id of a judgment is made of what it says, so importing a file twice adds nothing, and rows of a file that say
    the same, by the same labeler, count once. Rows that judge nothing are rejected. Raises `DataError` as
    `load_feedback` does and as `Store.say` does.
    """
    accounting = Accounting()
    entries: dict[str, Entry] = {}
    for place, columns in rows_of(paths, accounting):
        judged = columns if isinstance(columns, Reject) else parse_row(columns, None, place)
        if not isinstance(judged, Reject) and not judged.judgments:
            judged = Reject(*place, "row", "unjudged", CODES["unjudged"])
        if isinstance(judged, Reject):
            accounting.reject(judged)
            continue
        said = {_id_of(judged.group, one): one for one in judged.judgments}
        new = {name: one for name, one in said.items() if name not in entries}
        entries |= {name: Entry(judged.group, one, name, labeler_kind) for name, one in new.items()}
        if new:
            accounting.use()
        else:
            accounting.deduplicate()
    accounting.enforce(max_rejected)
    store.say(list(entries.values()))
    return accounting


def is_export(path: str | Path) -> bool:
    """Whether a file holds the lines of a store: its first one is a group with its content."""
    try:
        with open(path, encoding="utf-8") as file:
            first = json.loads(file.readline())
    except (OSError, ValueError):
        return False
    return isinstance(first, dict) and {"group", "content"} == set(first)


def import_export(path: str | Path, store: Store) -> int:
    """Keep everything that another store exported, all of it or nothing; how many judgments the file holds."""
    entries = entries_of(_lines(path))
    store.say(entries)
    return len(entries)


def _lines(path: str | Path) -> Iterator[dict[str, Any]]:
    with open(path, encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}:{number} is not JSON ({error}); is the export complete?") from error


def _id_of(group: Group, said: Judgment) -> str:
    """An id that is the same for the same judgment, in whatever order the file has the completions."""
    content, places = group_content(group)
    said = moved(said, places)
    about = [said.labeler, said.labeler_group, said.state, getattr(said, "order", ())]
    return str(uuid5(IDS, digest_of([content, kind_of(said), verdict_of(said), about])))
