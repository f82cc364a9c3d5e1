"""The page of a run that goes on: from nothing to its end, over rewinds and half-written lines; for this machine."""

import http.client
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from preferably.errors import ConfigError
from preferably.reporting.live import Live, state_of
from preferably.reporting.server import loopback, server_of


def words(state: dict[str, Any], part: str = "status") -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", state["parts"][part]).split())


def begin(fake: ModuleType, run: Path, *, steps: int, total: int = 40, state: str = "running") -> Path:
    run.mkdir(exist_ok=True)
    (run / "config.yaml").write_text("method: dpo\nmodel: m\n")
    fake.write_json(run / "status.json", {"schema": 1, "state": state, "step": 0, "total_steps": total, "reason": ""})
    fake.write_lines(run / "metrics.jsonl", fake.dpo_metrics(total, every=10)[: steps + 1])
    fake.write_lines(run / "timing.jsonl", [{"step": step, "seconds": 0.5} for step in range(1, steps + 1)])
    fake.write_lines(
        run / "policy_samples.jsonl",
        [{"step": step, "prompt": f"p{n}", "text": f"answer {n} at {step}"}
         for step in range(0, steps + 1, 10) for n in range(2)],
    )  # fmt: skip
    return run


# What is shown


def test_before_there_is_anything(tmp_path: Path) -> None:
    for run in (tmp_path, tmp_path / "not-made-yet"):
        state = state_of(run)
        assert f"Waiting. There is no run in {run} yet." in words(state)
        assert "None yet" in words(state, "figures") and "None yet" in words(state, "samples")
        assert "Nothing to draw yet" in words(state, "curves") and state["charts"] == {}


def test_while_it_runs(fake: ModuleType, tmp_path: Path) -> None:
    state = state_of(begin(fake, tmp_path / "run", steps=30))
    # 10 steps are left at half a second
    assert "Running. About 5.0 s left step 30 of 40 0.5 s a step 15 s so far" in words(state)
    assert 'class="done" width="75.00%"' in state["parts"]["status"]
    assert state["title"] == "75% · DPO · run"
    metrics = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert f"held-out loss 0.693 → {metrics[30]['eval_loss']:.3g}" in words(state, "figures")
    assert words(state, "warnings") == "None raised."
    drawn = [row for row in state["charts"]["loss"]["data"]["values"] if not row["held_out"]]
    assert [row["x"] for row in drawn] == list(range(1, 31))
    samples = words(state, "samples")
    assert (
        "the evaluation at step 30" in samples and "p0 before training answer 0 at 0 step 30 answer 0 at 30" in samples
    )
    assert "at 10" not in samples and "at 20" not in samples


def test_the_first_samples_stand_alone(fake: ModuleType, tmp_path: Path) -> None:
    samples = words(state_of(begin(fake, tmp_path / "run", steps=3)), "samples")
    assert "p1 step 0 answer 1 at 0" in samples and "before training" not in samples


@pytest.mark.parametrize(
    ("state", "reason", "told"),
    [
        ("finished", "", "Finished. step 30 of 40"),
        ("finished", "the held-out loss did not improve", "Finished: the held-out loss did not improve. step 30"),
        ("stopped", "asked to stop", "Stopped: asked to stop. The same command with --resume goes on with it."),
        ("stopped", "no better for 2 evaluations", "Stopped: no better for 2 evaluations. step 30 of 40"),
        ("failed", "out of memory.", "Failed: out of memory. step 30 of 40"),
        ("odd", "", "State not known: odd."),
    ],
)
def test_how_it_ended(fake: ModuleType, tmp_path: Path, state: str, reason: str, told: str) -> None:
    run = begin(fake, tmp_path / "run", steps=30)
    status = {"schema": 1, "state": state, "step": 30, "total_steps": 40, "reason": reason}
    fake.write_json(run / "status.json", status)
    shown = state_of(run)
    assert told in words(shown) and " left" not in words(shown)
    assert shown["title"] == f"{state} · DPO · run"


