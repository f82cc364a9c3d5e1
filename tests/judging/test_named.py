"""Judges by name, and how each of them is asked."""

import json

import pytest
from fault_server import MARK, FaultServer, reply

from preferably.errors import ConfigError
from preferably.feedback.records import Completion, Group, Message
from preferably.judging.judge import inconsistencies
from preferably.judging.named import decided_by, judge_of

RULES = """
from preferably.feedback.records import Preference


def score(prompts, completions):
    return [float(len(one)) for one in completions]


def first(groups):
    return [Preference(0) for _ in groups]


def pairs(prompts, pairs):
    return [int(len(two) > len(one)) for one, two in pairs]


def odd(a, b, c):
    return []
"""


def group(*texts):
    return Group((Message("user", "?"),), tuple(Completion((Message("assistant", text),)) for text in texts))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.py").write_text(RULES, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(("name", "scores", "tied"), [
    ("rules.py:score", True, 0), ("rules.py:first", False, 2), ("judge:rules.py:pairs", False, 0),
])  # fmt: skip
def test_functions_are_told_apart_and_shown_both_orders_where_that_may_matter(folder, name, scores, tied):
    decides, score = decided_by(name)
    said = decides([group("a", "bbb"), group("ccc", "d")])
    assert (score is not None) == scores and inconsistencies(said) == tied
    if not tied:
        assert (
            [one.choice for one in said]
            == [1, 0]
            == [one.choice for one in judge_of(name)([group("a", "bb"), group("cc", "d")])]
        )


def test_a_language_model_keeps_its_replies_where_its_file_says(folder):
    def first(body):
        return reply(json.dumps({"mark": MARK.search(body["messages"][0]["content"])[1], "better": "A"}))

    with FaultServer(answer=first) as server:
        text = f"server: {server.url}\nmodel: big\nschema: no\nlogprobs: no\nreplies: kept.db\n"
        (folder / "judge.yaml").write_text(text, encoding="utf-8")
        for _ in range(2):
            decides, score = decided_by("judge.yaml")
            assert score is None and inconsistencies(decides([group("a", "b")])) == 1
            assert len(server.seen) == 2
    assert (folder / "kept.db").exists() and not (folder / "preferably.db").exists()


@pytest.mark.parametrize("name", ["nobody", "rules.py:odd", "rules.py:none"])
def test_what_names_no_judge_is_one_error(folder, name):
    with pytest.raises(ConfigError):
        decided_by(name)
