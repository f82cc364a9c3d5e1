"""A store by its path or URL: opened with durability switched on, and brought to this version.

A commit has reached the disk before it is acknowledged, on SQLite and on PostgreSQL alike; a database that is set up
otherwise is refused.
"""

import os
import sqlite3
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from preferably.errors import ConfigError, DataError
from preferably.feedback.store.naming import is_store, is_url

WAIT = 15_000  # milliseconds that a writer waits for another one
REMOTE = {  # file systems on which locks do not hold, or not always
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "ceph", "lustre", "fuse.glusterfs", "afs",
}  # fmt: skip
VERSIONS = "preferably_version"  # the table that says which migrations were run: others have one by Alembic's name
READING = "reading"  # an execution option: this transaction does not write


def wal_is_safe(version: tuple[int, ...]) -> bool:
    """Whether this SQLite may write ahead with several connections.

    From 3.7.0 to 3.51.2 two that write and checkpoint at one instant can damage the file; mended in 3.51.3, 3.50.7 and
    3.44.6.
    """
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def opened(name: str | Path, *, create: bool) -> Engine:
    """The engine of a store at this version's schema.

    Raises `ConfigError` for a URL that is none, or of another kind of database; `DataError` where the store is not
    there (unless `create`), cannot be opened, is of a newer version, or does not keep what it acknowledges.
    """
    url = _url(name)
    if url.get_backend_name() == "sqlite":
        engine = _sqlite(url, create)
    else:
        engine = _postgresql(url)
    try:
        if not _is_current(engine):
            with engine.begin() as connection:
                _upgrade(connection, url, create)
    except (SQLAlchemyError, sqlite3.Error) as error:
        engine.dispose()
        raise DataError(f"The store {shown(url)} cannot be opened: {reason(error)}.") from error
    except DataError:
        engine.dispose()
        raise
    return engine


def file_of(name: str | Path) -> Path | None:
    """The file that a store at `name` is in; None for one in PostgreSQL. `ConfigError` as `opened`."""
    url = _url(name)
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None


def shown(url: URL) -> str:
    """The URL as it may be shown: without its password; a file by its path."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(drivername="postgresql").render_as_string(hide_password=True)


def place_of(url: URL) -> str:
    """What opens the same store again, in another process; with its password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def reason(error: BaseException) -> str:
    """What the database said, in one line."""
    said = getattr(error, "orig", None) or error
    return " ".join(str(said).split()).rstrip(".")[:300]


def _url(name: str | Path) -> URL:
    if not is_url(name):
        if "://" in str(name):
            raise ConfigError(f"{str(name).partition('://')[0]}:// names no store; expected postgresql://, or a path.")
        return URL.create("sqlite", database=str(name))
    try:
        url = make_url(str(name))
    except (ArgumentError, ValueError) as error:
        raise ConfigError("The URL of the store cannot be read; expected postgresql://user@host/name.") from error
    if url.password is not None or any("password" in key for key in url.query):
        raise ConfigError(
            "The URL of the store holds a password, which would end up in logs and settings. Take it out and set "
            "PGPASSWORD, or write it to ~/.pgpass."
        )
    if url.get_backend_name() in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    return url


def _sqlite(url: URL, create: bool) -> Engine:
    path = Path(url.database or "")
    if not url.database or url.query or url.database.startswith((":memory:", "file:")):
        raise ConfigError("A store is a file with a name (in memory it keeps nothing): give its path, without options.")
    if path.exists() and path.stat().st_size and not is_store(path):
        raise DataError(f"{path} is not a store: it is no file of SQLite. Give another path.")
    if not create and not path.exists():
        raise DataError(f"There is no store at {path}. Look at the path; importing judgments makes one.")
    if not path.parent.is_dir():
        raise DataError(f"The store {path} cannot be made: there is no folder {path.parent}.")
    if (kind := _file_system(path)) in REMOTE:
        raise DataError(
            f"The store {path} would lie on a network file system ({kind}), where SQLite's locks do not hold and "
            "judgments get lost. Put it on a local disk, or give the URL of a PostgreSQL database."
        )
    engine = create_engine(url, pool_pre_ping=False)
    ahead = wal_is_safe(sqlite3.sqlite_version_info)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # BEGIN is said below; the driver would not say it before DDL
        for pragma in (
            f"busy_timeout={WAIT}", "foreign_keys=ON", f"journal_mode={'WAL' if ahead else 'TRUNCATE'}",
            f"synchronous={'FULL' if ahead else 'EXTRA'}",
        ):  # fmt: skip
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred one that reads and then writes fails at once where another wrote, however long it would wait.
        reads = connection.get_execution_options().get(READING)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _file_system(file: Path) -> str:
    """The kind of file system that `file` lies on, or would; empty where that cannot be told."""
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    mounts = {fields[1].replace("\\040", " "): fields[2] for fields in map(str.split, lines) if len(fields) > 2}
    here = os.path.realpath(file)
    over = [place for place in mounts if os.path.commonpath([place, here]) == place]
    return mounts[max(over, key=len)] if over else ""


def _postgresql(url: URL) -> Engine:
    try:
        engine = create_engine(url, pool_pre_ping=True, isolation_level="READ COMMITTED")
    except ImportError as error:
        raise ConfigError("A store in PostgreSQL needs psycopg: pip install 'preferably[postgres]'.") from error

    @event.listens_for(engine, "connect")
    def check(connection: Any, _: Any) -> None:
        for name in ("fsync", "synchronous_commit"):
            value = connection.execute(f"SHOW {name}").fetchone()[0]
            if value == "off":
                raise DataError(
                    f"The store {shown(url)} is set to {name} = {value}, so a judgment could be lost after it was "
                    "acknowledged; expected on. Change it in the settings of the server or of the role."
                )
        connection.rollback()

    return engine


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "preferably.feedback.store:migrations")
    return config


def _is_current(engine: Engine) -> bool:
    with engine.connect().execution_options(**{READING: True}) as connection, connection.begin():
        at = _revision(connection)
    return at == ScriptDirectory.from_config(_config()).get_current_head()


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": VERSIONS}).get_current_revision()


def _upgrade(connection: Connection, url: URL, create: bool) -> None:
    """Run the migrations that are missing, in this transaction: all of them or none."""
    config = _config()
    config.attributes["connection"] = connection
    if connection.dialect.name == "postgresql":  # two that open at once must not both migrate
        connection.execute(text("SELECT pg_advisory_xact_lock(712345678)"))
    at = _revision(connection)
    script = ScriptDirectory.from_config(config)
    if at == script.get_current_head():
        return
    if at is not None and at not in {one.revision for one in script.walk_revisions()}:
        raise DataError(
            f"The store {shown(url)} was made by a newer version of preferably (its schema is {at}). "
            "Update preferably, or open a backup."
        )
    if at is None and (not create or inspect(connection).get_table_names()):
        raise DataError(f"{shown(url)} is a database, but not a store of judgments. Look at the path or URL.")
    command.upgrade(config, "head")
