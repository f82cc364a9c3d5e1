"""The client against a real server on 127.0.0.1 that fails in every way that is known."""

import json
import socket
import time
from contextlib import ExitStack

import pytest
from fault_server import AGAIN, ODD, FaultServer, reply, verdict

from preferably.errors import ConfigError
from preferably.remote import away, waiting
from preferably.remote.client import BARREN, TRIES, Client
from preferably.remote.server import RemoteError, Server
from preferably.remote.spending import Spending


def said(number, **more):
    mark = f"{number:08x}"
    messages = [{"role": "system", "content": f"with the mark {mark} is"}, {"role": "user", "content": "?"}]
    return {"model": "judge", "messages": messages, **more}


class Kept(dict):
    def known(self, keys):
        return {key: self[key] for key in keys if key in self}

    def put(self, key, body):
        assert key not in self
        self[key] = json.loads(json.dumps(body))
        return self[key]


@pytest.fixture
def quick(monkeypatch):
    """Waits between tries of a few milliseconds."""
    monkeypatch.setattr(waiting, "FIRST", 0.002)
    monkeypatch.setattr(waiting, "LONGEST", 0.02)


def client(server, replies=None, spending=None, **how):
    how = {"timeout": 5.0, "deadline": 20.0, "concurrency": 4} | how
    return Client(Server(server.url, **how), replies, spending)


def first(*faults):
    """Faults for the first tries of every request; good from then on."""
    return lambda tries, body, random: faults[tries - 1] if tries <= len(faults) else ""


def on(number, fault, tries=10**9):
    """A fault for one of the requests of `said`, in its first tries."""
    return lambda n, body, random: fault if n <= tries and f"{number:08x}" in str(body) else ""


def test_every_reply_comes_to_its_place_and_equal_requests_are_asked_once():
    with FaultServer() as server:
        bodies = [said(n % 5) for n in range(12)]
        heard = {}
        found = client(server).ask(bodies, lambda index, reply: heard.setdefault(index, reply))
        assert [json.loads(one.text)["better"] for one in found] == [verdict(f"{n % 5:08x}") for n in range(12)]
        assert heard == dict(enumerate(found)) and len(server.seen) == 5
        assert found[0].used == (100, 10) and found[0].model == "judge"


@pytest.mark.parametrize("fault", AGAIN)
def test_what_may_go_better_the_next_time_is_tried_again(fault, quick):
    with FaultServer(first(fault, fault)) as server:
        [found] = client(server).ask([said(7)])
        assert found.state == "ok" and len(server.seen) == 3
        assert len({one.key for one in server.seen}) == 1  # the same name for all tries


@pytest.mark.parametrize("fault", ["longer", "another"])
def test_what_follows_a_whole_reply_is_no_part_of_it_nor_of_the_next_one(fault, quick):
    """A bit more, and all of another reply: the question after it is asked once, and has its own."""
    with FaultServer(on(1, fault)) as server:
        asked = client(server, concurrency=1)
        found = asked.ask([said(n) for n in range(4)])
        assert [json.loads(one.text)["better"] for one in found] == [verdict(f"{n:08x}") for n in range(4)]
        assert set(server.delivered.values()) == {1} and asked.spending.requests == len(server.seen) == 4


@pytest.mark.parametrize(("fault", "why"), [
    ("gzip", "packed"), ("huge", "4 MiB"), ("silent", "in time"), ("loris", "in time"),
])  # fmt: skip
def test_answers_without_an_end_are_cut_short(fault, why, quick):
    with FaultServer(on(2, fault)) as server:
        asked = client(server, timeout=0.4, deadline=1.0)
        began = time.monotonic()
        found = asked.ask([said(1), said(2), said(3)])
        assert [one.state for one in found] == ["ok", "failed", "ok"] and why in found[1].why
        assert time.monotonic() - began < 10


