"""The server is killed while people vote: what was acknowledged is there, once, and nothing else is doubled."""

import os
import random
import sqlite3
import time
from collections import Counter

import pytest
from labelers import group, invited
from voting import Labelers, Server, asked

from preferably.feedback.store.store import Store
from preferably.labeling.project import project_of
from preferably.labeling.queue import Queue, Task

KILLS = int(os.environ.get("PREFERABLY_KILLS", "20"))
PEOPLE = 50


def filled(place, tasks, overlap, people=PEOPLE):
    """A store with tasks and people; the tokens of their sessions."""
    with Store(place) as store:
        Queue(store, project_of({})).add([Task(group(n), overlap=overlap) for n in range(tasks)], "b")
        return [invited(store, f"p{n}")[1] for n in range(people)]


@pytest.fixture
def app(place, tmp_path):
    made = Server(place, tmp_path)
    yield made
    made.stop()


def wait_for(votes, count):
    """Until so many votes are acknowledged, so that a kill falls among votes however slow the machine is."""
    for _ in range(1200):
        if len(votes.acknowledged) >= count:
            return
        time.sleep(0.1)
    raise AssertionError(f"{len(votes.acknowledged)} votes of {count} were acknowledged: {votes.refused[:3]}")


def check(place, votes):
    with Store(place) as store:
        said = Counter(entry.id for entry in store.entries())
        pairs = Counter((entry.group.prompt_text, entry.judgment.labeler) for entry in store.entries())
        tasks = Counter(entry.group.prompt_text for entry in store.entries())
    lost = [name for name in votes.acknowledged if name not in said]
    assert not lost and set(said.values()) == {1}
    assert set(pairs.values()) == {1}, "somebody was asked twice"
    assert max(tasks.values()) <= 3, "a task was answered by more people than were wanted"
    if not str(place).startswith("postgresql"):
        with sqlite3.connect(place) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert {status for status, _ in votes.refused} <= {503}, votes.refused[:3]
    return len(said)


def test_no_acknowledged_vote_is_lost_or_doubled_by_kills(place, app):
    sessions = filled(place, 3000, overlap=3)
    app.start()
    luck, kills = random.Random(1), max(1, KILLS // 2)  # half of them in each database
    with Labelers(app.port, sessions, pause=1.0) as votes:
        for kill in range(kills):
            wait_for(votes, 8 * (kill + 1))
            time.sleep(luck.uniform(0, 0.5))
            app.kill()
            app.start()
        wait_for(votes, 8 * (kills + 1))
    app.stop()
    assert check(place, votes) >= len(votes.acknowledged)


def test_a_server_that_is_told_to_end_acknowledges_what_is_on_its_way(place, app):
    sessions = filled(place, 300, overlap=1, people=8)
    app.start()
    with Labelers(app.port, sessions) as votes:
        time.sleep(1.5)
        began = time.monotonic()
        app.stop()
        assert app.process.returncode == 0 and time.monotonic() - began < 20
        app.start()
        time.sleep(0.5)
    check(place, votes)


def test_a_stranger_gets_nothing(place, app):
    filled(place, 3, overlap=1, people=1)
    app.start()
    for method, path in (("GET", "/turns/next"), ("POST", "/answers/x"), ("POST", "/skip/x")):
        assert asked(app.port, method, path, {} if method == "POST" else None, "made up")[0] == 401
    assert asked(app.port, "GET", "/turns/next")[0] == 401
