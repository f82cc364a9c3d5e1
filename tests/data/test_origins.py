"""Who wrote a completion, and what a person made of one."""

import pytest

from preferably.data.accounting import Reject
from preferably.data.columns import Row
from preferably.data.formats import parse_row
from preferably.feedback.records import Origin, Preference


def read(wanted=None, **columns):
    row = Row(columns, wanted)
    return parse_row(columns, wanted, ("file", 1), row), row


@pytest.mark.parametrize(("columns", "names"), [
    ({"chosen": "a", "rejected": "b", "models": ["big", "small"]}, ["big", "small"]),
    ({"completions": ["a", "b", "c"], "ranks": [1, 2, 3], "models": ["x", None, "y"]}, ["x", None, "y"]),
    ({"response_a": "a", "response_b": "b", "winner": "model_a", "model_a": "x", "model_b": "y"}, ["x", "y"]),
    ({"output_1": "a", "output_2": "b", "preference": 2, "generator_1": "x", "generator_2": "y"}, ["x", "y"]),
    ({"chosen": "a", "rejected": "b"}, [None, None]),
])  # fmt: skip
def test_the_model_of_each_completion_is_known_where_the_row_says_it(columns, names):
    judged, row = read(prompt="p", **columns)
    assert [one.origin for one in judged.group.completions] == [Origin(name) if name else None for name in names]
    assert not row.unread()


@pytest.mark.parametrize(("models", "code"), [(["x"], "wrong_number"), ("x", "wrong_type"), ([1, 2], "wrong_type")])
def test_models_that_are_none_reject_the_row(models, code):
    found, _ = read(prompt="p", chosen="a", rejected="b", models=models)
    assert isinstance(found, Reject) and (found.field, found.code) == ("models", code)


def test_an_edit_is_preferred_to_what_it_was_made_of():
    judged, row = read(prompt="p", completion="a", edited="b", id="7")
    assert [one.text for one in judged.group.completions] == ["b", "a"] and judged.judgments == (Preference(0),)
    assert not row.unread() and read("demonstrations", prompt="p", completion="a", edited="b")[0] == judged
    assert read(instruction="i", output="a", edited="b")[0].group.completions[1].text == "a"


def test_what_was_left_as_it_was_is_no_comparison_and_no_fault():
    judged, _ = read(prompt="p", completion="a", edited="a ")
    assert not judged.judgments
