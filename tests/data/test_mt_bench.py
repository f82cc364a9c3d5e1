"""Files in the shapes of MT-bench."""

import json

import pytest

from preferably.data.mt_bench import Duel, Grade, Question, read_duels, read_grades, read_questions
from preferably.errors import DataError

DUEL = {
    "question_id": 81, "model_1": "a", "model_2": "b", "g1_winner": "model_1", "g2_winner": "tie",
    "judge": ["gpt-4", "pair-v2"], "turn": 1, "g1_user_prompt": "...", "g1_judgment": "[[A]]", "tstamp": 1.5,
}  # fmt: skip
GRADE = {"question_id": 81, "model": "a", "judge": ["gpt-4", "single-v1"], "score": 9.5, "turn": 2}


def lines(tmp_path, *rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_questions(tmp_path):
    asked = {"question_id": 81, "category": "math", "turns": ["1+1?", "+2?"], "reference": ["2", ""]}
    path = lines(tmp_path, asked, {"question_id": "x", "turns": ["hi"]}, {"question_id": 3, "turns": []})
    found, account = read_questions(path)
    assert found == [Question("81", "math", ("1+1?", "+2?"), ("2", "")), Question("x", "", ("hi",))]
    assert account.rejected == {"empty": 1}
    with pytest.raises(DataError, match="two questions with the question_id 81"):
        read_questions(lines(tmp_path, asked, asked))


def test_a_line_separator_inside_of_a_question_ends_no_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"question_id": 1, "turns": ["one\u2028two"]}, ensure_ascii=False) + "\n")
    assert read_questions(path)[0][0].turns == ("one\u2028two",)


def test_pairs(tmp_path):
    (one,), _ = read_duels([lines(tmp_path, DUEL)])
    assert one == Duel("81", 1, ("a", "b"), ("model_1", "tie"), "gpt-4")


@pytest.mark.parametrize(
    ("winners", "won"),
    [
        (("model_1", "model_1"), 1.0), (("model_2", "model_2"), 0.0), (("tie", "tie"), 0.5),
        (("model_1", "model_2"), 0.5), (("model_1", "tie"), 0.5), (("error", "model_1"), None),
        (("model_1", "error"), None), (("error", "error"), None),
    ],
)  # fmt: skip
def test_a_win_needs_both_orders_and_an_error_is_none(winners, won):
    assert Duel("1", 1, ("a", "b"), winners).won == won


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"g1_winner": "A"}, "bad_choice"), ({"g2_winner": None}, "bad_choice"), ({"model_2": "a"}, "bad_choice"),
        ({"turn": 0}, "wrong_type"), ({"turn": "1"}, "wrong_type"), ({"question_id": None}, "wrong_type"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_read_are_counted(tmp_path, change, code):
    found, account = read_duels([lines(tmp_path, DUEL, DUEL | change)])
    assert len(found) == 1 and account.rejected == {code: 1}


def test_scores(tmp_path):
    path = lines(tmp_path, GRADE, GRADE | {"score": -1}, GRADE | {"score": None}, GRADE | {"score": 11}, GRADE
                 | {"score": "9"}, GRADE | {"judge": "me"})  # fmt: skip
    found, account = read_grades([path])
    assert found == [Grade("81", 2, "a", 9.5, "gpt-4"), *[Grade("81", 2, "a", None, "gpt-4")] * 2,
                     Grade("81", 2, "a", 9.5, "me")]  # fmt: skip
    assert account.rejected == {"bad_score": 2}
