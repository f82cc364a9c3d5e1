"""Copies, moves, exports and imports are row for row what they were made of."""

import json
import threading
from contextlib import contextmanager

import pytest
from sqlalchemy import select

from preferably.errors import DataError
from preferably.feedback.records import Label, Rating
from preferably.feedback.store import labeling_tables as labels
from preferably.feedback.store import opening, tables
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.erasing import sign_anew
from preferably.feedback.store.moving import TABLES, copy_store, entries_of, fingerprint, lines_of
from preferably.feedback.store.store import Store


@pytest.fixture
def filled(store, said, pair):
    """A store with judgments of several kinds, corrections and a gap in their numbers."""
    first = said(0)
    store.say([first, said(1, "ben"), Entry(pair("Why?"), Rating("a", (0.1 + 0.2, None)), seconds=1 / 3)])
    with pytest.raises(DataError):  # PostgreSQL has used up a number for it
        store.say([said(0, "ben"), said(1, supersedes="nothing")])
    store.say([said("tie", supersedes=first.id), Entry(pair("Why?"), Label(False, 1, "日本 \U0001f600"))])
    with store.writing() as connection:
        item = connection.execute(select(tables.items.c.id).limit(1)).scalar_one()
        for table, row in of_the_app(item):
            connection.execute(table.insert(), row)
        connection.execute(labels.turns.delete().where(labels.turns.c.id == "gone"))
        connection.execute(labels.tasks.delete().where(labels.tasks.c.id == "gone"))
    return store


def of_the_app(item):
    """Rows of every other table: of both truth values, with floats that binary does not have, and a gap in numbers."""
    now, later = "2026-01-01T00:00:00.000001+00:00", "2026-01-02T00:00:00+00:00"
    person = {"labeler_group": "", "password": "", "joined_at": now, "read": "", "qualification": '{"tries": 1}'}
    task = {"batch": "b \u00e9", "item": item, "kind": "pair", "overlap": 2, "queued_at": now}
    invited = {"labeler_group": "g", "made_by": "ada", "made_at": now, "ends_at": later, "role": "lead"}
    turn = {
        "shown": "[1, 0]", "seed": 2**62 + 1, "state": "answered", "boot": "x", "given_at": now, "done_at": later,
        "said": "{}",
    }  # fmt: skip
    return [
        (tables.replies, {"id": "r", "body": "{\"a\": 0.1}", "said_at": now}),
        (labels.people, person | {"id": "p1", "name": "ada", "role": "admin", "active": True}),
        (labels.people, person | {"id": "p2", "name": "日本", "role": "labeler", "active": False}),
        (labels.invitations, invited | {"id": "i1", "person": None, "used_by": "p2", "revoked": False}),
        (labels.invitations, invited | {"id": "i2", "person": "p1", "used_by": None, "revoked": True}),
        (labels.sessions, {"id": "s", "person": "p1", "made_at": now, "seen_at": later, "revoked": True}),
        (labels.tasks, task | {"id": "gone", "free": 1, "priority": 0.0, "gold": "", "open": True}),
        (labels.tasks, task | {"id": "t2", "free": 0, "priority": 0.1 + 0.2, "gold": "{\"why\": 1}", "open": False}),
        (labels.tasks, task | {"id": "t3", "free": 2, "priority": -1 / 3, "gold": "", "open": True}),
        (labels.turns, turn | {"id": "u1", "task": 2, "person": "p1", "until": 1e9 / 3, "late": True,
                               "deciding": False, "right": True}),
        (labels.turns, turn | {"id": "u2", "task": 3, "person": "p2", "until": 0.0, "late": False,
                               "deciding": True, "right": None}),
        (labels.demographics, {"person": "p1", "answers": "{\"q\": \"a\"}", "said_at": now}),
    ]  # fmt: skip


def rows_of(store):
    """Every row of every table that the database has."""
    with store.snapshot() as connection:
        return {
            name: sorted(map(repr, (tuple(row) for row in connection.execute(select(table)))))
            for name, table in tables.metadata.tables.items()
        }


@pytest.fixture(params=["sqlite", "postgresql"])
def elsewhere(request, tmp_path):
    return str(tmp_path / "copy.db") if request.param == "sqlite" else request.getfixturevalue("new_database")()


def test_a_copy_in_either_database_is_the_same_row_by_row_and_goes_on(filled, place, elsewhere, said):
    assert copy_store(place, elsewhere) == filled.counts() == {"items": 2, "judgments": 5, "superseded": 1}
    with Store(elsewhere, create=False) as copy:
        assert fingerprint(copy) == fingerprint(filled)
        assert list(copy.entries()) == list(filled.entries()) and copy.judged() == filled.judged()
        last = max(entry.number for entry in copy.entries())
        held = rows_of(filled)
        assert rows_of(copy) == held and len(held) == len(TABLES) == 9 and all(held.values())
        assert copy.say([said(0, "new")])[0] > last
        with copy.writing() as connection:  # the copy knows which numbers of tasks were given
            row = next(row for table, row in of_the_app(copy_item(connection)) if row.get("id") == "t3")
            made = connection.execute(labels.tasks.insert().values(**row | {"id": "t4"}))
            assert made.inserted_primary_key[0] == 4


