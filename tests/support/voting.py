"""The labeling server in a process of its own, and labelers who vote by HTTP until each vote is acknowledged."""

import http.client
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from uuid import uuid4

from preferably.labeling.security import form_token


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


class Server:
    """`preferably label serve`, which can be killed and started again at the same port."""

    def __init__(self, place, folder):
        self.place, self.port, self.folder, self.process, self.starts = place, free_port(), folder, None, 0

    def start(self):
        self.starts += 1
        command = [
            sys.executable,
            "-m",
            "preferably",
            "label",
            "serve",
            "--store",
            self.place,
            "--port",
            str(self.port),
        ]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
            try:
                if asked(self.port, "GET", "/health")[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the server does not answer")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)


def asked(port, method, path, body=None, session="", timeout=30):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    if session:
        headers |= {"Cookie": f"preferably={session}", "X-Token": form_token(session)}
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        reply = connection.getresponse()
        raw = reply.read()
        return reply.status, json.loads(raw) if "json" in (reply.getheader("Content-Type") or "") else raw
    finally:
        connection.close()


class Labelers:
    """Threads that each ask for a task, vote, and send a vote again until it is acknowledged."""

    def __init__(self, port, sessions, *, pause=0.0, seed=0):
        self.port, self.sessions, self.pause, self.seed = port, sessions, pause, seed
        self.acknowledged, self.seconds, self.refused = {}, [], []
        self.lock, self.over = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self._work, args=one) for one in enumerate(sessions)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def _work(self, number, session):
        luck = random.Random(self.seed * 1000 + number)
        while not self.over.is_set():
            time.sleep(self.pause * luck.expovariate(1) if self.pause else 0)
            found = self._until_answered(session, "GET", "/turns/next")
            if found is None:
                return
            if found["turn"] is None:
                time.sleep(0.2)
                continue
            vote = {"id": str(uuid4()), "choice": luck.choice(["tie", "unsure", "both_bad"]), "seconds": 1}
            if self._until_answered(session, "POST", f"/answers/{found['turn']}", vote) is not None:
                with self.lock:
                    self.acknowledged[vote["id"]] = (found["turn"], number)

    def _until_answered(self, session, method, path, body=None):
        """What the server says at last; a vote is sent again even when it is over, for its fate must be known."""
        patience = time.monotonic() + 120
        while (not self.over.is_set() or body is not None) and time.monotonic() < patience:
            began = time.perf_counter()
            try:
                status, told = asked(self.port, method, path, body, session)
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.05)
                continue
            if status == 200:
                if body is not None:
                    with self.lock:
                        self.seconds.append(time.perf_counter() - began)
                return told
            with self.lock:
                self.refused.append((status, told))
            if status not in (429, 503):
                return None
            time.sleep(0.1)
        return None