def test_a_run_that_fell_silent(fake: ModuleType, tmp_path: Path) -> None:
    run = begin(fake, tmp_path / "run", steps=5)
    assert "Running." in words(state_of(run, age=0))
    assert "Silent for 2 min 00 s." in words(state_of(run, age=2)) and "--resume" in words(state_of(run, age=2))
    fake.write_lines(run / "timing.jsonl", [{"step": 1, "seconds": 60.0}])  # 20 of its steps take 20 minutes
    assert "Running." in words(state_of(run, age=2)) and "Silent" in words(state_of(run, age=21))
    live = Live(run)
    past = time.time() - 1800
    for name in ("metrics.jsonl", "status.json"):
        os.utime(run / name, (past, past))
    assert "Silent for 30 min" in words(live.state())


def test_a_half_written_line_is_no_problem_and_a_broken_one_is(fake: ModuleType, tmp_path: Path) -> None:
    run = begin(fake, tmp_path / "run", steps=10)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 11, "lo')
    assert "step 10 of 40" in words(state_of(run)) and "cannot be read" not in words(state_of(run))
    with (run / "metrics.jsonl").open("a") as file:
        file.write('\n{"step": 12, "loss": 0.5}\n')
    state = state_of(run)
    assert "step 12 of 40" in words(state) and "metrics.jsonl: 1 line cannot be read" in words(state)


def test_a_rewind_is_followed(fake: ModuleType, tmp_path: Path) -> None:
    run, live = begin(fake, tmp_path / "run", steps=30), Live(tmp_path / "run")
    live._due = 0.0
    assert "step 30 of 40" in words(live.state())
    before = live.state()["version"]
    begin(fake, run, steps=12)
    live._due = 0.0
    assert "step 12 of 40" in words(live.state()) and live.state()["version"] != before
    begin(fake, run, steps=30)
    live._due = 0.0
    assert live.state()["version"] == before  # the same contents are the same version


def test_hostile_text_stays_text(hostile: Path, fake: ModuleType) -> None:
    rows = [{"step": 0, "prompt": attack, "text": attack} for attack in fake.ATTACKS]
    fake.write_lines(hostile / "policy_samples.jsonl", rows)
    state = state_of(hostile)
    everything = "".join(state["parts"].values())
    assert "<img" not in everything and "<script" not in everything and "&lt;img src=x" in everything
    assert "\u202e" not in everything and "U+202E" in everything
    json.dumps(state, allow_nan=False)  # what is sent is JSON


# Who is answered


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Any]:
    """`serving(run)` serves it and gives the port."""
    servers: list[ThreadingHTTPServer] = []

    def start(run: Path) -> int:
        server = server_of(run)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server.server_address[1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer, answer.read().decode()


def test_the_page_and_the_state(fake: ModuleType, serving: Any, tmp_path: Path) -> None:
    run = begin(fake, tmp_path / "run", steps=10)
    port = serving(run)
    answer, page = ask(port, "/")
    assert answer.status == 200 and answer.getheader("Content-Type") == "text/html; charset=utf-8"
    assert "connect-src 'self'" in page and "default-src 'none'" in page and "unsafe" not in page.split("<style>")[0]
    assert not re.search(r"\b(src|href)\s*=\s*[\"']?https?:", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))
    answer, body = ask(port, "/state?have=")
    state = json.loads(body)
    assert answer.status == 200 and "step 10 of 40" in words(state)
    assert answer.getheader("Cache-Control") == "no-store" and answer.getheader("Access-Control-Allow-Origin") is None
    answer, body = ask(port, f"/state?have={state['version']}")
    assert (answer.status, body) == (204, "")
    assert ask(port, "/config.yaml")[0].status == ask(port, "/../../etc/passwd")[0].status == 404
    head, body = ask(port, "/state", method="HEAD")
    assert head.status == 200 and body == "" and int(head.getheader("Content-Length") or 0) > 1000


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_it_is_read_only(fake: ModuleType, serving: Any, tmp_path: Path, method: str) -> None:
    run = begin(fake, tmp_path / "run", steps=2)
    before = {file: file.stat().st_mtime_ns for file in [run, *run.rglob("*")]}
    port = serving(run)
    assert ask(port, "/state", method=method)[0].status == 501
    ask(port, "/")
    ask(port, "/state")
    assert {file: file.stat().st_mtime_ns for file in [run, *run.rglob("*")]} == before


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("127.0.0.1:{port}", True), ("localhost:{port}", True), ("LOCALHOST", True), ("[::1]:{port}", True),
        ("localhost:9", True),  # a port that is forwarded from elsewhere
        ("evil.example:{port}", False), ("127.0.0.1.evil.example", False), ("localhost.evil.example:{port}", False),
        ("evil.example@127.0.0.1", False), ("127.0.0.1@evil.example", False), ("0.0.0.0:{port}", False), ("", False),
        ("[::1", False), ("192.168.0.7:{port}", False),
    ],
)  # fmt: skip
def test_only_loopback_names_are_answered(serving: Any, tmp_path: Path, host: str, answered: bool) -> None:
    port = serving(tmp_path)
    named = host.format(port=port)
    assert loopback(named) is answered
    for path in ("/", "/state"):
        answer, body = ask(port, path, Host=named)
        assert answer.status == (200 if answered else 403)
        assert answered or "run" not in body


