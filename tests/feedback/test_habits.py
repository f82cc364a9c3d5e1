"""How a labeler works, from judgments that are made up one by one."""

import pytest

from preferably.feedback.habits import habits_of, leaning, reading_seconds
from preferably.feedback.questions import Said
from preferably.feedback.records import Completion, Group, Message, Preference, Ranking

TEXTS = ("one two three four", "one two three four five six seven eight")


def group(number=0, texts=TEXTS):
    made = tuple(Completion((Message("assistant", text),)) for text in texts)
    return Group((Message("user", f"question {number} is this"),), made)


def said(choice, order=(0, 1), **more):
    return Said(group(), Preference(choice, labeler="ada", order=order), **more)


def test_sides_and_lengths():
    own = [said(0), said(0, (1, 0)), said(1), said(1, (1, 0)), said(1, shown=False), said("tie"), said("unsure")]
    found = habits_of(own)
    assert (found.first.share.value, found.first.share.n) == (0.5, 4)  # 0 of (0, 1), 1 of (1, 0); not where unknown
    assert (found.longer.share.value, found.longer.share.n) == (0.6, 5)
    assert (found.undecided.value, found.undecided.n) == (2 / 7, 7)
    assert found.seconds is None and found.too_fast is None


def test_completions_of_one_length_say_nothing_of_lengths():
    assert habits_of([Said(group(texts=("abc", "abd")), Preference(0, labeler="ada"))]).longer is None


def test_the_test_is_the_exact_one():
    """Nine or more of ten, or one or fewer: 2 (1 + 10) / 1024."""
    assert leaning(9, 10).p == pytest.approx(22 / 1024) and leaning(5, 10).p == 1 and leaning(0, 0) is None


def test_a_run_is_of_places_on_the_page():
    own = [said(at % 2, (at % 2, 1 - at % 2)) for at in range(8)]  # always the first one shown
    found = habits_of([*own, said(0, (1, 0))])
    assert (found.run.length, found.run.n) == (8, 9)
    # of 2^9 throws of a coin, 2 x 2 have 8 running and 2 have 9
    assert found.run.p == pytest.approx(6 / 2**9)
    assert habits_of([Said(group(), Ranking((1, 2), labeler="ada"))]).run is None


def test_what_nobody_reads_so_fast():
    """Four words of a prompt, four and eight of completions: 16 words, at 1,000 a minute 0.96 seconds."""
    assert reading_seconds(group()) == pytest.approx(0.96)
    found = habits_of([said(0, seconds=0.9), said(0, seconds=1.0), said(0, seconds=30.0), said(0)])
    assert (found.too_fast.value, found.too_fast.n, found.seconds) == (1 / 3, 3, 1.0)
