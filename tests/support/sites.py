"""A labeling app over a store that is thrown away: asked in this process, or by browsers at a port of its own."""

import atexit
import logging
import shutil
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from uuid import uuid4

import labelers
import pytest
import uvicorn
from starlette.testclient import TestClient

from preferably.feedback.records import Completion, Group, Message, Origin
from preferably.feedback.store.store import Store
from preferably.labeling.app import app_of
from preferably.labeling.desk import Desk
from preferably.labeling.figures import Figures
from preferably.labeling.people import People
from preferably.labeling.project import project_of
from preferably.labeling.queue import Queue, Task
from preferably.labeling.security import form_token

MARK = "secret-model-70b"  # the origin of every completion of `group`: nothing that is sent may say it


def messages(*turns):
    return tuple(Message(role, text) for role, text in turns)


def group(prompt, *texts):
    """A group of completions that say where they came from."""
    asked = messages(("user", prompt)) if isinstance(prompt, str) else prompt
    made = tuple(
        Completion((Message("assistant", text),), Origin(f"{MARK}-{at}", 0.7, at)) for at, text in enumerate(texts)
    )
    return Group(asked, made, source=f"{MARK}-file")


@dataclass
class Visitor:
    """Somebody who asks over HTTP."""

    client: TestClient
    person: object
    token: str

    def get(self, address):
        return self.client.get(address)

    def send(self, address, **fields):
        return self.client.post(address, data={"token": self.token} | fields)

    def answer(self, turn, **fields):
        headers = {"X-Token": self.token, "Accept": "application/json"}
        return self.client.post(f"/answers/{turn}", json={"id": str(uuid4())} | fields, headers=headers)


class Site:
    """The app of a store, and whoever comes to it."""

    url, port = "", 0  # while it is `served`

    def __init__(self, place, *, guesses="10/minute", **project):
        if not str(place).startswith("postgresql") and not Path(place).exists():
            shutil.copy(_empty(), place)
        self.store, self.project = Store(place), project_of(project)
        self.desk = Desk(self.store, self.project)
        self.app = app_of(self.desk, guesses=guesses)
        self.app.state.figures = Figures(self.store, wait=60.0)  # nothing is told before it is worked out
        self.queue, self.people = Queue(self.store, self.project), People(self.store)

    def close(self):
        figures = self.app.state.figures
        for kept in (figures._worth, figures._lessons):
            if kept.working is not None:
                kept.working.join()
        self.store.close()

    def come(self, name, role="labeler", group=""):
        """Somebody to ask in this process."""
        person, session = labelers.invited(self.store, name, group, role)
        client = TestClient(self.app, base_url="http://127.0.0.1", follow_redirects=False)
        client.cookies.set("preferably", session)
        return Visitor(client, person, form_token(session))

    def person(self, name, role="labeler", labeler_group="", password=""):
        """Somebody who read the guidelines, and the token of their session."""
        code = self.people.invite(role, labeler_group)
        person, token = self.people.accept(code, name, password or ("" if role == "labeler" else "a long password"))
        self.people.note(person.id, read=self.project.version)
        return person, token

    def ask(self, *numbers, batch="b", **how):
        """Queue pairs by numbers."""
        return self.queue.add([Task(labelers.group(number), **how) for number in numbers], batch)

    def put(self, *tasks, batch="b", **how):
        """Queue groups, the first the most urgent: (kind, group) each."""
        self.queue.add([Task(one, kind, priority=-at, **how) for at, (kind, one) in enumerate(tasks)], batch)

    def judge(self, visitor, choose=lambda number: 0, limit=10**6, **more):
        """Have somebody answer all that is there for them; `choose` says which completion, by the group's number, is
        better (a, b), or a word. Returns the tasks."""
        had = []
        while len(had) < limit and (turn := self.queue.next(visitor.person)) is not None:
            self.queue.answer(visitor.person, turn.asked.turn, said(turn.asked, choose) | more)
            had.append(turn.task)
        return had

    def said(self):
        """What was said, the oldest first."""
        return list(self.store.entries())


@cache
def _empty():
    """An empty store: to copy it takes a fifth of what it takes to make one."""
    folder = mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = Path(folder) / "empty.db"
    Store(made).close()
    return made


def said(asked, choose):
    """The answer by which the completion `choose` names wins, wherever it stands on the page."""
    choice = choose(int(asked.group.prompt_text.split()[-1]))
    if isinstance(choice, int):
        wanted = f"answer {'ab'[choice]} to {asked.group.prompt_text.split()[-1]}"
        texts = [asked.group.completions[place].text for place in asked.shown]
        return {"id": str(uuid4()), "choice": texts.index(wanted), "strength": 2, "seconds": 10.0}
    return {"id": str(uuid4()), "choice": choice, "strength": None, "seconds": 10.0}


@contextmanager
def running(directory, project=None, *, port=0, guesses="1000/minute"):
    """The app of a store in `directory`, which may be there already, at a port."""
    site = Site(directory / "labels.db", guesses=guesses, **({"gold": {"share": 0.0}} | (project or {})))
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    site.port = listening.getsockname()[1]
    site.url = f"http://127.0.0.1:{site.port}"
    config = uvicorn.Config(
        site.app, log_level="error", access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield site
    finally:
        server.should_exit = True
        thread.join(10)
        site.close()


def _made(where, made):
    def make(**project):
        made.append(Site(where(), **project))
        return made[-1]

    return make


@pytest.fixture
def site(tmp_path):
    """Makes a site of a project, in a file of SQLite."""
    made = []
    yield _made(lambda: tmp_path / f"labels-{len(made)}.db", made)
    for one in made:
        one.close()


@pytest.fixture
def anywhere(place):
    """Makes a site of a project, in either database; once."""
    made = []
    yield _made(lambda: place, made)
    for one in made:
        one.close()
