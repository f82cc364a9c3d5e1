"""A judge of two as a reward: the share of the others that each completion beats."""

import numpy as np
import pytest
import torch

from preferably.errors import ConfigError
from preferably.feedback.records import Completion, Group, Message, Preference
from preferably.judging.contest import judge_by_function, shares_won
from preferably.judging.judge import both_orders
from preferably.judging.parts import judge_named, reward_parts

RULES = """
asked = []


def longer(prompts, pairs, level=(0,)):
    asked.append((list(prompts), list(pairs), list(level)))
    return ["tie" if len(a) == len(b) else int(len(b) > len(a)) for a, b in pairs]


def first(prompts, pairs):
    return [0 for _ in pairs]


def needs(prompts, pairs, level):
    return [None for _ in pairs]
"""


def group(*texts, columns=""):
    completions = tuple(Completion((Message("assistant", text),)) for text in texts)
    return Group((Message("user", "hello?"),), completions, columns=columns)


def longer(prompts, pairs):
    return ["tie" if len(a) == len(b) else int(len(b) > len(a)) for a, b in pairs]


def test_each_completion_gets_the_share_of_the_others_that_it_beats():
    groups = [group("a", "aaa", "aa"), group("x", "yy"), group("mm", "nn")]
    assert shares_won(judge_by_function(longer), groups) == [0.0, 1.0, 0.5, 0.0, 1.0, 0.5, 0.5]


def test_equal_texts_tie_without_asking_and_one_alone_has_no_score():
    def never(prompts, pairs):
        assert all(a != b for a, b in pairs)
        return longer(prompts, pairs)

    assert shares_won(judge_by_function(never), [group("a", "a", "bb"), group("c")]) == [0.25, 0.25, 1.0, None]
    assert shares_won(judge_by_function(never), [group("a", "a")]) == [0.5, 0.5]


def test_comparisons_without_a_verdict_are_left_out():
    def cannot(prompts, pairs):
        return [None if "?" in a + b else 0 for a, b in pairs]

    assert shares_won(judge_by_function(cannot), [group("a", "?"), group("a", "b")]) == [None, None, 1.0, 0.0]
    assert shares_won(judge_by_function(cannot), [group("a", "b", "?")]) == [1.0, 0.0, None]


def test_unsure_and_both_bad_are_half_a_win():
    def judge(groups):
        return [Preference("unsure"), Preference("both_bad")]

    assert shares_won(judge, [group("a", "b"), group("a", "b")]) == [0.5] * 4


def test_a_judge_that_goes_by_the_order_teaches_nothing():
    judge = judge_by_function(lambda prompts, pairs: [0 for _ in pairs])
    assert shares_won(judge, [group("a", "b")]) == [1.0, 0.0]
    assert shares_won(both_orders(judge), [group("a", "b")]) == [0.5, 0.5]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([0], "gave 1 results; expected 0, 1, 'tie' or None for each of 2 pairs"),
        ([0, 2], "gave 2; expected 0, 1, 'tie' or None"),
        ([0, 0.9], "gave 0.9"),
        ([True, 0], "gave True"),
        (["a", 0], "gave 'a'"),
        (None, "gave a NoneType; expected 0, 1, 'tie' or None for each of 2 pairs"),
        (torch.tensor([True, False]), "gave tensor"),
        (np.array([0.0, 1.0]), "gave np.float64"),
    ],
)
def test_answers_of_another_form_are_named(answers, message):
    with pytest.raises(ConfigError, match=message):
        judge_by_function(lambda prompts, pairs: answers)([group("a", "b"), group("a", "b")])


@pytest.mark.parametrize("answers", [np.array([1, 0]), torch.tensor([1, 0]), iter([1, 0])])
def test_numbers_of_numpy_and_torch_and_iterators_will_do(answers):
    judge = judge_by_function(lambda prompts, pairs: answers)
    assert [said.choice for said in judge([group("a", "b"), group("a", "b")])] == [1, 0]


def test_what_a_judge_raises_is_told():
    def breaks(prompts, pairs):
        raise ValueError("no key")

    def stops(prompts, pairs):
        yield 0
        raise ValueError("no key")

    def refuses(prompts, pairs):
        raise ConfigError("Set the key.")

    with pytest.raises(ConfigError, match="The judge breaks raised ValueError: no key"):
        judge_by_function(breaks)([group("a", "b")])
    with pytest.raises(ConfigError, match="The judge stops raised ValueError: no key"):
        judge_by_function(stops)([group("a", "b")])
    with pytest.raises(ConfigError, match="^Set the key.$"):
        judge_by_function(refuses)([group("a", "b")])


def test_a_judge_is_told_from_a_module_that_is_called_judge():
    assert judge_named("judge:rules.py:longer") == "rules.py:longer" == judge_named("judge: rules.py:longer")
    assert judge_named("judge:score") is None is judge_named("rules.py:judge")


def test_as_a_part_it_is_asked_in_both_orders_with_a_column_a_pair(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "contest_rules.py").write_text(RULES)
    (part,) = reward_parts(["2*judge:contest_rules.py:longer"])
    assert part.compares and part.weight == 2 and part.takes == {"level": False}
    assert part.score([group("a", "bb", columns='{"level": 7}')]) == [0.0, 1.0]
    from preferably.functions import load_function

    asked = load_function("contest_rules.py:longer").__globals__["asked"]
    assert asked == [(["hello?"] * 2, [("a", "bb"), ("bb", "a")], [7, 7])]
    (part,) = reward_parts(["judge:contest_rules.py:first"])
    assert part.score([group("a", "b")]) == [0.5, 0.5]
    (part,) = reward_parts(["judge:contest_rules.py:needs"])
    assert part.takes == {"level": True} and part.score([group("a", "b")]) == [None, None]
