"""A store in a file of SQLite, and one in a database of a real PostgreSQL that these tests start and stop."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from preferably.feedback.store.store import Store

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name)) if (
    Path("/usr/lib/postgresql").is_dir()
) else []  # fmt: skip
OWNER = "postgres"  # a server of PostgreSQL refuses to run as root


def binary(name):
    """The path of a program of PostgreSQL; None where it is not installed."""
    return shutil.which(name) or next((str(one / name) for one in BINARIES[::-1] if (one / name).exists()), None)


@contextmanager
def postgresql():
    """A server of our own while the block lasts: its URL, with {} for the name of a database."""
    folder = Path("/tmp") / f"preferably-pg-{uuid4().hex[:8]}"  # a path to a socket has at most 107 characters
    folder.mkdir(mode=0o755)
    who = {"user": OWNER, "group": OWNER} if os.geteuid() == 0 else {}
    if who:
        shutil.chown(folder, OWNER, OWNER)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **who}
    data = folder / "data"
    making = [binary("initdb"), "-D", data, "-A", "trust", "-U", "tester", "-E", "UTF8", "--no-locale"]
    subprocess.run(making, check=True, **quiet)
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}"]
    process = subprocess.Popen([binary("postgres"), "-D", data, *options], **quiet)
    try:
        for _ in range(200):
            if (folder / ".s.PGSQL.5432").exists() and process.poll() is None:
                break
            time.sleep(0.05)
        yield f"postgresql://tester@/{{}}?host={folder}"
    finally:
        process.send_signal(signal.SIGINT)  # also where somebody is still connected
        process.wait(120)
        shutil.rmtree(folder)


def made_in(server):
    """The URL of a new, empty database."""
    import psycopg

    name = f"t{uuid4().hex[:12]}"
    for _ in range(100):
        try:
            with psycopg.connect(server.format("postgres"), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}")
            return server.format(name)
        except psycopg.OperationalError:  # it is starting up
            time.sleep(0.05)
    raise AssertionError("the server does not start")


@pytest.fixture(scope="session")
def database_server():
    """The URL of a server of our own, without the name of a database."""
    if not (binary("initdb") and binary("postgres")):
        pytest.skip("PostgreSQL is not installed")
    with postgresql() as server:
        yield server


@pytest.fixture
def new_database(database_server):
    """Makes an empty database and gives its URL."""
    return lambda: made_in(database_server)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """Where a new store can be, in either database."""
    if request.param == "sqlite":
        return str(tmp_path / "preferably.db")
    return request.getfixturevalue("new_database")()


@pytest.fixture
def store(place):
    with Store(place) as opened:
        yield opened