def test_no_host_is_no_loopback() -> None:
    assert not loopback(None)


def test_it_listens_on_loopback_alone(tmp_path: Path) -> None:
    with server_of(tmp_path) as server:
        assert server.server_address[0] == "127.0.0.1"
        with pytest.raises(ConfigError, match=f"Cannot serve on port {server.server_address[1]} .*give another"):
            server_of(tmp_path, server.server_address[1])
    with pytest.raises(ConfigError, match=r"Cannot serve on port 70000 .*[^.]; give"):
        server_of(tmp_path, 70000)


# In a browser


def test_the_page_follows_the_run(fake: ModuleType, browser: Any, serving: Any, tmp_path: Path) -> None:
    """Opened before there is anything; it sees the run begin, go on, be rewound and end, and never reloads."""
    run = tmp_path / "run"
    window = browser()
    window.open(f"http://127.0.0.1:{serving(run)}/")
    window.wait("document.body.innerText.includes('There is no run in')")
    window.value("window.notReloaded = true")
    begin(fake, run, steps=12)
    window.wait("document.body.innerText.includes('step 12 of 40')")
    window.wait("document.querySelectorAll('[data-drawn]').length === 8")
    begin(fake, run, steps=30)
    window.wait("document.title === '75% · DPO · run'")
    window.wait("document.body.innerText.includes('answer 1 at 30')")
    begin(fake, run, steps=20)
    window.wait("document.body.innerText.includes('step 20 of 40')")
    begin(fake, run, steps=40, state="finished")
    fake.write_json(run / "status.json", {"schema": 1, "state": "finished", "step": 40, "total_steps": 40})
    window.wait("document.body.innerText.includes('Finished.')")
    window.wait("document.querySelectorAll('[data-drawn]').length === 8")
    assert window.value("window.notReloaded") is True
    assert window.console == []


def test_the_page_says_when_its_command_has_ended(fake: ModuleType, browser: Any, tmp_path: Path) -> None:
    server = server_of(begin(fake, tmp_path / "run", steps=10))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    window = browser()
    window.open(f"http://127.0.0.1:{server.server_address[1]}/")
    window.wait("document.body.innerText.includes('step 10 of 40')")
    assert window.value("document.getElementById('connection').textContent") == ""
    server.shutdown()
    server.server_close()
    window.wait(
        "document.getElementById('connection').textContent.includes('is it still running? What is below is of')"
    )
    assert window.value("document.body.innerText.includes('step 10 of 40')")  # what is known stays


@pytest.mark.parametrize("width", [390, 1200])
def test_hostile_runs_in_a_browser(hostile: Path, browser: Any, serving: Any, width: int) -> None:
    window = browser(width=width)
    window.open(f"http://127.0.0.1:{serving(hostile)}/")
    window.wait("document.body.innerText.includes('Failed')")
    window.wait("document.querySelectorAll('[data-chart]').length > 5")
    window.wait("document.querySelectorAll('[data-drawn]').length === document.querySelectorAll('[data-chart]').length")
    assert window.value("document.title") == "failed · DPO · run"
    assert window.value("document.querySelectorAll('img, main script').length") == 0
    root = "document.documentElement"
    assert window.value(f"{root}.scrollWidth") <= window.value(f"{root}.clientWidth")
    assert window.console == []
