import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preferably.errors import ConfigError, DataError
from preferably.feedback.records import Completion, Group, Message, Preference
from preferably.judging.judge import (
    Inconsistent,
    asked_once,
    both_orders,
    inconsistencies,
    judge_by_score,
    preferences_of,
    scores_of,
)


def pair(first, second, prompt="p"):
    return Group(
        (Message("user", prompt),),
        tuple(Completion((Message("assistant", text),)) for text in (first, second)),
        ("data.jsonl", 7),
    )


def by_length(prompts, completions):
    return [None if text == "?" else len(text) for text in completions]


# Scores


@pytest.mark.parametrize("kind", [list, tuple, iter, np.array])
def test_whatever_holds_numbers_will_do(kind):
    assert scores_of(lambda prompts, completions: kind([1, 2.5]), ["p", "p"], ["a", "b"]) == [1.0, 2.5]


def test_what_is_no_judgment_becomes_none():
    given_ = [None, math.nan, math.inf, -math.inf, np.float32("nan"), True, 0]
    scores = scores_of(lambda prompts, completions: given_, ["p"] * 7, ["c"] * 7)
    assert scores == [None, None, None, None, None, 1.0, 0.0]


def raising(prompts, completions):
    raise KeyError("reward")


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (lambda prompts, completions: [1.0], "gave 1 results; expected one number or None for each of 2"),
        (lambda prompts, completions: [1.0] * 3, "gave 3 results"),
        (lambda prompts, completions: None, "gave a NoneType"),
        (lambda prompts, completions: 1.0, "gave a float"),
        (lambda prompts, completions: ["1", 2], "gave '1'"),
        (lambda prompts, completions: [[1], 2], r"gave \[1\]"),
        (lambda prompts, completions: "ab", "gave 'a'"),
        (raising, "raising raised KeyError: 'reward'"),
    ],
)
def test_a_score_function_that_does_something_else_is_told(score, said):
    with pytest.raises(ConfigError, match=said):
        scores_of(score, ["p", "p"], ["a", "b"])


def test_prompts_and_completions_must_match_and_none_are_not_asked():
    with pytest.raises(ValueError):
        scores_of(by_length, ["p"], [])
    assert scores_of(raising, [], []) == []


# Judging by score


def test_each_completion_of_a_prompt_is_asked_about_once():
    calls = []

    def score(prompts, completions):
        calls.append(list(zip(prompts, completions, strict=True)))
        return [float(len(text)) for text in completions]

    once = asked_once(score)
    assert scores_of(once, ["a", "a", "b"], ["xx", "xx", "xx"]) == [2.0, 2.0, 2.0]
    assert scores_of(once, ["b", "b"], ["xx", "y"]) == [2.0, 1.0] and scores_of(once, ["a"], ["xx"]) == [2.0]
    assert calls == [[("a", "xx"), ("b", "xx")], [("b", "y")]]
    with pytest.raises(ConfigError, match=r"^The score function few gave 1 results; expected one number or None"):

        def few(prompts, completions):
            return [1.0]

        scores_of(asked_once(few), ["a", "b"], ["x", "y"])


def test_the_higher_score_wins():
    judge = judge_by_score(by_length)
    answers = judge([pair("aaa", "b"), pair("a", "bb"), pair("a", "b"), pair("?", "b"), pair("a", "?"), pair("?", "?")])
    assert [answer.choice for answer in answers] == [0, 1, "tie", None, None, None]
    assert [answer.state for answer in answers] == ["ok"] * 3 + ["failed"] * 3
    assert answers[0] == Preference(0, 2.0, "by_length")
    assert judge([]) == []


@pytest.mark.parametrize(("margin", "choice"), [(0, 0), (1.9, 0), (2, "tie"), (5, "tie")])
def test_a_distance_within_the_margin_is_a_tie(margin, choice):
    (answer,) = judge_by_score(by_length, margin)([pair("aaa", "b")])
    assert answer.choice == choice


@pytest.mark.parametrize("margin", [-1, math.nan, math.inf])
def test_a_margin_that_means_nothing_is_refused(margin):
    with pytest.raises(ConfigError, match="margin"):
        judge_by_score(by_length, margin)


