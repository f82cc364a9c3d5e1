"""The store: judgments go in and are never changed; what they come to is read from it."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, exists, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from preferably.errors import DataError
from preferably.feedback.records import Group, Judged, Judgment, moved
from preferably.feedback.store.checking import fault_of
from preferably.feedback.store.codec import (
    digest_of,
    digest_of_sent,
    group_content,
    group_of,
    judgment_of,
    kind_of,
    text_of,
    verdict_of,
)  # fmt: skip
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.opening import READING, opened, place_of, reason, shown
from preferably.feedback.store.tables import items, judgments

MANY = 500  # values in one IN: SQLite takes 32,766 at most
PAGE = 1000  # rows that are read at a time
LOCK = 712345679  # of PostgreSQL: who holds it writes `alone`


class Store:
    """All judgments of a project, in a file of SQLite or a database of PostgreSQL. May be used by several threads and
    processes at once."""

    def __init__(self, name: str | Path, *, create: bool = True) -> None:
        """Open the store at a path or URL. Raises `ConfigError` and `DataError` (`opening.opened`)."""
        self.engine = opened(name, create=create)
        self.name = shown(self.engine.url)
        self.place = place_of(self.engine.url)  # with the password, where there is one: never to be shown
        self._line = Lock()  # in which threads of this process stand that want to write alone

    def close(self) -> None:
        """Give back its connections."""
        self.engine.dispose()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def say(self, entries: Sequence[Entry]) -> list[int]:
        """Keep judgments, all of them or none, and return their numbers once they are on the disk.

        One whose id is there already, with the same content, is not kept twice and gives its number: after an error of
        the connection, say them again. So does one of a model's, whatever it says: the first answer to a question
        stays, also where a server that is asked anew answers otherwise. Raises `DataError` for a judgment that does not
        fit its group, an id that is there with another content, a correction of what is not there, is somebody else's
        or about another group, or is corrected already; and where the database fails.
        """
        with self.writing() as connection:
            return self.say_in(connection, entries)

    def say_in(self, connection: Connection, entries: Sequence[Entry]) -> list[int]:
        """`say` as a part of a transaction (`writing`): kept once that is left."""
        sent: list[str] = []
        by_id: dict[str, dict[str, Any]] = {}
        contents: dict[str, str] = {}
        for entry in entries:
            if fault := fault_of(entry):
                raise DataError(f"The judgment {entry.id!r:.80} {fault}.")
            row, content = _row_of(entry)
            if _contradicts(by_id.setdefault(row["id"], row), row):
                raise DataError(f"Two judgments in one call have the id {entry.id!r} and say different things.")
            sent.append(row["id"])
            contents[row["item"]] = content
        rows = list(by_id.values())
        # Sorted: of two that insert the same items in other orders, each would wait for the other.
        self.insert(connection, items, [{"id": key, "content": contents[key]} for key in sorted(contents)])
        _check_corrections(connection, rows)
        self.insert(connection, judgments, rows)
        known = {found["id"]: found for found in _found(connection, [row["id"] for row in rows])}
        for row in rows:
            if _contradicts(known[row["id"]], row):
                raise DataError(
                    f"The judgment {row['id']!r} is there already and says something else; "
                    "a correction has an id of its own and names the one it supersedes."
                )
        return [known[name]["number"] for name in sent]

    def entries(self, *, superseded: bool = True) -> Iterator[Entry]:
        """Every judgment that is there now, by their numbers; without `superseded` only those that were not corrected.
        Others may write meanwhile, also whoever goes through them."""
        for rows in self.pages(superseded=superseded):
            yield from map(_entry_of, rows)

    def pages(self, *, superseded: bool = True) -> Iterator[Sequence[RowMapping]]:
        """The rows that `entries` are made of, with the content of their groups, some at a time. PostgreSQL shows one
        moment to whoever reads, which holds up nobody. Of SQLite nothing is held from one page to the next: what is
        there by then never changes, but for the name of somebody who is erased, which is a `DataError` at the end."""
        together = self.engine.dialect.name == "postgresql"
        held: AbstractContextManager[Connection | None] = self.snapshot() if together else nullcontext()
        with held as one:

            def reading() -> AbstractContextManager[Connection]:
                return self.snapshot() if one is None else nullcontext(one)

            with reading() as connection:
                top = connection.execute(select(func.max(judgments.c.number))).scalar_one() or 0
                names = _names(connection, top)
            last = 0
            while last < top:
                query = _everything(superseded, top).where(judgments.c.number > last).limit(PAGE)
                with reading() as connection:
                    rows = connection.execute(query).mappings().all()
                yield rows
                last = rows[-1]["number"] if rows else top
            with reading() as connection:
                if _names(connection, top) != names:
                    raise DataError(f"A labeler of the store {self.name} was erased while it was read; read it again.")

    def judged(self) -> list[Judged]:
        """Every group with what was said of it and not corrected, in the order in which they were first judged."""
        return [judged for judged, _ in self.records()]

    def records(self) -> list[tuple[Judged, list[int]]]:
        """The same, each with the numbers of its judgments."""
        contents: dict[str, str] = {}
        said: dict[str, list[Judgment]] = {}
        numbers: dict[str, list[int]] = {}
        for rows in self.pages(superseded=False):
            for row in rows:
                contents.setdefault(row["item"], row["content"])
                said.setdefault(row["item"], []).append(_judgment_of(row))
                numbers.setdefault(row["item"], []).append(row["number"])
        return [
            (Judged(group_of(json.loads(contents[item])), tuple(some)), numbers[item]) for item, some in said.items()
        ]

    def about(self, groups: Sequence[Group], labeler_kind: str = "human") -> list[list[Judgment]]:
        """What labelers of a kind said of each of `groups` and did not correct, in that group's own places."""
        known = [group_content(group) for group in groups]
        names = [digest_of(content) for content, _ in known]
        said: dict[str, list[Judgment]] = {name: [] for name in names}
        with self.snapshot() as connection:
            for start in range(0, len(said), MANY):
                some = judgments.c.item.in_(list(said)[start : start + MANY])
                query = _everything(False).where(some, judgments.c.labeler_kind == labeler_kind)
                for row in connection.execute(query).mappings():
                    said[row["item"]].append(_judgment_of(row))
        found = []
        for name, (_, places) in zip(names, known, strict=True):
            back = [places.index(place) for place in range(len(places))]
            found.append([moved(one, back) for one in said[name]])
        return found

    def counts(self) -> dict[str, int]:
        """How much there is: `items`, `judgments`, and how many of these are `superseded`."""
        with self._transaction(reading=True) as connection:
            total, mended = connection.execute(select(func.count(), func.count(judgments.c.supersedes))).one()
            groups = connection.execute(select(func.count()).select_from(items)).scalar_one()
        return {"items": groups, "judgments": total, "superseded": mended}

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection whose changes are all on the disk once it is left, or none where it is left by an error."""
        with self._transaction() as connection:
            yield connection

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """`writing`, with nobody else in here meanwhile: what was looked at still holds when something is written."""
        if self.engine.dialect.name == "sqlite":  # which has one writer at a time anyway
            with self.writing() as connection:
                yield connection
            return
        with self._line, self.writing() as connection:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection that sees the store as it is at one moment, whatever others write meanwhile."""
        with self._transaction(reading=True) as connection:
            yield connection

    def insert(self, connection: Connection, table: Any, rows: list[dict[str, Any]]) -> None:
        """Add rows of which one with the same id may be there already."""
        if rows:
            insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
            connection.execute(insert(table).on_conflict_do_nothing(index_elements=["id"]), rows)

    def _in_line(self, reading: bool) -> AbstractContextManager[Any]:
        """SQLite lets one writer in by chance, of many that wait: threads of this process stand in line instead."""
        return nullcontext() if reading or self.engine.dialect.name != "sqlite" else self._line

    @contextmanager
    def _transaction(self, *, reading: bool = False) -> Iterator[Connection]:
        """A transaction that has reached the disk once it is left, or has left nothing."""
        options: dict[str, Any] = {READING: reading}
        if reading and self.engine.dialect.name == "postgresql":
            options["isolation_level"] = "REPEATABLE READ"  # all statements see the same moment, as in SQLite
        try:
            with (
                self._in_line(reading),
                self.engine.connect().execution_options(**options) as connection,
                connection.begin(),
            ):
                yield connection
        except IntegrityError as error:  # what was looked at before was changed by somebody in between
            raise DataError(
                f"The store {self.name} refuses a judgment that contradicts another one: {reason(error)}."
            ) from error
        except (SQLAlchemyError, sqlite3.Error) as error:
            doing = "read" if reading else "written (say it again: what was kept is not kept twice)"
            raise DataError(f"The store {self.name} cannot be {doing}: {reason(error)}.") from error


