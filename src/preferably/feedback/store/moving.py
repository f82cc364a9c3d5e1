"""A whole store elsewhere: copied (a backup, a move to another database), written as lines, and read from them."""

import json
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, func, select, text

from preferably.errors import DataError
from preferably.feedback.store.codec import group_of, judgment_of
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.naming import SCHEMES
from preferably.feedback.store.store import PAGE, Store
from preferably.feedback.store.tables import items, judgments

ORDER = {"items": items.c.id, "judgments": judgments.c.number}
ABOUT = ("seed", "guideline", "principle", "rationale", "seconds", "supersedes", "said_at", "labeler_kind")


def copy_store(source: str | Path, target: str | Path) -> dict[str, int]:
    """Copy a store, as it is at one moment, to a path or URL where there is none yet, and return `Store.counts`.

    Works while others write to `source`. Every row is the same, its number and time included; that is verified where
    rows go from one kind of database to another. SQLite copies its own files page by page, and checks the copy.
    Raises `DataError` where `target` has judgments already, where either cannot be opened, and for a copy that differs;
    what was begun is removed or rolled back then.
    """
    file = Path(target) if not str(target).startswith(SCHEMES) else None
    if file is not None and file.exists():
        raise DataError(f"{file} exists already; a copy goes to a path where there is nothing.")
    part = file and file.with_name(f"{file.name}.tmp-{secrets.token_hex(4)}")
    try:
        with Store(source, create=False) as old:
            if part is not None and old.engine.dialect.name == "sqlite":
                _file_copy(old, part)  # holds up writers for as long as the file takes to be read, not the rows
                before = None
            else:
                with Store(part or target) as new:
                    before = _row_copy(old, new)
        with Store(part or target, create=False) as new:
            counts = new.counts()
            whole = _is_sound(new) if before is None else fingerprint(new) == before
        if not whole:
            raise DataError(f"The copy at {target} differs from {source}; do not use it.")
        if part is not None and file is not None:
            _synced(part)
            os.rename(part, file)
            _synced(file.parent)
    finally:  # of what is closed, SQLite leaves an empty journal at most
        if part is not None:
            for end in ("", "-wal", "-shm", "-journal"):
                part.with_name(part.name + end).unlink(missing_ok=True)
    return counts


def fingerprint(store: Store) -> str:
    """The SHA-256 of every row, in order: equal for stores that hold the same, whatever databases they are in."""
    with store.snapshot() as connection:
        return _fingerprint(connection)


def lines_of(store: Store) -> Iterator[dict[str, Any]]:
    """The store as JSON objects, as it is at one moment: each group before the first judgment of it, and every
    judgment, also those that were corrected."""
    known = set()
    with store.snapshot() as connection:
        query = select(judgments, items.c.content).join(items).order_by(judgments.c.number)
        for row in connection.execution_options(yield_per=PAGE).execute(query).mappings():
            if row["item"] not in known:
                known.add(row["item"])
                yield {"group": row["item"], "content": json.loads(row["content"])}
            yield {
                "judgment": row["id"], "group": row["item"], "kind": row["kind"], "verdict": json.loads(row["verdict"]),
                "state": row["state"], "labeler": row["labeler"], "labeler_group": row["labeler_group"],
                "order": json.loads(row["shown"]),
            } | {name: row[name] for name in ABOUT}  # fmt: skip


def entries_of(lines: Iterable[dict[str, Any]]) -> list[Entry]:
    """The judgments that `lines_of` wrote, to be said to another store. `DataError` names a line that is no such."""
    groups, made = {}, []
    for number, line in enumerate(lines, 1):
        try:
            if "content" in line:
                groups[line["group"]] = group_of(line["content"])
                continue
            about = {name: line[name] for name in ("labeler", "labeler_group", "state", "order")}
            said = judgment_of(line["kind"], line["verdict"], about)
            more = {name: line[name] for name in ABOUT}
            made.append(Entry(groups[line["group"]], said, line["judgment"], **more))
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"Line {number} is no line of an exported store ({type(error).__name__}: {error}); expected what "
                "`preferably label export` writes."
            ) from error
    return made


def _file_copy(old: Store, part: Path) -> None:
    with closing(sqlite3.connect(part)) as to:
        raw = old.engine.raw_connection()
        try:
            raw.driver_connection.backup(to)  # type: ignore[union-attr]
        finally:
            raw.close()


def _is_sound(copy: Store) -> bool:
    with copy.snapshot() as connection:
        return bool(connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok")


def _row_copy(old: Store, new: Store) -> str:
    """Every row into an empty store, in one transaction; the fingerprint of what was read."""
    with old.snapshot() as source, new.engine.begin() as target:
        if any(target.execute(select(func.count()).select_from(table)).scalar_one() for table in (items, judgments)):
            raise DataError(f"The store {new.name} holds something already; a copy goes where there is nothing.")
        for table in (items, judgments):
            for rows in _pages(source, table):
                target.execute(table.insert(), rows)
        if target.dialect.name == "postgresql":  # the next number follows the last one that was copied
            target.execute(text(
                "SELECT setval(pg_get_serial_sequence('judgments', 'number'), GREATEST(MAX(number), 1), "
                "MAX(number) IS NOT NULL) FROM judgments"
            ))  # fmt: skip
        return _fingerprint(source)


def _pages(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    found = connection.execution_options(yield_per=PAGE).execute(select(table).order_by(ORDER[table.name])).mappings()
    for page in found.partitions():
        yield [dict(row) for row in page]


def _fingerprint(connection: Connection) -> str:
    whole = sha256()
    for table in (items, judgments):
        for rows in _pages(connection, table):
            for row in rows:
                whole.update(json.dumps(list(row.values())).encode() + b"\n")
    return whole.hexdigest()


def _synced(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