def test_prompts_arrive_as_a_person_reads_them_and_once_per_completion():
    asked = []

    def spy(prompts, completions):
        asked.append((prompts, completions))
        return [0.0] * len(prompts)

    judge_by_score(spy)([pair("a", "b", "one"), pair("c", "d", "two")])
    assert asked == [(["one", "one", "two", "two"], ["a", "b", "c", "d"])]


def test_a_group_that_is_not_a_pair_is_refused_with_its_place():
    one = Group((Message("user", "p"),), (), ("data.jsonl", 7))
    for judge in (judge_by_score(by_length), both_orders(judge_by_score(by_length))):
        with pytest.raises(DataError, match=r"group of 0 \(at data.jsonl:7\)"):
            judge([one])


# Both orders


def scripted(*choices):
    """A judge that says these, in the order in which it is asked; a state's name is a failure."""
    states = ("failed", "refused", "invalid")

    def judge(groups):
        assert len(groups) == len(choices)
        return [
            Preference(None, state=choice) if choice in states else Preference(choice, labeler="s")
            for choice in choices
        ]

    return judge


@pytest.mark.parametrize(
    ("first", "swapped", "choice", "state", "inconsistent"),
    [
        (0, 1, 0, "ok", 0),
        (1, 0, 1, "ok", 0),
        (0, 0, "tie", "ok", 1),  # always the first shown
        (1, 1, "tie", "ok", 1),
        ("tie", "tie", "tie", "ok", 0),
        ("both_bad", "both_bad", "both_bad", "ok", 0),
        (0, "tie", "tie", "ok", 1),
        ("tie", 1, "tie", "ok", 1),
        ("tie", "both_bad", "tie", "ok", 1),
        ("unsure", 1, "unsure", "ok", 0),
        (0, "unsure", "unsure", "ok", 0),
        (0, "failed", None, "failed", 0),
        ("failed", 1, None, "failed", 0),
        ("refused", "failed", None, "refused", 0),
        ("invalid", "tie", None, "invalid", 0),
        ("unsure", "failed", None, "failed", 0),
    ],
)
def test_both_orders_must_agree(first, swapped, choice, state, inconsistent):
    (answer,) = both_orders(scripted(first, swapped))([pair("a", "b")])
    assert (answer.choice, answer.state) == (choice, state)
    assert inconsistencies([answer]) == inconsistent == isinstance(answer, Inconsistent)


def test_an_inconsistent_answer_keeps_its_verdicts():
    (answer,) = both_orders(scripted(0, 0))([pair("a", "b")])
    assert [(one.choice, one.order) for one in answer.verdicts] == [(0, (0, 1)), (1, (1, 0))]
    assert isinstance(answer, Preference) and answer.labeler == "s"


def test_each_pair_is_shown_in_both_orders_in_one_call():
    shown = []

    def judge(groups):
        shown.append([tuple(completion.text for completion in group.completions) for group in groups])
        return [Preference("tie") for _ in groups]

    both_orders(judge)([pair("a", "b"), pair("c", "d")])
    assert shown == [[("a", "b"), ("c", "d"), ("b", "a"), ("d", "c")]]
    assert both_orders(judge)([]) == [] and len(shown) == 1


@given(st.lists(st.tuples(st.text("ab?", max_size=3), st.text("ab?", max_size=3)), max_size=8))
def test_a_judge_that_does_not_mind_the_order_is_left_as_it_is(texts):
    groups = [pair(*row) for row in texts]
    judge = judge_by_score(by_length)
    answers = both_orders(judge)(groups)
    assert answers == judge(groups) and inconsistencies(answers) == 0


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([], "gave 0 answers for 1 pairs"),
        ([0], "gave a int"),
        ([Preference(2)], "chose 2"),
        ([Preference(None)], "chose None"),
        ([Preference(1.0)], "chose 1.0"),
        ([Preference(True)], "chose True"),
        ([Preference("A")], "chose 'A'"),
    ],
)
def test_a_judge_that_breaks_its_contract_is_told(answers, said):
    with pytest.raises(ConfigError, match=said):
        preferences_of(lambda groups: answers, [pair("a", "b")])
