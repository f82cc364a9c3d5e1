"""A server in OpenAI's form on 127.0.0.1 that fails as real ones do, by plan, and writes down what happened."""

import asyncio
import gzip
import json
import re
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from random import Random

MARK = re.compile(r"with the mark ([0-9a-f]{8}) is")


@dataclass
class Seen:
    """One request: what it was for, when it came, and what it got."""

    key: str
    came: float
    fault: str
    body: dict
    headers: dict
    answered: float = 0.0
    wait: float = 0.0  # that the answer asked for


def verdict(mark, letters=("A", "B", "tie")):
    """The truth of this server: what it thinks of a question."""
    return letters[int(sha256(mark.encode()).hexdigest(), 16) % len(letters)]


def reply(content, finish="stop", **message):
    usage = {"prompt_tokens": 100, "completion_tokens": 10}
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content} | message}
    return {"id": "x", "model": "judge", "choices": [choice], "usage": usage}


def good(body):
    mark = MARK.search(body["messages"][0]["content"])
    return reply(json.dumps({"mark": mark[1], "better": verdict(mark[1])}) if mark else "hello")


@dataclass
class FaultServer:
    """`plan(number of this try of the request, its body, random)` names a fault, or "" for a good answer."""

    plan: object = lambda tries, body, random: ""
    answer: object = good
    delay: object = 0.0  # seconds before each answer, or a function of the body
    seen: list = field(default_factory=list)
    delivered: Counter = field(default_factory=Counter)  # answers sent whole with status 200, by key
    most: int = 0
    now: int = 0
    ssl: object = None  # the context of a server that speaks TLS, as localhost

    def __enter__(self):
        started = threading.Event()

        def run():
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
            self.server = self.loop.run_until_complete(
                asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self.ssl)
            )
            self.port = self.server.sockets[0].getsockname()[1]
            started.set()
            self.loop.run_forever()
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(0.05))
            self.loop.close()

        self.tries = defaultdict(int)
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        started.wait(10)
        self.url = f"https://localhost:{self.port}/v1" if self.ssl else f"http://127.0.0.1:{self.port}/v1"
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.server.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    async def _connected(self, reader, writer):
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
        key = headers.get("idempotency-key", "")
        self.tries[key] += 1
        random = Random(f"{key} {self.tries[key]}")
        fault = self.plan(self.tries[key], body, random)
        seen = Seen(key, time.monotonic(), fault, body, headers | {"": lines[0]})
        self.seen.append(seen)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.delay(body) if callable(self.delay) else self.delay)
            return await self._answer(fault, seen, reader, writer)
        finally:
            self.now -= 1

    async def _answer(self, fault, seen, reader, writer):
        name, _, detail = fault.partition(" ")
        if name in RAW:
            return await RAW[name](reader if name == "silent" else writer)
        status, headers, body = 200, {}, None
        if name in BODIES:
            body = BODIES[name](seen.body)
        elif name in LONGER:
            body = self.answer(seen.body)
        elif name == "200":
            headers, seen.wait = waits(detail)
            body = self.answer(seen.body)
        elif name:
            status, headers, seen.wait = int(name), *waits(detail)
            body = ERRORS.get(detail, {"error": {"message": f"status {name}", "type": "error"}})
            if detail == "leak":  # it says back what it was sent
                headers = {"X-You-Sent": seen.headers.get("authorization", "")}
                body = {"error": {"message": f"who is {headers['X-You-Sent']}"}}
        else:
            body = self.answer(seen.body)
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        length = len(raw) // 2 if name == "over" else len(raw)
        raw += BEHIND.get(name, b"")
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {length}", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + raw)
        seen.answered = time.monotonic()
        await writer.drain()
        self.delivered[seen.key] += status == 200 and name not in {"over", *BROKEN}
        return True


