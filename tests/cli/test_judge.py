"""`preferably judge run`, `audit` and `constitution`, as commands against a server on this machine."""

import json
import re

import pytest
from fault_server import MARK, FaultServer, reply
from typer.testing import CliRunner

import preferably as preferably_
from preferably.cli.main import app
from preferably.data.comparable import comparable
from preferably.feedback.store.store import Store
from preferably.feedback.views import pairs
from preferably.judging.named import judge_of

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
        server.plan = lambda tries, body, random: (
            "400 long" if "Question 7?" in str(body) else "renamed" if "Question 9?" in str(body) else ""
        )
        (folder / "judge.yaml").write_text(
            f"server: {server.url}\nmodel: big\nschema: no\nlogprobs: no\n", encoding="utf-8"
        )
        found = preferably("judge", "run", "pairs.jsonl", "--judge", "judge.yaml", "--store", "other.db")
        assert found.exit_code == 1 and "58 ok, 0 invalid, 0 refused, 2 failed" in flat(found.output)
        assert "context length" in found.output and "asks them again" in found.output
        assert "judge: 56; judge-v2: 2" in flat(found.output)  # the model was changed on the way


def test_what_was_answered_where_the_judges_file_says_is_not_paid_for_again_in_another_store(folder):
    with FaultServer(answer=fair) as server:
        told = f"server: {server.url}\nmodel: big\nschema: no\nlogprobs: no\nreplies: replies.db\n"
        (folder / "judge.yaml").write_text(told, encoding="utf-8")
        judge = judge_of("judge.yaml")
        judge([one.group for one in comparable(["pairs.jsonl"])[0]])  # each as it stands
        found = preferably("judge", "run", "pairs.jsonl", "--judge", "judge.yaml", "--store", "other.db")
        assert "30 had been answered before" in flat(found.output) and len(server.seen) == 60


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


RULES = """
def longer(prompts, completions):
    return [None if text.startswith("bad 7") else len(text) for text in completions]


def first(prompts, pairs):
    return [0 for _ in pairs]
"""


def test_a_rule_writes_the_same_records_as_a_language_model(folder):
    """A score function sees no order, so it is asked once; what compares is shown both."""
    (folder / "rules.py").write_text(RULES, encoding="utf-8")
    for _ in range(2):  # the second time nothing is kept twice
        found = preferably("judge", "run", "pairs.jsonl", "--judge", "rules.py:longer")
        assert found.exit_code == 1 and "30 questions: 29 ok, 0 invalid, 0 refused, 1 failed" in flat(found.output)
    assert "29 had been answered before" in flat(found.output)
    found = preferably("judge", "run", "pairs.jsonl", "--judge", "judge:rules.py:first", "--limit", 5)
    assert found.exit_code == 0 and "the same verdict on 0% of 5 pairs" in flat(found.output)
    with Store(folder / "preferably.db") as store:
        kept = list(store.entries())
        learnt = pairs(store.judged())
    scored = [one for one in kept if one.judgment.labeler == "rules.py:longer"]
    both = [one for one in kept if one.judgment.labeler == "judge:rules.py:first"]
    assert {one.labeler_kind for one in kept} == {"rule"} and len(scored) == 29 and len(both) == 10
    for one in scored:
        lengths = [len(text.text) for text in one.group.completions]
        assert one.judgment.choice == (
            "tie" if lengths[0] == lengths[1] else 0 if lengths[0] > lengths[1] else 1
        ) and one.judgment.strength == abs(lengths[0] - lengths[1])  # fmt: skip
    assert [one.judgment.choice == one.judgment.order[0] for one in both] == [True] * 10 and all(
        one.shown for one in both
    )
    assert {one.judgment.order for one in both} == {(0, 1), (1, 0)} and learnt
    assert len({one.guideline for one in kept}) == 2