def _everything(superseded: bool, top: int | None = None) -> Select[Any]:
    """The query for judgments with the content of their groups, up to the number `top`, in order."""
    query = select(judgments, items.c.content).join(items).order_by(judgments.c.number)
    later = judgments.alias("later")
    corrected = later.c.supersedes == judgments.c.id
    if top is not None:
        query, corrected = query.where(judgments.c.number <= top), corrected & (later.c.number <= top)
    return query if superseded else query.where(~exists(select(later.c.number).where(corrected)))


def _names(connection: Connection, top: int) -> set[str]:
    """Who said the judgments up to the number `top`."""
    return set(connection.execute(select(judgments.c.labeler).distinct().where(judgments.c.number <= top)).scalars())


def _row_of(entry: Entry) -> tuple[dict[str, Any], str]:
    """The row of a judgment, and the content of its group."""
    content, places = group_content(entry.group)
    text, said = text_of(content), moved(entry.judgment, places)
    sent: dict[str, Any] = {
        "id": entry.id, "item": digest_of(content), "kind": kind_of(said), "verdict": text_of(verdict_of(said)),
        "state": said.state, "labeler": said.labeler, "labeler_kind": entry.labeler_kind,
        "labeler_group": said.labeler_group, "seed": entry.seed,
        "shown": text_of(getattr(said, "order", ()) if entry.shown else ()),
        "guideline": entry.guideline, "principle": entry.principle, "rationale": entry.rationale,
        "seconds": None if entry.seconds is None else float(entry.seconds) + 0.0, "supersedes": entry.supersedes,
    }  # fmt: skip
    said_at = entry.said_at or datetime.now(UTC).isoformat(timespec="microseconds")
    return sent | {"said_at": said_at, "digest": digest_of_sent(sent)}, text


