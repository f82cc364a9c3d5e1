import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preferably.statistics import repetition as module
from preferably.statistics.repetition import looping, repetition, words

SENTENCE = "You can exchange the blue lamp within thirty days if you still have the receipt from our shop in town."


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(module).failed == 0


def test_repetition_by_hand():
    assert repetition([1, 1, 1, 1, 1, 1]) == pytest.approx(2 / 3)  # three 4-grams, all the same
    assert repetition("a b a b a b", n=2) == pytest.approx(3 / 5)  # ab ba ab ba ab
    assert repetition([1, 2, 3]) == repetition([]) == repetition("") == 0.0
    assert repetition("no no", n=1) == 0.5
    with pytest.raises(ValueError):
        repetition([1], n=0)


@given(tokens=st.lists(st.integers(0, 3), max_size=60), n=st.integers(1, 5))
def test_it_is_one_less_distinct_over_total(tokens, n):
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens)) if i + n <= len(tokens)]
    expected = 1 - len(set(grams)) / len(grams) if grams else 0.0
    assert repetition(tokens, n) == pytest.approx(expected)
    assert repetition(tokens, n) == repetition([f"w{token}" for token in tokens], n)  # what a token is does not matter


def test_words_are_lower_case_and_cut_runs():
    assert words("Hello, World!! it's") == ["hello", ",", "world", "!!", "it", "'", "s"]
    assert words("ha" * 50) == list("ha" * 50)
    assert words("=" * 80) == ["=" * 80]


@pytest.mark.parametrize(
    "text",
    [
        "I am sorry. " * 12,
        SENTENCE * 3,
        "!" * 200,
        "你好吗" * 60,
        " ".join(f"word{i}" for i in range(300)) + " and so on" * 30,  # only the end loops
    ],
)
def test_loops_are_seen(text):
    assert looping(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no, no, no, no",
        SENTENCE,
        " ".join(f"word{i}" for i in range(300)),
        "\n".join(f"{i}. Bring item {i * 7} to the desk" for i in range(20)),
        f"Title\n{'=' * 60}\n{SENTENCE}",
    ],
)
def test_plain_replies_do_not_loop(text):
    assert not looping(text)


def test_token_ids_loop_like_words():
    assert looping([5, 6, 7] * 20) and not looping(list(range(60)))
    assert looping(list(range(20)) * 2, threshold=0.4) and not looping(list(range(20)) * 2, threshold=0.6)