@pytest.mark.parametrize(("fault", "how"), [
    ("silent", {"timeout": 5.0}), ("loris", {"timeout": 5.0}), ("silent", {"timeout": 0.3}), ("500", {}),
    ("429 s=0.4", {}),
])  # fmt: skip
def test_no_question_takes_longer_than_its_deadline(fault, how):
    """A server that hangs, one that always fails, and one that always wants to wait; with waits as they are."""
    with FaultServer(on(2, fault)) as server:
        ended = {}
        began = time.monotonic()
        asked = client(server, deadline=1.0, concurrency=1, **how)
        found = asked.ask([said(1), said(2)], lambda index, reply: ended.setdefault(index, time.monotonic() - began))
        assert [one.state for one in found] == ["ok", "failed"]
        assert ended[1] - ended[0] <= 1.0 + 3.0  # of five that it hangs
        assert asked.spending.requests == len(server.seen)


def test_the_wait_that_another_question_was_told_ends_at_one_s_own_deadline(quick):
    """One is silent for a second; another is told, half a second on, to wait beyond the deadline of the first."""
    plan = {1: "silent", 2: "429 s=1.7"}
    with FaultServer() as server:
        server.plan = lambda tries, body, random: next((plan[n] for n in plan if f"{n:08x}" in str(body)), "")
        server.delay = lambda body: 0.5 if f"{2:08x}" in str(body) else 0.0
        asked = client(server, timeout=1.0, deadline=2.0, concurrency=2)
        asked.ask([said(0)])
        began = time.monotonic()
        found = asked.ask([said(3), said(1), said(2)])  # the first goes alone
        assert [one.state for one in found] == ["ok", "failed", "failed"] and "in time" in found[1].why
        assert time.monotonic() - began <= 2.0 + 4.0
        assert asked.spending.requests == len(server.seen) == 4  # each once: nobody is asked after its time is over


@pytest.mark.parametrize(("fault", "state"), [(name, state) for name, state in ODD.items() if state != "ok"])
def test_answers_that_hold_nothing_are_final(fault, state):
    with FaultServer(first(fault)) as server:
        [found] = client(server).ask([said(1)])
        assert found.state == (state if fault in ("null", "length", "filter", "refusal") else "ok")
        assert len(server.seen) == 1


@pytest.mark.parametrize(("fault", "told"), [
    ("401", "key"), ("403", "refuses"), ("404", "name of the model"), ("405", "405"), ("402", "no money"),
    ("429 quota", "no money"), ("301 location=http://127.0.0.1:1/v1", "not followed"), ("307", "not followed"),
    ("302 location=http://127.0.0.1:1/v1", "not followed"),
])  # fmt: skip
def test_what_no_request_would_survive_ends_asking_after_one(fault, told):
    with FaultServer(lambda *_: fault) as server:
        with pytest.raises(RemoteError, match=told):
            client(server).ask([said(n) for n in range(50)])
        assert len(server.seen) == 1


def test_a_key_that_is_refused_on_the_way_ends_asking_and_keeps_what_came(quick):
    kept = Kept()
    with FaultServer() as server:
        server.plan = lambda *_: "401" if len(server.seen) >= 20 else ""
        heard = []
        with pytest.raises(RemoteError, match="Of 100 questions"):
            client(server, kept).ask([said(n) for n in range(100)], lambda index, reply: heard.append(index))
        assert len(server.seen) <= 20 + 4 and len(heard) == len(kept) == 20


@pytest.mark.parametrize("status", ["400", "413", "422"])
def test_three_requests_refused_before_any_is_taken_end_asking(status):
    with FaultServer(lambda *_: status) as server:
        with pytest.raises(RemoteError, match="refused the first 3"):
            client(server).ask([said(n) for n in range(50)])
        assert len(server.seen) == 3


@pytest.mark.parametrize("status", ["400 long", "413 long", "422 long"])
def test_one_request_that_the_server_does_not_take_is_one(status):
    with FaultServer(on(0, status)) as server:
        found = client(server).ask([said(n) for n in range(30)])
        assert [one.state for one in found] == ["failed"] + ["ok"] * 29
        assert "context length" in found[0].why and len(server.seen) == 30


def test_a_request_that_always_breaks_the_server_is_given_up(quick):
    with FaultServer(on(3, "500")) as server:
        found = client(server, concurrency=1).ask([said(n) for n in range(9)])
        assert [one.state for one in found].count("failed") == 1 and "500" in found[3].why
        assert len(server.seen) == 8 + TRIES