def waits(detail):
    """The headers that ask to wait, and for how long they truly do."""
    kind, _, value = detail.partition("=")
    if kind == "ms":
        return {"retry-after-ms": value}, float(value) / 1000
    if kind == "s":
        return {"Retry-After": value}, max(0.0, float(value))
    if kind == "date":  # by a clock that is an hour or so off
        skew, seconds = map(int, value.split(","))
        now = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=skew)
        return {
            "Date": format_datetime(now, True),
            "Retry-After": format_datetime(now + timedelta(seconds=seconds), True),
        }, seconds
    if kind == "limit":  # of which nothing is left
        seconds = float(value.removesuffix("ms")) / 1000 if value.endswith("ms") else float(value)
        return {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": value}, seconds
    if kind == "garbage":
        return {"Retry-After": "soon"}, 0.0
    if kind == "location":
        return {"Location": value}, 0.0
    return {}, 0.0


async def _reset(writer):
    writer.transport.abort()
    return False


async def _cut(writer):
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"choices": [{"message"')
    await writer.drain()
    writer.transport.abort()
    return False


async def _chunk(writer):
    writer.write(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"choices": [{"')
    await writer.drain()
    return False


async def _short(writer):  # less than it says, and then nothing
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\nConnection: close\r\n\r\n{}")
    await writer.drain()
    return False


async def _silent(reader):
    await reader.read()  # until whoever asked gives up
    return False


async def _loris(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
    for _ in range(600):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.1)
    return False


PACKED = gzip.compress(b" " * (8 << 20), 1)


async def _gzip(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED))
    writer.write(PACKED)
    await writer.drain()
    return False


async def _huge(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
    for _ in range(1600):
        writer.write(b" " * 65536)
        await writer.drain()
    return False


def _said(change):
    """A good verdict, changed."""

    def body(asked):
        content = json.loads(good(asked)["choices"][0]["message"]["content"])
        return reply(change(content))

    return body


RAW = {"reset": _reset, "cut": _cut, "chunk": _chunk, "short": _short, "silent": _silent, "loris": _loris,
       "gzip": _gzip, "huge": _huge}  # fmt: skip
# Bodies with the status 200. Of BROKEN ones none is a reply; the others are replies, if odd ones.
BROKEN = {
    "html": lambda asked: b"<html><body>gateway</body></html>",
    "nochoices": lambda asked: {"choices": []},
    "error": lambda asked: {"error": {"message": "overloaded"}},
    "list": lambda asked: [1, 2],
    "nomessage": lambda asked: {"choices": [{"index": 0}]},
    # Streams, for which nobody asked: one that ends before it says so, and one with an error in it.
    "stream": lambda asked: b"data: " + json.dumps(good(asked)).encode() + b"\n\n",
    "streamed-error": lambda asked: b'data: {"error": {"message": "overloaded"}}\n\ndata: [DONE]\n\n',
}
# Bodies that go on behind their Content-Length, which ends within the reply, or with it: there stands a bit more, or
# all of another reply, for which nobody asked.
LONGER = ("over", "longer", "another")
OTHER = json.dumps(reply("what nobody asked for")).encode()
BEHIND = {"longer": b"{}", "another": b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % len(OTHER) + OTHER}
BODIES = BROKEN | {
    "null": lambda asked: reply(None),
    "length": lambda asked: reply('{"mark": "', "length"),
    "filter": lambda asked: reply("", "content_filter"),
    "refusal": lambda asked: reply(None, refusal="I cannot judge that."),
    "brokenjson": _said(lambda said: json.dumps(said)[:-3]),
    "enum": _said(lambda said: json.dumps(said | {"better": "C"})),
    "two": _said(lambda said: json.dumps(said | {"better": "A"}) + json.dumps(said | {"better": "B"})),
    "twice": _said(lambda said: json.dumps(said)[:-1] + ', "better": "A"}'),
    "mark": _said(lambda said: json.dumps(said | {"mark": "00000000"})),
    "renamed": lambda asked: good(asked) | {"model": "judge-v2"},
    "words": lambda asked: reply("Reply A is better."),
    "fenced": _said(lambda said: f"Here it is:\n```json\n{json.dumps(said)}\n```"),
}
ERRORS = {
    "quota": {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}},
    "long": {"error": {"message": "This model's maximum context length is 4096 tokens", "code": "context_length"}},
}
AGAIN = [
    "500", "502", "503", "504", "529", "408", "409", "503 ms=30", "429", "429 ms=40", "429 ms=80", "429 s=-5",
    "429 garbage", "429 s=0.05", "reset", "cut", "chunk", "short", "over", *BROKEN,
]  # fmt: skip
ODD = {
    "null": "invalid", "length": "invalid", "filter": "refused", "refusal": "refused", "brokenjson": "invalid",
    "enum": "invalid", "two": "invalid", "twice": "invalid", "mark": "invalid", "words": "invalid", "fenced": "ok",
    "renamed": "ok",
}  # fmt: skip
