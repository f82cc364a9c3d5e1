"""Files of judgments: what kind they are, and what does not go together."""

import json

import pytest

from preferably.errors import ConfigError, DataError
from preferably.evaluation.board_files import read_board

ANNOTATION = {
    "instruction": "q", "output_1": "a", "generator_1": "base", "output_2": "b", "generator_2": "mine",
    "annotator": "j", "preference": 2,
}  # fmt: skip
DUEL = {"question_id": 1, "model_1": "a", "model_2": "b", "g1_winner": "model_1", "g2_winner": "model_1", "turn": 1}
GRADE = {"question_id": 1, "model": "a", "score": 7, "turn": 1}
QUESTION = {"question_id": 1, "category": "math", "turns": ["?"]}


@pytest.fixture
def files(tmp_path):
    for name, rows in {
        "annotations": [ANNOTATION, ANNOTATION | {"instruction": "r", "preference": None}], "pairs": [DUEL],
        "scores": [GRADE], "questions": [QUESTION], "other": [{"prompt": "p", "chosen": "a", "rejected": "b"}],
    }.items():  # fmt: skip
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {path.stem: path for path in tmp_path.glob("*.jsonl")}


def test_each_kind_is_known_by_its_columns(files):
    found = read_board([files["annotations"]])
    assert found.kind == "annotations" and (found.entries[0].win_rate, found.entries[0].missing) == (100.0, 1)
    pairs = read_board([files["pairs"]], questions=files["questions"])
    assert pairs.kind == "pairs" and pairs.records[0].categories["math"].value == 1.0
    scores = read_board([files["scores"]], questions=files["questions"])
    assert scores.kind == "scores" and scores.scores[0].categories["math"].value == 7.0
    for one in (found, pairs, scores):
        stored = json.loads(json.dumps(one.as_json()))
        assert stored["kind"] == one.kind and stored["models"] and stored["rows"]["rejected"] == {}


def test_three_models_are_ranked_by_their_games(tmp_path):
    rows = [
        DUEL | {"question_id": k, "model_1": one, "model_2": other, "g1_winner": won, "g2_winner": won}
        for k in range(40)
        for one, other, won in (("a", "b", "model_1"), ("b", "c", "model_1"), ("a", "c", "tie" if k < 5 else "model_1"))
    ]  # fmt: skip
    path = tmp_path / "games.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (ranked,) = read_board([path]).rankings
    assert ranked.board.groups == [["a"], ["b"], ["c"]]


def test_what_does_not_go_together_is_refused(files):
    with pytest.raises(ConfigError, match="One board is of one kind"):
        read_board([files["pairs"], files["scores"]])
    with pytest.raises(ConfigError, match="annotations have none"):
        read_board([files["annotations"]], questions=files["questions"])
    with pytest.raises(ConfigError, match="against nobody"):
        read_board([files["scores"]], against="a")
    with pytest.raises(DataError, match="No annotation has the baseline 'x'; the baselines are base"):
        read_board([files["annotations"]], against="x")
    with pytest.raises(DataError, match="no file of judgments: a row has chosen, prompt, rejected"):
        read_board([files["other"]])


def test_rankings_are_of_games_with_the_model_that_is_asked_for(tmp_path):
    rows = [
        DUEL | {"question_id": k, "model_1": one, "model_2": other, "g1_winner": won, "g2_winner": won}
        for k in range(40)
        for one, other, won in (("a", "b", "model_1"), ("b", "c", "model_1"), ("a", "c", "model_1"))
    ]  # fmt: skip
    path = tmp_path / "games.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (whole,), (part,) = (read_board([path], against=name).rankings for name in (None, "a"))
    assert whole.board.groups == [["a"], ["b"], ["c"]] and part.board.groups == [["a"], ["b", "c"]]
