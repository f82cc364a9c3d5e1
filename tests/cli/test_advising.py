"""`preferably advise` as typed."""

import json
import sys

import pytest
import yaml
from typer.testing import CliRunner

from preferably.cli.main import app
from preferably.pipeline.plan import read_align


@pytest.fixture
def desk(tmp_path, monkeypatch):
    pairs = [{"prompt": f"{one} {two}? ", "chosen": "yes", "rejected": "no no"} for one in "abc" for two in range(12)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
    shown = [{"prompt": f"shown {at}? ", "completion": "yes"} for at in range(20)]
    (tmp_path / "shown.jsonl").write_text("".join(json.dumps(row) + "\n" for row in shown))
    (tmp_path / "held.jsonl").write_text('{"prompt": "held u"}\n{"prompt": "held v"}\n')
    (tmp_path / "rules.py").write_text(
        "def score(prompts, completions):\n    return [-len(text) for text in completions]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def typed(*arguments, says=None):
    return CliRunner().invoke(app, ["advise", *map(str, arguments)], input=says)


def test_from_data_and_model_to_a_file_that_align_takes(desk, tiny_model_directory, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["preferably", "advise"])
    asked = [
        "--data", "pairs.jsonl", "--model", tiny_model_directory, "--prompts", "held.jsonl", "--want", "limited",
        "--judge", "rules.py:score", "--asked", 8, "--device", "cpu",
    ]  # fmt: skip
    bare = typed(*asked, "--no-cost", "--write", "align.yaml")
    assert bare.output.startswith("Fine-tune first; then: ")
    assert "To fine-tune, you need demonstrations." in " ".join(bare.output.split())
    assert bare.exit_code != 0 and "align.yaml was not written" in str(bare.exception)
    done = typed(*asked, "--data", "shown.jsonl", "--json", "told.json", "--write", "align.yaml")
    assert done.exit_code == 0, done.output
    lines = [line.rstrip() for line in done.output.splitlines()]
    assert max(map(len, lines)) <= 80
    for title in ("What was found", "First", "Why", "What it takes", "Other roads", "What would change this"):
        assert title in lines
    assert lines[0].startswith("Fine-tune first; then: ") and "36 rows read, 36 used" in done.output
    assert lines[-1].endswith("preferably align align.yaml --dry-run")
    told = json.loads((desk / "told.json").read_text())
    assert told["situation"]["pairs"] == 36 and told["situation"]["function"] and told["data"]["pairs"]["groups"] == 36
    assert told["first"][0]["rule"] == "not-ready" and told["road"] == "dpo-own"  # 36 pairs are too few beside a rule
    cost, later = told["costs"]
    assert all(one["seconds"] > 0 and one["memory"] > 0 for one in (cost, later)) and not cost["why"]
    assert later["why"].startswith("a round of ")  # a rule judges, and is asked nothing that costs
    written = yaml.safe_load((desk / "align.yaml").read_text())
    assert written["evaluate"] == {"judge": "rules.py:score"} and written["prompts"] == "held.jsonl"
    assert read_align(desk / "align.yaml").train[0].settings == {"learning_rate": 1e-4, "beta": 0.5}
    again = typed("--data", "pairs.jsonl", "--want", "limited", "--json", "told.json")
    assert "nothing is overwritten" in str(again.exception)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "pairs.jsonl"], "--want production|research|limited|explain"),
        (["--data", "pairs.jsonl", "--want", "fame"], "got 'fame'"),
        (["--want", "research", "--write", "align.yaml"], "--write needs --model"),
        (["--data", "none.jsonl", "--want", "research"], "none.jsonl does not exist"),
        (["--want", "research", "--judge", "people"], "people are given as --data"),
    ],
)
def test_what_is_missing_is_named(desk, arguments, said):
    done = typed(*arguments)
    assert done.exit_code != 0 and said in str(done.exception)


def test_at_a_terminal_it_asks(desk, monkeypatch):
    monkeypatch.setattr("preferably.cli.advising._somebody_is_there", lambda: True)
    done = typed("--data", "pairs.jsonl", says="7\n4\n\n")
    assert done.exit_code == 0, done.output
    assert "3  limited: as little computing as will do" in done.output and done.output.count("1 to 4 >") == 2
    assert "Collect more first; then: A reward model on the pairs" in done.output and "want explain" in done.output


def test_data_that_would_be_refused_is_no_step_to_a_file(desk):
    (desk / "held.jsonl").write_text('{"prompt": "a 0? "}\n')
    done = typed("--data", "pairs.jsonl", "--prompts", "held.jsonl", "--want", "research")
    assert done.exit_code == 0 and done.output.startswith("Mend the data and collect more first; then: ")
    assert "Held-out rows that ask what is trained on" in " ".join(done.output.split())
    assert "next  do what stands under First" in done.output and "--write" not in done.output


def test_with_nothing_it_says_where_feedback_comes_from(desk):
    done = typed("--want", "research")
    assert done.exit_code == 0 and done.output.startswith("Gather feedback.\n")
    assert "preferably label serve" in done.output and "if there were a judge, and prompts to ask" in done.output