def test_rows_at_fault_are_let_pass_by_request_and_the_seed_of_an_order_is_kept(folder):
    from preferably.errors import DataError

    (folder / "rules.py").write_text(RULES, encoding="utf-8")
    (folder / "some.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*ROWS[:6], {"prompt": "x"}]))
    for command in (("run", "some.jsonl"), ("audit", "some.jsonl")):
        asked = ("judge", *command, "--judge", "judge:rules.py:first", "--seed", 7)
        with pytest.raises(DataError, match="1 of 7 rows .* --max-rejected 0.143"):
            preferably(*asked)
        more = ("--orders", "random") if command[0] == "run" else ()
        assert preferably(*asked, *more, "--max-rejected", 0.143).exit_code == 0
    with Store(folder / "preferably.db") as store:
        assert [one.seed for one in store.entries()] == [7] * 6


def test_a_reward_model_writes_them_too(folder, tiny_model_directory):
    rows = [{"prompt": f"{n}? ", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(4)]
    (folder / "plain.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    preferably_.train("reward", model=tiny_model_directory, data="plain.jsonl", output="rm", max_steps=1, held_out=0,
                      device="cpu")  # fmt: skip
    found = preferably("judge", "run", "plain.jsonl", "--judge", "rm")
    again = preferably("judge", "run", "plain.jsonl", "--judge", "rm")
    assert found.exit_code == 0 and "4 questions: 4 ok" in flat(found.output)
    assert "4 had been answered before" in flat(again.output)
    groups = [one.group for one in comparable(["plain.jsonl"])[0]]
    said = judge_of("rm")(groups)
    with Store(folder / "preferably.db") as store:
        kept = list(store.entries())
    assert {(one.labeler_kind, one.judgment.labeler, one.shown) for one in kept} == {("model", "rm", False)}
    liked = {group.completions[one.choice].text for group, one in zip(groups, said, strict=True)}
    assert {one.group.completions[one.judgment.choice].text for one in kept} == liked and len(liked) == 4


def test_a_reference_that_no_row_has_and_a_panel_with_two_are_one_error(folder):
    from preferably.errors import ConfigError

    with FaultServer(answer=fair) as server:
        text = f"server: {server.url}\nmodel: big\nschema: no\nlogprobs: no\nreference: answer\n"
        (folder / "one.yaml").write_text(text, encoding="utf-8")
        (folder / "two.yaml").write_text(text + "panel: [{}, {name: ben, reference: other}]\n", encoding="utf-8")
        for command in ("run", "audit"):
            with pytest.raises(ConfigError, match="'answer'"):
                preferably("judge", command, "pairs.jsonl", "--judge", "one.yaml")
            with pytest.raises(ConfigError, match="same reference"):
                preferably("judge", command, "pairs.jsonl", "--judge", "two.yaml")
        assert not server.seen


def test_a_panel_is_audited_as_one_and_its_members_are_kept_by_name(folder):
    """With a reference answer, which each member is shown; the audit's own probes have none."""
    rows = [row | {"answer": f"It is {n}."} for n, row in enumerate(ROWS[:6])]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with FaultServer(answer=fair) as server:
        (folder / "panel.yaml").write_text(
            f"server: {server.url}\nmodel: big\nschema: no\nlogprobs: no\nreference: answer\n"
            "panel: [{}, {model: small}]\n", encoding="utf-8",
        )  # fmt: skip
        found = preferably("judge", "run", "pairs.jsonl", "--judge", "panel.yaml")
        assert found.exit_code == 0 and flat(found.output).count("12 questions: 12 ok") == 2
        assert all("reference answer" in one.body["messages"][1]["content"] for one in server.seen)
        with Store(folder / "preferably.db") as store:
            assert sorted({one.judgment.labeler for one in store.entries()}) == ["big", "small"]
        asked = len(server.seen)
        found = preferably("judge", "audit", "pairs.jsonl", "--judge", "panel.yaml", "--output", "audit.json")
        shown = ["reference answer" in one.body["messages"][1]["content"] for one in server.seen[asked:]]
    told = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    assert told["judge"] == "big + small" and told["agreement"] == 1.0 and told["pairs"] == 6
    assert [one["model"] for one in told["judged_by"]] == ["big", "small"] and True in shown and False in shown


@pytest.mark.parametrize(("arguments", "told"), [
    (("run", "pairs.jsonl"), "Which judge"), (("run", "pairs.jsonl", "--server", "x", "--model", "m"), "no URL"),
    (("run", "pairs.jsonl", "--server", "http://127.0.0.1:1/v1", "--model", "m", "--ask", "thumbs"), "--ask is"),
    (("run", "pairs.jsonl", "--server", "http://127.0.0.1:1/v1", "--model", "m"), "cannot be connected to"),
    (("run", "none.jsonl", "--server", "http://127.0.0.1:1/v1", "--model", "m"), "none.jsonl"),
    (("run", "pairs.jsonl", "--judge", "none.yaml"), "none.yaml"),
    (("audit", "pairs.jsonl", "--judge", "somebody"), "no judge"),
    (("run", "pairs.jsonl", "--judge", "a.yaml", "--model", "m"), "either"),
    (("run", "pairs.jsonl", "--judge", "a.py:f", "--model", "m"), "either"),
    (("run", "pairs.jsonl", "--judge", "people"), "label queue"), (("run", "pairs.jsonl", "--judge", "a"), "no judge"),
    (("run", "pairs.jsonl", "--judge", "a.py:f", "--ask", "ranking"), "language models"),
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
