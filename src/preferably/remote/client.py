"""Many requests to one server: some at a time, again where that may help, never twice where one reply is there.

Each request ends in one state. The first goes alone, so that a wrong key or a wrong name costs one; where a server
stops to answer at all, asking ends, and what was said is kept.
"""

import asyncio
import json
import random
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from itertools import count
from typing import Any, Protocol

from preferably.errors import PreferablyError
from preferably.remote.away import Away
from preferably.remote.reply import Reply, read_reply
from preferably.remote.server import RemoteError, Server
from preferably.remote.spending import Spending
from preferably.remote.trying import Answer, Line, RefusedError, TryAgainError, need_httpx
from preferably.remote.waiting import backoff

TRIES = 8  # of a request that the server answers, if not as it should
UNREACHED = 3  # tries to connect before anything was said
REFUSALS = 3  # requests refused one by one, before any was taken
TOGETHER = 500  # kept replies that are read at one time
BARREN = 5  # requests that come to nothing, one after the other, or as many as are asked at a time

Body = Mapping[str, Any]
Heard = Callable[[int, Reply], None]


class Replies(Protocol):
    """Where replies are kept: by the key of the whole request, the body that was sent back."""

    def known(self, keys: Sequence[str]) -> Mapping[str, Body]:
        """The bodies kept for requests, of those that there are."""

    def put(self, key: str, body: Body) -> Body:
        """Keep one, and return what is kept once it is on the disk: the first one, where another was quicker."""


class Client:
    """Asks one server. `replies` keeps what it says, `spending` counts and limits it."""

    def __init__(self, server: Server, replies: Replies | None = None, spending: Spending | None = None) -> None:
        need_httpx()
        self.server, self.replies, self.spending = server, replies, spending or Spending()

    def key(self, body: Body) -> str:
        """The name of a request: the SHA-256 of the server's URL and of all that is sent."""
        return sha256(json.dumps([self.server.url, body], sort_keys=True).encode()).hexdigest()

    def ask(self, bodies: Sequence[Body], heard: Heard = lambda index, reply: None) -> list[Reply]:
        """One reply for each body of a request (`/chat/completions`), in their order.

        `heard` is called with the place and the reply as each comes, in the thread that waits; equal bodies are asked
        once. Raises `RemoteError` where asking had to end before all were asked: what had come by then was heard and
        kept. `ConfigError` for a server that must not be asked.
        """
        return _run(_Asking(self, bodies, heard).all())


