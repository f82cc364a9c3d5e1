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
from sqlalchemy.exc import SQLAlchemyError

from preferably.errors import DataError
from preferably.feedback.records import Group
from preferably.feedback.store.codec import group_of, judgment_of
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.labeling_tables import demographics, invitations, people, sessions, tasks, turns
from preferably.feedback.store.opening import file_of, reason
from preferably.feedback.store.store import PAGE, Store
from preferably.feedback.store.tables import items, judgments, replies

TABLES = {  # and what orders their rows; those that are named by others come first
    items: items.c.id, judgments: judgments.c.number, replies: replies.c.id, people: people.c.id,
    invitations: invitations.c.id, sessions: sessions.c.id, tasks: tasks.c.number, turns: turns.c.id,
    demographics: demographics.c.person,
}  # fmt: skip
ABOUT = ("seed", "guideline", "principle", "rationale", "seconds", "supersedes", "said_at", "labeler_kind")
BESIDE = ("-wal", "-shm", "-journal")  # files of SQLite beside a database, which belong to it


def copy_store(source: str | Path, target: str | Path) -> dict[str, int]:
    """Copy a store, as it is at one moment, to a path or URL where there is none yet, and return `Store.counts`.

    Works while others write to `source`. Every row is the same, its number and time included; that is verified where
    rows go from one kind of database to another. SQLite copies its own files page by page, and checks the copy.
    Raises `DataError` where `target` has something already, where either cannot be opened, read or written, and for a
    copy that differs; nothing is left of it then.
    """
    file = file_of(target)
    if file is None:
        with Store(source, create=False) as old, Store(target) as new:
            _row_copy(old, new)
            return new.counts()
    for name in (file, *(file.with_name(file.name + end) for end in BESIDE)):
        if name.exists():
            raise DataError(f"{name} exists already; a copy goes to a path where there is nothing (left) of another.")
    part = file.with_name(f"{file.name}.tmp-{secrets.token_hex(4)}")
    try:
        with Store(source, create=False) as old:
            if old.engine.dialect.name == "sqlite":
                _file_copy(old, part)  # holds up writers for as long as the file takes to be read, not the rows
            else:
                with Store(part) as new:
                    _row_copy(old, new)
        with Store(part, create=False) as new, new.snapshot() as connection:
            sound, counts = connection.execute(text("PRAGMA integrity_check")).scalar_one(), new.counts()
        if sound != "ok":
            raise DataError(f"The copy at {file} would be damaged ({sound}); look at {source}.")
        _synced(part)
        _named(part, file)
        _synced(file.parent)
    except (OSError, sqlite3.Error, SQLAlchemyError) as error:
        raise DataError(f"{source} cannot be copied to {target}: {reason(error)}.") from error
    finally:  # of what is closed, SQLite leaves an empty journal at most
        for end in ("", *BESIDE):
            _removed(part.with_name(part.name + end))
    return counts


def fingerprint(store: Store) -> str:
    """The SHA-256 of every row, in order: equal for stores that hold the same, whatever databases they are in."""
    with store.snapshot() as connection:
        return _fingerprint(connection)


def lines_of(store: Store) -> Iterator[dict[str, Any]]:
    """The judgments of a store as JSON objects, those that are there at the first one: each group before the first
    judgment of it, every judgment, also those that were corrected, and at the end how many there were. Others may write
    meanwhile (`Store.pages`)."""
    known, count = set(), 0
    for rows in store.pages():
        for row in rows:
            if row["item"] not in known:
                known.add(row["item"])
                yield {"group": row["item"], "content": json.loads(row["content"])}
            count += 1
            yield {
                "judgment": row["id"], "group": row["item"], "kind": row["kind"], "verdict": json.loads(row["verdict"]),
                "state": row["state"], "labeler": row["labeler"], "labeler_group": row["labeler_group"],
                "order": json.loads(row["shown"]),
            } | {name: row[name] for name in ABOUT}  # fmt: skip
    yield {"judgments": count}


def entries_of(lines: Iterable[dict[str, Any]]) -> list[Entry]:
    """The judgments that `lines_of` wrote, to be said to another store, which gives them numbers of its own.

    `DataError` names a line that is no such, and tells where the end is missing.
    """
    groups: dict[str, Group] = {}
    made: list[Entry] = []
    ended = False
    for number, line in enumerate(lines, 1):
        try:
            if "content" in line:
                groups[line["group"]] = group_of(line["content"])
            elif "judgments" in line:
                ended = line["judgments"] == len(made)
            else:
                about = {name: line[name] for name in ("labeler", "labeler_group", "state", "order")}
                said = judgment_of(line["kind"], line["verdict"], about)
                more = {name: line[name] for name in ABOUT}
                shown = bool(line["order"]) or line["kind"] not in ("preference", "ranking")
                made.append(Entry(groups[line["group"]], said, line["judgment"], shown=shown, **more))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataError(
                f"Line {number} is no line of an exported store ({type(error).__name__}: {error}); expected what "
                "`preferably label export` writes."
            ) from error
    if not ended:
        raise DataError(f"The export is not complete: it breaks off after {len(made)} judgments.")
    return made


def _file_copy(old: Store, part: Path) -> None:
    with closing(sqlite3.connect(part)) as to:
        raw = old.engine.raw_connection()
        try:
            raw.driver_connection.backup(to)  # type: ignore[union-attr]
        finally:
            raw.close()


def _row_copy(old: Store, new: Store) -> None:
    """Every row into an empty store, in one transaction, at whose end both must be the same."""
    with old.snapshot() as source, new.writing() as target:
        if any(target.execute(select(func.count()).select_from(table)).scalar_one() for table in TABLES):
            raise DataError(f"The store {new.name} holds something already; a copy goes where there is nothing.")
        for table in TABLES:
            for rows in _pages(source, table):
                target.execute(table.insert(), rows)
        if target.dialect.name == "postgresql":  # the next number follows the last one that was copied
            for name in ("judgments", "tasks"):
                target.execute(text(
                    f"SELECT setval(pg_get_serial_sequence('{name}', 'number'), GREATEST(MAX(number), 1), "
                    f"MAX(number) IS NOT NULL) FROM {name}"
                ))  # fmt: skip
        if _fingerprint(source) != _fingerprint(target):
            raise DataError(f"The copy in {new.name} would differ from {old.name}; nothing of it was kept.")


def _pages(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    found = connection.execution_options(yield_per=PAGE).execute(select(table).order_by(TABLES[table])).mappings()
    for page in found.partitions():
        yield [dict(row) for row in page]


def _fingerprint(connection: Connection) -> str:
    whole = sha256()
    for table in TABLES:
        for rows in _pages(connection, table):
            for row in rows:
                whole.update(json.dumps(list(row.values())).encode() + b"\n")
    return whole.hexdigest()


def _named(part: Path, file: Path) -> None:
    """Give the copy its name, which somebody may have made a store of meanwhile."""
    try:
        os.link(part, file)
    except FileExistsError:
        raise
    except OSError as error:  # this file system has no hard links
        if file.exists():
            raise FileExistsError(error.errno, "it exists by now", str(file)) from error
        os.rename(part, file)


def _synced(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _removed(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # what stopped the copy is told already
        pass
