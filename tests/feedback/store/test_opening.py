"""A store is opened with durability on, at this version's schema, or not at all."""

import os
import signal
import sqlite3
import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from preferably.errors import ConfigError, DataError
from preferably.feedback.store.labeling_tables import metadata  # all of them: these and those of judgments
from preferably.feedback.store.naming import is_store
from preferably.feedback.store.opening import VERSIONS, wal_is_safe
from preferably.feedback.store.store import Store


def test_the_migrations_make_the_tables_that_the_code_knows(store):
    with store.engine.connect() as connection:
        assert (
            compare_metadata(MigrationContext.configure(connection, opts={"version_table": VERSIONS}), metadata) == []
        )


def test_sqlite_syncs_every_commit(tmp_path):
    with Store(tmp_path / "s.db") as store, store.snapshot() as connection:
        read = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    ahead = wal_is_safe(sqlite3.sqlite_version_info)
    assert read == {
        "journal_mode": "wal" if ahead else "truncate", "synchronous": 2 if ahead else 3, "foreign_keys": 1,
        "busy_timeout": 15000,
    }  # fmt: skip


@pytest.mark.parametrize("version, safe", [
    ((3, 40, 1), False), ((3, 44, 5), False), ((3, 44, 6), True), ((3, 45, 0), False), ((3, 50, 6), False),
    ((3, 50, 7), True), ((3, 51, 2), False), ((3, 51, 3), True), ((3, 53, 0), True),
])  # fmt: skip
def test_writing_ahead_only_where_sqlite_does_it_safely(version, safe):
    assert wal_is_safe(version) is safe


def test_what_is_a_store(tmp_path):
    Store(tmp_path / "any.name").close()
    (tmp_path / "rows.db").write_text('{"prompt": "a"}\n')
    assert is_store(tmp_path / "any.name") and is_store("postgresql://me@host/name") and is_store("sqlite:///x.db")
    os.mkfifo(tmp_path / "pipe")  # nobody writes to it: reading would wait for ever
    assert not is_store(tmp_path / "pipe") and not is_store("a\0b") and not is_store("a\ud800b")
    assert not is_store(tmp_path / "rows.db") and not is_store(tmp_path / "none") and not is_store(tmp_path)


def test_a_store_that_is_not_there_is_not_made_by_reading(tmp_path):
    with pytest.raises(DataError, match="There is no store at"):
        Store(tmp_path / "s.db", create=False)
    assert not (tmp_path / "s.db").exists()


def test_files_that_are_no_stores_are_left_alone(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "a"}\n')
    with pytest.raises(DataError, match="is not a store"):
        Store(rows)
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE t (a)")
    for create in (False, True):
        with pytest.raises(DataError, match="but not a store"):
            Store(foreign, create=create)
    with sqlite3.connect(foreign) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("t",)]
    with pytest.raises(DataError, match="no folder"):
        Store(tmp_path / "none" / "s.db")
    for name in ("sqlite:///:memory:", "sqlite:///file:x.db?mode=memory&uri=true", "sqlite:///x.db?a=b"):
        with pytest.raises(ConfigError, match="memory"):
            Store(name)
    with pytest.raises(ConfigError, match="mysql:// names no store"):
        Store("mysql://me@host/name")
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"SQLite format 3\x00" + b"\xff" * 500)
    with pytest.raises(DataError, match="cannot be opened"):
        Store(damaged)
    assert rows.read_text() == '{"prompt": "a"}\n' and damaged.read_bytes().endswith(b"\xff")


def test_a_store_of_a_newer_version_is_refused(store, place):
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE preferably_version SET version_num = '9999'"))
    with pytest.raises(DataError, match="newer version of preferably"):
        Store(place)


def test_postgresql_that_forgets_commits_is_refused(new_database):
    url = new_database()
    with pytest.raises(DataError, match="synchronous_commit = off"):
        Store(url + "&options=-c%20synchronous_commit%3Doff")


@pytest.mark.parametrize("url", [
    "postgresql://me:secret@/name", "postgresql://me@/name?password=secret", "postgresql://me@h/n?sslpassword=secret",
])  # fmt: skip
def test_a_password_in_the_url_is_refused_and_not_repeated(url):
    with pytest.raises(ConfigError, match="PGPASSWORD") as told:
        Store(url)
    assert "secret" not in str(told.value)


KILLED = """
import os, signal, sys
from preferably.feedback.store import opening
real = opening.command.upgrade
def upgrade(config, to):
    real(config, to)
    os.kill(os.getpid(), signal.SIGKILL)  # made, and not committed
opening.command.upgrade = upgrade
opening.opened(sys.argv[1], create=True)
"""


def test_a_migration_that_is_killed_leaves_nothing(place):
    ended = subprocess.run([sys.executable, "-c", KILLED, place], check=False)
    assert ended.returncode == -signal.SIGKILL
    with Store(place) as store:
        assert store.counts() == {"items": 0, "judgments": 0, "superseded": 0}