class _Asking:
    """One call of `Client.ask`."""

    def __init__(self, client: Client, bodies: Sequence[Body], heard: Heard) -> None:
        self.server, self.replies, self.spending, self.heard = client.server, client.replies, client.spending, heard
        self.places: dict[str, list[int]] = {}
        for index, body in enumerate(bodies):
            self.places.setdefault(client.key(body), []).append(index)
        self.bodies = {key: bodies[places[0]] for key, places in self.places.items()}
        self.found: list[Reply | None] = [None] * len(bodies)
        self.todo: deque[str] = deque()
        self.opened = False  # whether any request was answered
        self.taken = False  # or one like them, before
        self.refused = 0  # requests that were, before any was answered
        self.barren = 0  # requests that failed since one was answered
        self.closed_until = 0.0  # by the loop's clock: when the server wants to be asked again
        self.stopped: PreferablyError | None = None
        self.stopping = asyncio.Event()
        self.away = Away()
        self.draw = random.Random(0)

    async def all(self) -> list[Reply]:
        """A reply for each body, or the error that ended asking."""
        keys = list(self.bodies)
        for some in (keys[at : at + TOGETHER] for at in range(0, len(keys), TOGETHER)):
            kept = self.replies.known(some) if self.replies is not None else {}
            for key in some:
                if key in kept:
                    self.taken = True
                    self._tell(key, replace(read_reply(kept[key]), cached=True))
                else:
                    self.todo.append(key)
        if self.todo:
            async with Line(self.server) as line:
                while self.todo and not (self.opened or self.stopped):  # one at a time
                    await self._next(line)
                workers = min(self.server.concurrency, len(self.todo))
                await asyncio.gather(*(self._work(line) for _ in range(workers)))
        self.away.ends()
        if self.stopped:
            said = sum(reply is not None for reply in self.found)
            raise type(self.stopped)(f"{self.stopped} Of {len(self.found):,} questions {said:,} are answered.")
        return [reply for reply in self.found if reply is not None]

    async def _work(self, line: Line) -> None:
        while self.todo and not self.stopped:
            await self._next(line)

    async def _next(self, line: Line) -> None:
        """Ask the next request until it has a reply, or asking ends."""
        key = self.todo.popleft()
        try:
            answer = await self._asked(line, key)
            if isinstance(answer, Answer):
                self.opened = self.taken = True
                self.barren, reply = 0, answer.reply
                self.away.answers(asyncio.get_running_loop().time())
                self._close(answer.wait, "takes no more for now")
                if self.replies is not None and (kept := self.replies.put(key, answer.body)) != answer.body:
                    reply = read_reply(kept)
                self._tell(key, reply)
                self.spending.check(answer.reply)
            elif answer is not None:
                self._tell(key, Reply("failed", why=answer))
        except PreferablyError as error:
            self._stop(error)

    async def _asked(self, line: Line, key: str) -> Answer | str | None:
        """The answer to a request; why it has none; or None where asking has ended before it had one."""
        clock = asyncio.get_running_loop().time
        body, end, reached, why = json.dumps(self.bodies[key]).encode(), clock() + self.server.deadline, 0, ""
        for tries in count(1):
            if not await self._may_ask(clock, end):
                return None
            if clock() >= end:
                return self._late(why, tries - 1)
            try:
                return await self._tried(line, body, key, min(end, clock() + self.server.timeout))
            except RefusedError as error:
                return self._refusal(str(error))
            except TryAgainError as error:
                problem, why = error, error.why
            reached += problem.reached
            if problem.wait > self.server.deadline:
                raise RemoteError(
                    f"{self.server.url} asks to wait {problem.wait:,.0f} s, longer than a request may take "
                    f"({self.server.deadline:g} s); ask again then."
                )
            wait = max(problem.wait, backoff(tries, self.draw))
            self._close(problem.wait, problem.why, wait)
            over = max(clock() + wait, self.closed_until) >= end or reached >= TRIES
            if over or (not self.opened and tries - reached >= UNREACHED):
                return self._failure(problem.why, tries)
            await self._rest(wait)
        raise AssertionError("there is always another try")  # pragma: no cover

    async def _tried(self, line: Line, body: bytes, key: str, until: float) -> Answer:
        """One try, counted."""
        answer = None
        self.spending.start()
        try:
            async with asyncio.timeout_at(until):
                answer = await line.post(body, key)
        except TimeoutError:
            raise TryAgainError("gave no whole answer in time") from None
        finally:
            self.spending.end(answer.reply if answer else None)
        return answer

    def _close(self, wait: float, why: str, own: float = 0.0) -> None:
        """Nobody asks for `wait` seconds, and who tried for `own`; told where that is long."""
        now = asyncio.get_running_loop().time()
        if wait:
            self.closed_until = max(self.closed_until, now + wait)
        if wait or own:
            where = f"{self.server.host}:{self.server.port}"
            self.away.waits(f"{where} {why[:80]}", max(wait, own), now, asked=wait > 0)

    async def _may_ask(self, clock: Callable[[], float], end: float) -> bool:
        """Wait until the server wants to be asked, or until `end`; whether anybody still is to be."""
        while (pause := min(self.closed_until, end) - clock()) > 0 and not self.stopped:
            await self._rest(pause)
        if not self.stopped and (limit := self.spending.full()):
            raise RemoteError(f"The limit of {limit} is reached; what was said is kept. Raise it to go on.")
        return not self.stopped

    async def _rest(self, seconds: float) -> None:
        """Wait, unless asking ends."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    def _refusal(self, why: str) -> str:
        """A request that the server does not take; if it took none yet, it may take none."""
        if not self.taken:
            self.refused += 1
            if self.refused >= REFUSALS:
                raise RemoteError(f"{self.server.url} refused the first {REFUSALS} requests ({why}).")
        return f"the server does not take it ({why})"

    def _failure(self, why: str, tries: int) -> str:
        """A request that came to nothing; one of many, or a server that is gone."""
        self.barren += 1
        if not self.taken or self.barren >= max(BARREN, self.server.concurrency):
            raise RemoteError(
                f"{self.server.url} {why}, after {tries} tries of one request"
                + (f", and so did the {self.barren - 1} before it. " if self.barren > 1 else ". ")
                + "Look whether it runs; what was said is kept."
            )
        return f"the server {why}, after {tries} tries"

    def _late(self, why: str, tries: int) -> str:
        """A request whose time is over while the server, asked by others, wants to wait."""
        if tries:
            return self._failure(why, tries)
        return f"the server asked to wait for longer than the deadline of {self.server.deadline:g} s; it was not asked"

    def _tell(self, key: str, reply: Reply) -> None:
        for index in self.places[key]:
            self.found[index] = reply
            self.heard(index, reply)

    def _stop(self, error: PreferablyError) -> None:
        """Nothing new is asked; what is on its way may still arrive."""
        self.stopped = self.stopped or error
        self.stopping.set()


def _run(asking: Coroutine[Any, Any, list[Reply]]) -> list[Reply]:
    """Its result; in a thread of its own where this one has a loop already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(asking)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, asking).result()