def _judgment_of(row: RowMapping) -> Judgment:
    about = {"order": json.loads(row["shown"])} | {name: row[name] for name in ("labeler", "labeler_group", "state")}
    return judgment_of(row["kind"], json.loads(row["verdict"]), about)


def _entry_of(row: RowMapping) -> Entry:
    names = (
        "id", "labeler_kind", "seed", "guideline", "principle", "rationale", "seconds", "supersedes", "number",
        "said_at",
    )  # fmt: skip
    shown = row["kind"] not in ("preference", "ranking") or row["shown"] != "[]"
    about = {name: row[name] for name in names}
    return Entry(group_of(json.loads(row["content"])), _judgment_of(row), shown=shown, **about)


def _contradicts(kept: Mapping[Any, Any], row: Mapping[str, Any]) -> bool:
    """Whether what was sent is not what is kept by the same id; the id of a model's verdict is that of its question."""
    same = ("item", "labeler", "labeler_kind") if row["labeler_kind"] == "model" else ("digest",)
    return any(kept[name] != row[name] for name in same)


def _found(connection: Connection, ids: Sequence[str]) -> list[RowMapping]:
    """The judgments with these ids that are there."""
    columns = [judgments.c[name] for name in ("id", "number", "digest", "item", "labeler", "labeler_kind")]
    found: list[RowMapping] = []
    for start in range(0, len(ids), MANY):
        some = judgments.c.id.in_(ids[start : start + MANY])
        found += connection.execute(select(*columns).where(some)).mappings()
    return found


def _check_corrections(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Raise `DataError` for a correction that is none."""
    wanted = [row["supersedes"] for row in rows if row["supersedes"] is not None]
    targets: dict[str, Any] = {found["id"]: found for found in _found(connection, wanted)}
    corrected: dict[str, str] = {}
    for start in range(0, len(wanted), MANY):
        some = judgments.c.supersedes.in_(wanted[start : start + MANY])
        query = select(judgments.c.supersedes, judgments.c.id).where(some)
        corrected |= {old: new for old, new in connection.execute(query)}
    for row in rows:
        old = row["supersedes"]
        if old is not None:
            target = targets.get(old)
            if target is None:
                raise DataError(f"The judgment {row['id']!r} corrects {old!r}, which is not there.")
            if (target["item"], target["labeler"]) != (row["item"], row["labeler"]):
                raise DataError(
                    f"The judgment {row['id']!r} corrects {old!r}, which is by another labeler or about another group; "
                    "one corrects one's own."
                )
            if corrected.setdefault(old, row["id"]) != row["id"]:
                raise DataError(f"The judgment {old!r} is corrected by {corrected[old]!r} already; correct that one.")
        targets.setdefault(row["id"], row)
