"""`preferably judge run`, `audit` and `constitution`, as commands against a server on this machine."""

import json
import re

import pytest
from fault_server import MARK, FaultServer, reply
from typer.testing import CliRunner

from preferably.cli.main import app
from preferably.feedback.store.store import Store

ROWS = [
    {
        "prompt": [{"role": "user", "content": f"Question {n}?"}],
        "chosen": [{"role": "assistant", "content": f"good {n}" + " more" * (n % 3)}],
        "rejected": [{"role": "assistant", "content": f"bad {n}" + " more" * (2 - n % 3)}],
    }
    for n in range(30)
]


def shows(body):
    mark = MARK.search(body["messages"][0]["content"])
    text = body["messages"][-1]["content"]
    return mark and mark[1], re.findall(r"--- reply ([AB]) \w+\n(.*?)\n--- end", text, re.DOTALL)


def fair(body):
    """Prefers what is good; between others, the first."""
    mark, found = shows(body)
    if "Say in a few" in body["messages"][0]["content"]:
        return reply("It could be kinder.")
    if "Write the reply anew" in body["messages"][0]["content"]:
        return reply("A kind reply.")
    if not found:
        return reply("no")
    return reply(json.dumps({"mark": mark, "better": next((letter for letter, text in found if "good" in text), "A")}))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return tmp_path


def preferably(*arguments):
    found = CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "160"})
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


def flat(text):
    return " ".join(text.split())


def test_run_fills_the_store_and_goes_on_where_it_ended(folder):
    with FaultServer(answer=fair) as server:
        asked = ("judge", "run", "pairs.jsonl", "--server", server.url, "--model", "big")
        found = preferably(*asked)
        assert found.exit_code == 0 and "60 questions: 60 ok, 0 invalid, 0 refused, 0 failed" in flat(found.output)
        assert "the same verdict on 100% of 30 pairs" in flat(found.output)
        assert "no structured output" in found.output and "62 requests" in found.output
        again = preferably(*asked)
        assert "60 had been answered before" in flat(again.output) and len(server.seen) == 62
    with Store(folder / "preferably.db") as store:
        kept = list(store.entries())
        assert len(kept) == 60 and {one.labeler_kind for one in kept} == {"model"}
        assert all("good" in one.group.completions[one.judgment.choice].text for one in kept)


def test_what_failed_is_told_and_leaves_with_an_error(folder):
    (folder / "judge.yaml").write_text("server: URL\nmodel: big\nschema: no\nlogprobs: no\n", encoding="utf-8")
    with FaultServer(answer=fair) as server:
        server.plan = lambda tries, body, random: "400 long" if "Question 7?" in str(body) else ""
        (folder / "judge.yaml").write_text(
            f"server: {server.url}\nmodel: big\nschema: no\nlogprobs: no\n", encoding="utf-8"
        )
        found = preferably("judge", "run", "pairs.jsonl", "--judge", "judge.yaml", "--store", "other.db")
        assert found.exit_code == 1 and "58 ok, 0 invalid, 0 refused, 2 failed" in flat(found.output)
        assert "context length" in found.output and "asks them again" in found.output


def test_audit_says_what_the_judge_is_worth(folder):
    with FaultServer(answer=fair) as server:
        found = preferably("judge", "audit", "pairs.jsonl", "--server", server.url, "--model", "big",
                           "--output", "audit.json")  # fmt: skip
        asked = len(server.seen)
        again = preferably("judge", "audit", "pairs.jsonl", "--server", server.url, "--model", "big")
        assert found.exit_code == again.exit_code == 0 and len(server.seen) == asked  # replies are kept
    told = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    assert told["agreement"] == 1.0 and told["judge"] == "big" and told["schema"] == 1
    assert {one["name"] for one in told["findings"]} >= {"agreement", "order", "orders", "constants", "verdicts"}
    assert "100%" in found.output and told["verdict"] in flat(found.output)
    [one] = told["judged_by"]
    assert (one["model"], one["requests"]) == ("big", asked) and one["tokens"] == 110 * asked
    assert f"big at {one['server']}: {asked:,} requests, {110 * asked:,} tokens" in flat(found.output)
    assert "no structured output" in found.output and "0 requests, 0 tokens" in again.output


def test_audit_looks_at_any_judge(folder):
    (folder / "mine.py").write_text("def longer(prompts, completions):\n    return [len(one) for one in completions]\n",
                                    encoding="utf-8")  # fmt: skip
    found = preferably("judge", "audit", "pairs.jsonl", "--judge", "mine.py:longer")
    assert found.exit_code == 0 and "agreement" in found.output


def test_a_constitution_compares_and_revises(folder):
    (folder / "kind.yaml").write_text(
        "name: kind\nversion: 2\nprinciples:\n- {id: warm, text: Be warm.}\n", encoding="utf-8"
    )
    with FaultServer(answer=fair) as server:
        where = ("--server", server.url, "--model", "big")
        found = preferably("judge", "constitution", "kind.yaml", "pairs.jsonl", *where, "--limit", 5)
        assert found.exit_code == 0 and "10 questions: 10 ok" in flat(found.output)
        with Store(folder / "preferably.db") as store:
            assert {one.principle for one in store.entries()} == {"kind/2/warm"}
        found = preferably(
            "judge", "constitution", "kind.yaml", "pairs.jsonl", *where, "--limit", 5, "--output", "sft.jsonl"
        )
        assert found.exit_code == 0 and "5 rows written to sft.jsonl" in flat(found.output)
    rows = [json.loads(line) for line in (folder / "sft.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["chosen"][0]["content"] for row in rows} == {"A kind reply."} and rows[0]["principles"] == [
        "kind/2/warm"
    ]
    assert rows[0]["critiques"] == ["It could be kinder."]


@pytest.mark.parametrize(("arguments", "told"), [
    (("run", "pairs.jsonl"), "Which judge"), (("run", "pairs.jsonl", "--server", "x", "--model", "m"), "no URL"),
    (("run", "pairs.jsonl", "--server", "http://127.0.0.1:1/v1", "--model", "m", "--ask", "thumbs"), "--ask is"),
    (("run", "pairs.jsonl", "--server", "http://127.0.0.1:1/v1", "--model", "m"), "cannot be connected to"),
    (("run", "none.jsonl", "--server", "http://127.0.0.1:1/v1", "--model", "m"), "none.jsonl"),
    (("run", "pairs.jsonl", "--judge", "none.yaml"), "none.yaml"),
    (("audit", "pairs.jsonl", "--judge", "somebody"), "no judge"),
    (("run", "pairs.jsonl", "--judge", "a.yaml", "--model", "m"), "either"),
])  # fmt: skip
def test_what_cannot_be_done_is_one_error(folder, arguments, told):
    from preferably.errors import PreferablyError

    with pytest.raises(PreferablyError, match=told):
        preferably("judge", *arguments)


def test_an_audit_of_a_store_holds_a_judge_against_people_alone(folder):
    from preferably.errors import DataError

    with FaultServer(answer=fair) as server:
        where = ("--server", server.url, "--model", "big")
        preferably("judge", "run", "pairs.jsonl", *where)
        with pytest.raises(DataError, match="nothing to judge"):
            preferably("judge", "audit", "preferably.db", *where)
        preferably("label", "import", "pairs.jsonl", "--store", "preferably.db")
        found = preferably("judge", "audit", "preferably.db", *where)
    assert "agreement with people on 30 pairs" in flat(found.output)
