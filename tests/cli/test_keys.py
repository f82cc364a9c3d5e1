"""A key in the environment goes to its server, and into no file, no output and no line of a log."""

import json
import re

from fault_server import MARK, FaultServer, reply
from typer.testing import CliRunner

from preferably.cli.main import app
from preferably.errors import PreferablyError

CANARY = "sk-canary-7f3a91"


def says_it_back(body):
    """A verdict, with the key in all that a server can say beside it."""
    mark = MARK.search(body["messages"][0]["content"])
    said = {"mark": mark[1], "reason": f"You sent {CANARY}.", "better": "A"} if mark else {"key": CANARY}
    return reply(json.dumps(said)) | {"model": f"judge for {CANARY}", "id": CANARY}


def test_a_key_is_in_no_file_no_output_and_no_log(tmp_path, monkeypatch, caplog, tiny_model_directory):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CANARY_KEY", CANARY)
    caplog.set_level("DEBUG")
    rows = [{"prompt": f"{n}? ", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(3)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    told = []

    def preferably(*arguments):
        found = CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "160"})
        told.append(found.output + repr(found.exception))
        return found

    with FaultServer(answer=says_it_back) as server:
        (tmp_path / "judge.yaml").write_text(
            f"server: {server.url}\nmodel: big\nkey_env: CANARY_KEY\nreasons: true\n", encoding="utf-8"
        )
        judge = ("--judge", "judge.yaml")
        commands = (
            ("judge", "run", "pairs.jsonl", *judge, "--store", "people.db"),
            ("judge", "audit", "pairs.jsonl", *judge, "--output", "audit.json"),
            ("evaluate", "--model", tiny_model_directory, "--against", tiny_model_directory, "--data", "pairs.jsonl",
             *judge, "--output", "run", "--max-tokens", 8, "--device", "cpu"),
        )  # fmt: skip
        for command in commands:
            found = preferably(*command)
            assert found.exit_code == 0, told[-1]
        assert {one.headers["authorization"] for one in server.seen} == {f"Bearer {CANARY}"}
        server.plan = lambda *_: "401 leak"
        asks = (tmp_path / "judge.yaml").read_text(encoding="utf-8")
        (tmp_path / "judge.yaml").write_text(f"{asks}rubric: Another question.\n", encoding="utf-8")
        for command in commands:
            found = preferably(*command)
            assert isinstance(found.exception, PreferablyError), told[-1]
            assert "who is Bearer [CANARY_KEY]" in str(found.exception)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"people.db", "audit.json", "win_rate.json"} <= {file.name for file in files}
    assert [file.name for file in files if CANARY.encode() in file.read_bytes()] == []
    assert CANARY not in "".join(told) and CANARY not in caplog.text and "Bearer [CANARY_KEY]" in caplog.text
    assert re.search(r"\[CANARY_KEY\]", (tmp_path / "people.db").read_bytes().decode("utf-8", "replace"))
