"""A labeling app with people who have sessions, to be asked over HTTP."""

from dataclasses import dataclass
from uuid import uuid4

import pytest
from labelers import group, invited
from starlette.testclient import TestClient

from preferably.feedback.store.store import Store
from preferably.labeling.app import app_of
from preferably.labeling.desk import Desk
from preferably.labeling.figures import Figures
from preferably.labeling.people import People
from preferably.labeling.project import project_of
from preferably.labeling.queue import Queue, Task
from preferably.labeling.security import form_token


@dataclass
class Visitor:
    """Somebody with a browser."""

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

    def __init__(self, path, **project):
        self.store, self.project = Store(path), project_of(project)
        self.desk = Desk(self.store, self.project)
        self.app = app_of(self.desk)
        self.app.state.figures = Figures(self.store, wait=60.0)  # nothing is told before it is worked out
        self.queue, self.people = Queue(self.store, self.project), People(self.store)

    def come(self, name, role="labeler", group=""):
        person, session = invited(self.store, name, group, role)
        client = TestClient(self.app, base_url="http://127.0.0.1", follow_redirects=False)
        client.cookies.set("preferably", session)
        return Visitor(client, person, form_token(session))

    def ask(self, *numbers, batch="b", **how):
        return self.queue.add([Task(group(number), **how) for number in numbers], batch)

    def judge(self, visitor, choose=lambda number: 0, limit=10**6, **more):
        """Have somebody answer all that is there for them; `choose` says which completion, by the group's number, is
        better (a, b), or a word. Returns the tasks."""
        had = []
        while len(had) < limit and (turn := self.queue.next(visitor.person)) is not None:
            self.queue.answer(visitor.person, turn.asked.turn, said(turn.asked, choose) | more)
            had.append(turn.task)
        return had


def said(asked, choose):
    """The answer by which the completion `choose` names wins, wherever it stands on the page."""
    choice = choose(int(asked.group.prompt_text.split()[-1]))
    if isinstance(choice, int):
        wanted = f"answer {'ab'[choice]} to {asked.group.prompt_text.split()[-1]}"
        texts = [asked.group.completions[place].text for place in asked.shown]
        return {"id": str(uuid4()), "choice": texts.index(wanted), "strength": 2, "seconds": 10.0}
    return {"id": str(uuid4()), "choice": choice, "strength": None, "seconds": 10.0}


def _made(where, made):
    def make(**project):
        made.append(Site(where(), **project))
        return made[-1]

    return make


def _shut(made):
    for one in made:
        for kept in (one.app.state.figures._worth, one.app.state.figures._lessons):
            if kept.working is not None:
                kept.working.join()
        one.store.close()


@pytest.fixture
def site(tmp_path):
    """Makes a site of a project, in a file of SQLite."""
    made = []
    yield _made(lambda: tmp_path / f"labels-{len(made)}.db", made)
    _shut(made)


@pytest.fixture
def anywhere(place):
    """Makes a site of a project, in either database; once."""
    made = []
    yield _made(lambda: place, made)
    _shut(made)
