"""The labeling app as browsers meet it: a real server on a port of its own, over a store that is thrown away."""

import logging
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from preferably.feedback.records import Completion, Group, Message, Origin
from preferably.feedback.store.store import Store
from preferably.labeling.app import app_of
from preferably.labeling.desk import Desk
from preferably.labeling.people import People
from preferably.labeling.project import project_of
from preferably.labeling.queue import Queue, Task

MARK = "secret-model-70b"  # the origin of every completion: nothing that is sent may say it


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
class Site:
    """A running app."""

    url: str
    port: int
    store: Store
    desk: Desk
    app: object
    server: uvicorn.Server

    @property
    def people(self):
        return People(self.store)

    def queue(self, *tasks, batch="b", **more):
        """Queue groups, the first the most urgent: (kind, group) each."""
        made = [Task(one, kind, priority=-at, **more) for at, (kind, one) in enumerate(tasks)]
        Queue(self.store, self.desk.project).add(made, batch)

    def person(self, name, role="labeler", labeler_group="", password=""):
        """Somebody who read the guidelines, and the token of their session."""
        code = self.people.invite(role, labeler_group)
        person, token = self.people.accept(code, name, password or ("" if role == "labeler" else "a long password"))
        self.people.note(person.id, read=self.desk.project.version)
        return person, token

    def said(self):
        """What was said, the oldest first."""
        return [entry for entry in self.store.entries()]


@contextmanager
def running(directory, project=None, *, port=0, guesses="1000/minute"):
    """The app of a store in `directory`, which may be there already."""
    with Store(directory / "labels.db") as store:
        desk = Desk(store, project_of({"gold": {"share": 0.0}} | (project or {})))
        app = app_of(desk, guesses=guesses)
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        config = uvicorn.Config(
            app, log_level="error", access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.005)
        port = listening.getsockname()[1]
        try:
            yield Site(f"http://127.0.0.1:{port}", port, store, desk, app, server)
        finally:
            server.should_exit = True
            thread.join(10)
