import doctest
import itertools
import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preferably.errors import ConfigError, DataError
from preferably.evaluation import readiness as module
from preferably.evaluation.readiness import Limits, pass_at_k, readiness
from preferably.feedback.records import Group, Message

LOOP = "I am sorry. " * 12


def asked(n):
    return [Group((Message("user", f"prompt {i}"),)) for i in range(n)]


def check(prompts, completions):
    return [{"right": 1.0, "half": 0.5, "?": None}.get(text, 0.0) for text in completions]


def look(samples, finished=None, **more):
    finished = finished or [[True] * len(row) for row in samples]
    return readiness(asked(len(samples)), samples, finished, **more)


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(module).failed == 0


@given(n=st.integers(1, 7), data=st.data())
def test_pass_at_k_is_the_share_of_draws_that_hold_a_right_one(n, data):
    right, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    draws = list(itertools.combinations([True] * right + [False] * (n - right), k))
    assert pass_at_k(n, right, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_pass_at_k_is_exact_where_products_would_be_astronomic():
    assert pass_at_k(10_000, 1, 5_000) == 0.5
    assert pass_at_k(3, 3, 1) == 1.0 and pass_at_k(3, 0, 3) == 0.0


@pytest.mark.parametrize("arguments", [(3, 4, 1), (3, -1, 1), (3, 1, 0), (3, 1, 4), (0, 0, 1)])
def test_pass_at_k_refuses_what_is_undefined(arguments):
    with pytest.raises(ValueError):
        pass_at_k(*arguments)


def test_shares_by_hand():
    samples = [["fine", " \n", LOOP, "fine"], ["fine", "fine", "42", "fine"]]
    finished = [[True, True, False, True], [True, True, True, False]]
    result = look(samples, finished, wanted=r"fine|sorry.*")
    assert (result.prompts, result.replies) == (2, 8)
    assert (result.unfinished, result.empty, result.looping) == (2 / 8, 1 / 8, 1 / 8)
    assert result.off_format == 3 / 8  # the empty one, the loop (it does not begin with sorry) and 42
    assert look(samples, finished, wanted=lambda text: text == "42").off_format == 7 / 8
    assert result.pass_at == {} and result.unjudged == 0


def test_pass_at_k_over_prompts_leaves_out_what_is_unjudged():
    samples = [["right", "wrong"], ["right", "?"], ["?", "?"], ["wrong", "wrong"]]
    result = look(samples, check=check, k=(2, 1))
    assert list(result.pass_at) == [1, 2]
    assert result.pass_at[1] == pytest.approx((0.5 + 1 + 0) / 3)
    assert result.pass_at[2] == pytest.approx((1 + 0) / 2)  # only two prompts have two judged replies
    assert result.unjudged == 3
    assert look([["?"]], check=check).pass_at == {1: None}
    assert look([["half"]], check=check).pass_at == {1: 0.0}
    assert look([["half"]], check=check, threshold=0.5).pass_at == {1: 1.0}


def test_a_good_model_is_ready():
    result = look([["right", "wrong"]] * 5, check=check, k=(1, 2), held_out_loss=1.25)
    assert result.ready and result.verdict == "ready" and result.reasons == ()


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (look([["fine"] * 50] * 2, [[False] * 31 + [True] * 19] * 2), "62% of replies never end"),
        (look([["fine"] * 9 + [" "]]), "10% of replies are empty"),
        (look([["fine"] * 8 + [LOOP] * 2]), "20% of replies repeat themselves"),
        (look([["fine"] * 2 + ["x"]], wanted="fine"), "33% of replies are not in the format"),
        (look([["wrong"] * 4] * 24 + [["right", "wrong", "wrong", "wrong"]], check=check, k=(1, 4)), "best of 4 .* 4%"),
        (look([["wrong"]] * 3, check=check), "one reply is right on only 0% of prompts"),
        (look([["wrong"]] * 299 + [["right"]], check=check), "only under 1% of prompts"),
        (look([["fine"]], held_out_loss=math.nan), "not a finite number"),
        (look([["?"] * 4] * 3, check=check, k=(1, 4)), "the checker gave no score to 12 of 12 replies"),
        (look([["right", "?"]] * 3, check=check, k=(1, 2)), "gave no score to 3 of 6 replies"),
    ],
)
def test_what_stands_in_the_way_is_said_in_plain_words(result, said):
    assert not result.ready and len(result.reasons) == 1
    assert result.verdict.startswith("fine-tune first: ") and re.search(said, result.verdict)


def test_limits_are_reached_only_when_passed_and_can_be_set():
    at = look([["fine"] * 4 + [LOOP]] * 4, [[True] * 4 + [False]] * 4, limits=Limits(looping=0.2))
    assert at.unfinished == at.looping == 0.2 and at.ready
    assert not look([["fine"] * 4 + [LOOP]] * 4, limits=Limits(looping=0.19)).ready


def test_several_reasons_stand_in_one_verdict():
    result = look([[LOOP, ""]], [[False, True]], check=check)
    assert len(result.reasons) == 4 and result.verdict.count(";") == 3


def test_the_json_is_json():
    result = look([["right", LOOP]], check=check, k=(1, 2), wanted=".*", held_out_loss=math.inf)
    stored = result.as_json()
    assert stored == json.loads(json.dumps(stored, allow_nan=False))
    assert stored["schema"] == 1 and stored["pass_at"] == {"1": 0.5, "2": 1.0} and stored["held_out_loss"] is None
    assert (
        stored["verdict"] == result.verdict and stored["reasons"] == list(result.reasons) and stored["ready"] is False
    )
    assert stored["limits"]["unfinished"] == 0.2 and stored["looping"] == 0.5 and stored["off_format"] == 0.0
    assert look([["fine"]], held_out_loss=1.5).as_json()["held_out_loss"] == 1.5


@pytest.mark.parametrize(
    ("samples", "finished"), [([], []), ([[]], [[]]), ([["a"]], [[True, True]]), ([["a"]], [[True], [True]])]
)
def test_replies_and_endings_that_do_not_match_are_refused(samples, finished):
    with pytest.raises(DataError):
        readiness(asked(len(samples)), samples, finished)


@pytest.mark.parametrize("k", [(0,), (3,), (1, 5)])
def test_a_k_beyond_the_samples_is_refused(k):
    with pytest.raises(ConfigError, match="k from 1 to 2"):
        look([["a", "b"], ["a"]], check=check, k=k)


def test_a_bad_pattern_and_a_bad_checker_are_told():
    with pytest.raises(ConfigError, match="not a regular expression"):
        look([["a"]], wanted="(")
    with pytest.raises(ConfigError, match="gave 0 results"):
        look([["a"]], check=lambda prompts, completions: [])