def copy_item(connection):
    return connection.execute(select(tables.items.c.id).limit(1)).scalar_one()


def test_a_copy_is_never_written_over_something(filled, place, elsewhere, tmp_path):
    copy_store(place, elsewhere)
    with pytest.raises(DataError, match=r"exists already|holds something already"):
        copy_store(place, elsewhere)
    with pytest.raises(DataError, match="There is no store"):
        copy_store(tmp_path / "none.db", tmp_path / "other.db")
    assert not list(tmp_path.glob("*.tmp-*")) and not (tmp_path / "other.db").exists()


def test_a_backup_while_others_write_is_one_moment(store, place, tmp_path, said):
    store.say([said(by="first")])
    stop, failed, number = threading.Event(), [], [0]

    def write():
        try:
            with Store(place) as mine:
                while not stop.is_set():
                    number[0] += 1
                    mine.say([said(by=f"{number[0]} a"), said(by=f"{number[0]} b")])  # both or none
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        counts = [copy_store(place, tmp_path / f"copy {n}.db")["judgments"] for n in range(5)]
    finally:
        stop.set()
        thread.join()
    assert not failed and all(count % 2 for count in counts) and counts == sorted(counts)
    for n, count in enumerate(counts):
        with Store(tmp_path / f"copy {n}.db", create=False) as copy:
            named = [entry.judgment.labeler for entry in copy.entries()]
        assert len(named) == count == len(set(named))


def test_lines_carry_everything_to_another_store(filled, elsewhere):
    lines = [json.loads(json.dumps(line)) for line in lines_of(filled)]
    with Store(elsewhere) as other:
        other.say(entries_of(lines))
        other.say(entries_of(lines))  # a second time adds nothing
        assert list(lines_of(other)) == lines and lines[-1] == {"judgments": 5}
        assert other.judged() == filled.judged() and other.counts() == filled.counts()


@pytest.mark.parametrize("reading", [lines_of, Store.entries, Store.records])
def test_who_exports_or_reads_holds_up_no_writer(reading, tmp_path, said, monkeypatch):
    """Also where SQLite has a rollback journal, in which a reader and a writer exclude each other."""
    monkeypatch.setattr(opening, "wal_is_safe", lambda version: False)
    monkeypatch.setattr(opening, "WAIT", 20)
    monkeypatch.setattr("preferably.feedback.store.store.PAGE", 2)
    with Store(tmp_path / "a.db") as one, Store(tmp_path / "a.db") as other:
        one.say([said(0, f"labeler {n}") for n in range(7)])
        real, writes = Store._transaction, []

        @contextmanager
        def between(self, *, reading=False):
            """Another one writes as soon as a page was read, and before the next."""
            with real(self, reading=reading) as connection:
                yield connection
            if self is one and len(writes) < 3:
                writes.append(other.say([said(1, f"late {len(writes)}")]))

        monkeypatch.setattr(Store, "_transaction", between)
        found = list(reading(one))
        assert len(writes) == 3 and other.counts()["judgments"] == 10
        assert len(found) == {lines_of: 1 + 7 + 1, Store.entries: 7, Store.records: 1}[reading]


def test_somebody_who_is_erased_while_it_is_read_is_told_or_not_seen(store, said, monkeypatch):
    """Else an export would hold a correction by another one than what it corrects, which no store takes in."""
    monkeypatch.setattr("preferably.feedback.store.store.PAGE", 1)
    first = said(0)
    store.say([first, said(1, supersedes=first.id)])
    lines = lines_of(store)
    seen = [next(lines), next(lines)]  # the group, and the first judgment
    with store.writing() as connection:
        assert sign_anew(connection, "ada", "somebody") == 2
    if store.engine.dialect.name == "sqlite":
        with pytest.raises(DataError, match="was erased while it was read; read it again"):
            list(lines)
    else:
        assert [line.get("labeler") for line in [*seen, *lines]] == [None, "ada", "ada", None]
    assert [line.get("labeler") for line in lines_of(store)] == [None, "somebody", "somebody", None]


@pytest.mark.parametrize(
    "line", [{}, {"group": "x"}, {"content": 1, "group": "x"}, [], {"judgment": "a", "group": "b"}]
)
def test_lines_of_something_else_are_named(line):
    with pytest.raises(DataError, match="Line 1 is no line of an exported store"):
        entries_of([line])