def test_a_server_that_stops_to_answer_ends_asking(quick):
    with FaultServer() as server:
        server.plan = lambda *_: "500" if len(server.seen) > 10 else ""
        with pytest.raises(RemoteError, match="so did"):
            client(server, concurrency=2).ask([said(n) for n in range(1000)])
        assert len(server.seen) <= 10 + (BARREN + 2) * TRIES


def test_a_server_that_is_not_there_is_told_at_once():
    with FaultServer() as server:
        asked = client(server)
    with pytest.raises(RemoteError, match="cannot be connected to"):
        asked.ask([said(1)])


def test_a_server_that_takes_no_connection_is_given_up_in_time():
    """Its queue of connections is full, so that one more is neither taken nor refused."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as waits:
        for _ in range(4):
            one = waits.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        asked = Client(Server(f"http://127.0.0.1:{full.getsockname()[1]}/v1", timeout=0.2, deadline=1.0))
        began = time.monotonic()
        with pytest.raises(RemoteError, match="cannot be connected to|in time"):
            asked.ask([said(1)])
        assert time.monotonic() - began < 5


def test_a_server_that_comes_back_is_asked_on(quick):
    """It is away in the middle, for longer than eight tries of any request take."""
    import threading

    server = FaultServer()
    with server:
        port = server.port
        asked = client(server, concurrency=2)
        heard = []

        def away(index, reply):
            heard.append(index)
            if len(heard) == 5:
                server.loop.call_soon_threadsafe(server.server.close)
                threading.Timer(1.0, back).start()

        def back():
            import asyncio

            async def listen():
                server.server = await asyncio.start_server(server._connected, "127.0.0.1", port)

            asyncio.run_coroutine_threadsafe(listen(), server.loop)

        server.plan = lambda *_: "reset" if len(server.seen) > 5 and not server.server.is_serving() else ""
        found = asked.ask([said(n) for n in range(20)], away)
        assert [one.state for one in found] == ["ok"] * 20


@pytest.mark.parametrize("asked", [
    "429 s=0.4", "429 ms=400", "503 date=-1,1", "429 date=1,1", "429 limit=0.4", "429 limit=400ms", "200 limit=0.4"
])  # fmt: skip
def test_nobody_asks_before_the_server_wants_it(asked, quick):
    with FaultServer(on(3, asked, tries=1), delay=0.01) as server:
        client(server).ask([said(n) for n in range(40)])
        [limited] = [one for one in server.seen if one.wait]
        later = [one for one in server.seen if one.came > limited.answered + 0.05]  # what was not under way by then
        assert later and min(one.came for one in later) >= limited.answered + limited.wait - 0.001


def test_a_wait_beyond_the_deadline_ends_asking():
    with FaultServer(on(3, "429 s=9999")) as server:
        with pytest.raises(RemoteError, match="9,999 s"):
            client(server).ask([said(n) for n in range(40)])


def test_a_limit_that_is_reset_beyond_the_deadline_is_left_to_the_server(quick):
    """The whole limit is there again in hours; a part of it may be before, as the next tries show."""
    plan = first("429 limit=9999", "200 limit=9999")
    with FaultServer(plan) as server:
        assert {one.state for one in client(server).ask([said(n) for n in range(8)])} == {"ok"}


def test_who_waits_is_told_while_a_server_is_away(quick, monkeypatch):
    monkeypatch.setattr(away, "LONG", 0.1)
    for fault in ("429 s=0.3", "200 limit=0.3"):
        told = []
        with FaultServer(on(3, fault, tries=1)) as server, away.telling(told.append):
            client(server, concurrency=1).ask([said(n) for n in range(8)])
        assert "asked again in 0 s" in told[0] and f"127.0.0.1:{server.port}" in told[0] and told[-1] == ""
    watched = away.Away()
    watched.told = told.append
    told.clear()
    watched.waits("x", 5.0, 10.0, asked=True)
    watched.answers(12.0)  # of what had been under way
    assert told == ["x; asked again in 5 s"]
    watched.answers(15.0)
    assert told[1:] == [""]
    told = []
    with FaultServer(first("500", "500")) as server, away.telling(told.append):
        client(server).ask([said(n) for n in range(8)])
    assert told == []  # too short to be told
    with FaultServer(lambda *_: "500") as server, away.telling(told.append), pytest.raises(RemoteError):
        monkeypatch.setattr(away, "LONG", 0.01)
        client(server).ask([said(n) for n in range(8)])
    assert "answered 500" in told[0] and told[-1] == ""  # asking has ended


def test_no_more_are_asked_at_a_time_than_allowed():
    with FaultServer(delay=0.02) as server:
        client(server, concurrency=3).ask([said(n) for n in range(30)])
        assert server.most == 3


def test_what_was_answered_is_not_asked_again():
    kept = Kept()
    with FaultServer(on(2, "null")) as server:
        once = client(server, kept).ask([said(n) for n in range(10)])
        again = client(server, kept).ask([said(n) for n in range(10)])
        assert len(server.seen) == 10 and once == again and all(one.cached for one in again)
        client(server, kept).ask([said(0, temperature=1.0)])  # another request
        assert len(server.seen) == 11


def test_the_key_goes_where_it_belongs_and_nowhere_else(monkeypatch, caplog):
    monkeypatch.setenv("SOME_KEY", "sk-very-secret")
    caplog.set_level("DEBUG")
    kept = Kept()
    with FaultServer() as server:
        server.answer = lambda body: reply("you are sk-very-secret")
        [found] = client(server, kept, key_env="SOME_KEY").ask([said(1)])
        assert server.seen[0].headers["authorization"] == "Bearer sk-very-secret"
        assert "secret" not in found.text + str(kept) + repr(client(server, key_env="SOME_KEY"))
        client(server).ask([said(1)])
        assert "authorization" not in server.seen[1].headers
        server.plan = lambda *_: "401 leak"
        with pytest.raises(RemoteError) as caught:
            client(server, key_env="SOME_KEY").ask([said(2)])
        assert "who is Bearer [SOME_KEY]" in str(caught.value) and "sk-very" not in str(caught.value)
    assert "Bearer [SOME_KEY]" in caplog.text and "sk-very" not in caplog.text  # the headers of the answer, at DEBUG


def test_limits_of_requests_tokens_and_cost_are_kept(quick):
    with FaultServer() as server:
        with pytest.raises(RemoteError, match="7 requests"):
            client(server, spending=Spending(max_requests=7)).ask([said(n) for n in range(40)])
        assert len(server.seen) == 7
        for spending, limit in (
            (Spending(max_tokens=1000), 1000), (Spending(max_cost=0.0011, prices=(1.0, 1.0)), 1100),
        ):  # fmt: skip
            with pytest.raises(RemoteError, match="is spent|are spent"):
                client(server, spending=spending).ask([said(n) for n in range(40)])
            assert limit - 110 <= spending.tokens <= limit  # 110 tokens each


def test_a_limit_that_nobody_counts_for_is_an_error():
    with FaultServer() as server:
        server.answer = lambda body: {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}
        with pytest.raises(ConfigError, match="limit the requests"):
            client(server, spending=Spending(max_tokens=1000)).ask([said(n) for n in range(9)])
        assert client(server).ask([said(1)])[0].used is None


def test_an_error_of_who_listens_ends_asking_and_nothing_hangs():
    with FaultServer() as server:

        def heard(index, reply):
            raise ConfigError("The disk is full.")

        with pytest.raises(ConfigError, match="disk is full"):
            client(server).ask([said(n) for n in range(40)], heard)
        assert len(server.seen) <= 5


def test_it_can_be_asked_where_a_loop_runs_already():
    import asyncio

    async def notebook():
        with FaultServer() as server:
            return client(server).ask([said(1)])

    assert asyncio.run(notebook())[0].state == "ok"


def test_waits_grow_and_are_never_shorter_than_half():
    from random import Random

    draw = Random(1)
    for tries, longest in ((1, 0.5), (2, 1.0), (3, 2.0), (7, 30.0), (60, 30.0)):
        waits = [waiting.backoff(tries, draw) for _ in range(200)]
        assert longest / 2 <= min(waits) and max(waits) <= longest and max(waits) - min(waits) > longest / 4


@pytest.mark.parametrize(("headers", "seconds"), [
    ({}, 0), ({"Retry-After": "3"}, 3), ({"retry-after-ms": "250"}, 0.25), ({"Retry-After": "-3"}, 0),
    ({"Retry-After": "soon"}, 0), ({"Retry-After": "nan"}, 0), ({"Retry-After": "inf"}, 0), ({"Retry-After": ""}, 0),
    ({"Retry-After": "9", "Retry-After-Ms": "100"}, 9),
    ({"Date": "Wed, 21 Oct 2015 07:28:00 GMT", "Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT"}, 30),
    ({"Date": "Wed, 21 Oct 2015 07:28:00 GMT", "Retry-After": "Wed, 21 Oct 2015 07:00:00 GMT"}, 0),
])  # fmt: skip
def test_how_long_a_server_asks_to_wait(headers, seconds):
    assert waiting.asked_wait(headers) == seconds


@pytest.mark.parametrize(("remaining", "reset", "seconds"), [
    ("0", "20", 20), ("0", "1m30s", 90), ("0", "2h", 7200), ("0", "1d2h3m4.5s", 93784.5), ("0", "6ms", 0.006),
    ("0.0", "1.5", 1.5), ("0", "", 0), ("0", "soon", 0), ("0", "s", 0), ("0", "-5", -5), ("1", "20", 0), ("", "20", 0),
    ("-1", "20", 0), ("0", "1445412510", 30), ("0", "1445412510000", 30),
])  # fmt: skip
def test_how_long_until_a_limit_is_reset(remaining, reset, seconds):
    """The times are those of 2015-10-21 07:28:30, and the reply came half a minute before."""
    date = {"Date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    for kind in ("", "-Requests", "-tokens"):
        headers = {f"X-RateLimit-Remaining{kind}": remaining, f"x-ratelimit-reset{kind}": reset}
        assert waiting.limit_wait(headers | date) == pytest.approx(max(0, seconds))
    both = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "3s"}  # fmt: skip
    assert waiting.limit_wait(both) == 3
    assert waiting.limit_wait(both | {"x-ratelimit-remaining-tokens": "7"}) == 1


def test_a_date_without_one_to_hold_it_against_is_by_our_clock():
    from datetime import UTC, datetime

    now = datetime(2015, 10, 21, 7, 27, 30, tzinfo=UTC)
    assert waiting.asked_wait({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, now) == 30


def test_a_key_that_is_said_back_in_another_spelling_is_taken_out_too(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "sk-very/secret")
    with FaultServer() as server:
        server.answer = lambda body: json.dumps(reply("you are sk-very/secret")).replace("/", "\\/").encode()
        [found] = client(server, key_env="SOME_KEY").ask([said(1)])
        assert found.text == "you are [SOME_KEY]"


def test_what_was_refused_before_does_not_keep_the_rest_from_being_asked(quick):
    """Four questions are too long; the next run has answers to the others and asks the four, and ten more."""
    kept = Kept()
    with FaultServer(
        lambda tries, body, random: "400 long" if any(f"{n:08x}" in str(body) for n in range(4)) else ""
    ) as server:
        bodies = [said(n) for n in (*range(4, 20), *range(4))]
        assert [one.state for one in client(server, kept).ask(bodies)].count("failed") == 4
        again = client(server, kept).ask([said(n) for n in range(30)])
        assert [one.state for one in again].count("failed") == 4 and [one.state for one in again].count("ok") == 26
        server.plan = lambda tries, body, random: "500" if f"{0:08x}" in str(body) else ""
        assert client(server, kept).ask([said(0), said(5)])[0].state == "failed"  # it answered the other one before


def test_of_two_who_ask_the_same_the_first_reply_counts_for_both():
    class Quicker(Kept):
        def put(self, key, body):
            return reply("what the other one heard")

    with FaultServer() as server:
        [found] = client(server, Quicker()).ask([said(1)])
        assert found.text == "what the other one heard"
