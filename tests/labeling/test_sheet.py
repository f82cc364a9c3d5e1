"""What a page shows of a task, and how an answer reads in a few words."""

import pytest

from preferably.labeling.differences import differences
from preferably.labeling.markdown import rendered
from preferably.labeling.project import project_of
from preferably.labeling.sheet import scale_of, verdict_of


def test_two_texts_in_pieces_are_the_texts_again():
    one, other = "Open the blue\n\nSettings page, now. ", "Open the red\n\nSettings page, later."
    parts = differences(one, other)
    assert ["".join(text for text, _ in side) for side in parts] == [one, other]
    assert [text.strip() for text, alike in parts[0] if not alike] == ["blue", "now."]
    assert [text.strip() for text, alike in parts[1] if not alike] == ["red", "later."]


def test_a_small_word_in_common_by_chance_is_no_likeness():
    parts = differences("First we go to the shop and rest", "Never say that it is the end, my dear friend")
    assert [alike for _, alike in parts[0]] == [False]


def test_texts_too_long_for_words_are_compared_by_lines():
    one = "word " * 5000 + "\nsame\n" + "a"
    parts = differences(one, "word " * 5000 + "\nsame\n" + "b")
    assert [text for text, alike in parts[0] if not alike] == ["a"]


@pytest.mark.parametrize("texts", [("", ""), ("", "a"), (" \n", "x"), ("a " * 3000, "a " * 2999 + "b")])
def test_no_two_texts_lose_anything(texts):
    assert ["".join(text for text, _ in side) for side in differences(*texts)] == list(texts)


def test_the_scale_goes_from_one_end_to_the_other():
    steps = scale_of(project_of({"strengths": ["a bit", "a lot"]}))
    assert [step.value for step in steps] == ["0:2", "0:1", "tie", "1:1", "1:2"]
    assert [step.meaning for step in steps] == ["A is a lot", "A is a bit", "a tie", "B is a bit", "B is a lot"]
    assert [step.value for step in scale_of(project_of({"strengths": []}))] == ["0:", "tie", "1:"]


@pytest.mark.parametrize(
    "kind, answer, told",
    [
        ("pair", {"choice": 0, "strength": 3}, "A is much better"),
        ("pair", {"choice": 1, "strength": None}, "B is better"),
        ("pair", {"choice": "both_bad"}, "both are bad"),
        ("ranking", {"ranks": [2, 1, 2]}, "B > A = C"),
        ("rating", {"scores": {"clear": [4, None], "kind": [None, None]}}, "clear A 4"),
        ("thumbs", {"thumbs": [True, None, False]}, "A good, C bad"),
        ("edit", {"text": "x", "of": 1}, "B rewritten"),
    ],
)
def test_an_answer_in_a_few_words(kind, answer, told):
    assert verdict_of(kind, answer, project_of({})) == told


@pytest.mark.parametrize(
    "text, made",
    [
        ("# One", "<h4>One</h4>\n"),
        ("[here](https://a.example/b)", "<p>here <code>https://a.example/b</code></p>\n"),
        ("![a cat](https://a.example/c.png)", "<p>[picture: a cat] <code>https://a.example/c.png</code></p>\n"),
        ("<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>\n"),
        ("a\u202eb", "<p>a\u27e8U+202E\u27e9b</p>\n"),
        ("a\r\nb", "<p>a<br>\nb</p>\n"),
    ],
)
def test_markdown_is_text_that_can_do_nothing(text, made):
    assert str(rendered(text)) == made
