"""MT-bench's figures by hand: pairs in both orders, and single scores."""

import json

import pytest

from preferably.data.mt_bench import Duel, Grade, Question
from preferably.errors import DataError
from preferably.evaluation.mt_bench import games_of, records, scores
from preferably.statistics.rankings import Game

FIRST, SECOND = ("model_1", "model_1"), ("model_2", "model_2")


def duel(question, winners, *, turn=1, models=("a", "b"), judge="j"):
    return Duel(str(question), turn, models, winners, judge)


def test_wins_losses_ties_and_errors_by_hand():
    """a: 3 won, 1 lost, 1 tied, 1 inconsistent, 2 errors. n = 6, win rate 3/6, adjusted (3 + 2 / 2) / 6 = 2/3."""
    duels = [
        duel(1, FIRST), duel(2, FIRST), duel(3, FIRST), duel(4, SECOND), duel(5, ("tie", "tie")),
        duel(6, ("model_1", "model_2")), duel(7, ("error", "error")), duel(8, ("model_1", "error")),
    ]  # fmt: skip
    a, b = records(duels)
    assert (a.model, a.wins, a.losses, a.ties, a.inconsistent, a.errors) == ("a", 3, 1, 2, 1, 2)
    assert (b.model, b.wins, b.losses, b.ties, b.inconsistent, b.errors) == ("b", 1, 3, 2, 1, 2)
    assert a.win_rate == 0.5 and a.loss_rate == pytest.approx(1 / 6)
    assert a.adjusted.value == pytest.approx(2 / 3) and b.adjusted.value == pytest.approx(1 / 3)
    assert (a.adjusted.n, a.adjusted.failed, a.adjusted.questions) == (6, 2, 6)
    assert a.wins + a.losses + a.ties + a.errors == len(duels)


def test_turns_and_categories_have_cells_of_their_own():
    duels = [duel(1, FIRST), duel(1, SECOND, turn=2), duel(2, FIRST), duel(2, FIRST, turn=2)]
    questions = [Question("1", "math", ("?",)), Question("2", "", ("?",)), Question("9", "never asked", ("?",))]
    a, _ = records(duels, questions)
    assert {turn: cell.value for turn, cell in a.turns.items()} == {1: 1.0, 2: 0.5}
    assert {name: cell.value for name, cell in a.categories.items()} == {"math": 0.5, "not named": 1.0}
    assert a.adjusted.n == 4 and a.adjusted.questions == 2
    assert records(duels)[0].categories == {}
    with pytest.raises(DataError, match="1 questions that were judged are not in the file of questions, the first 2"):
        records(duels, questions[:1])


def test_the_two_turns_of_a_question_are_one_trial():
    turn_1 = [duel(number, FIRST if number % 2 else SECOND) for number in range(40)]
    both = turn_1 + [duel(number, FIRST if number % 2 else SECOND, turn=2) for number in range(40)]
    assert records(both)[0].adjusted.interval == records(turn_1)[0].adjusted.interval


def test_against_one_model_alone():
    duels = [duel(1, FIRST), duel(1, SECOND, models=("a", "c")), duel(1, FIRST, models=("c", "b"))]
    assert [one.model for one in records(duels, against="b")] == ["a", "c"]
    a = next(one for one in records(duels) if one.model == "a")
    assert a.against == ("b", "c") and a.adjusted.value == 0.5
    with pytest.raises(DataError, match="No judgment is about 'd'; the models are a, b, c"):
        records(duels, against="d")


def test_only_errors_give_no_figure():
    a, _ = records([duel(1, ("error", "tie"))])
    assert a.win_rate is None and a.adjusted.value is None and a.adjusted.interval is None and a.errors == 1


def test_scores_by_hand():
    """9 and 5 in the first turn, 4 in the second with one that failed: 18 / 3 = 6; turns 7 and 4."""
    grades = [Grade("1", 1, "a", 9.0), Grade("2", 1, "a", 5.0), Grade("1", 2, "a", 4.0), Grade("2", 2, "a", None)]
    (one,) = scores(grades, [Question("1", "x", ("?",)), Question("2", "y", ("?",))])
    assert (one.score.value, one.score.n, one.score.questions, one.score.failed) == (6.0, 3, 2, 1)
    assert {turn: (cell.value, cell.failed) for turn, cell in one.turns.items()} == {1: (7.0, 0), 2: (4.0, 1)}
    assert {name: cell.value for name, cell in one.categories.items()} == {"x": 6.5, "y": 5.0}
    assert one.score.interval.low >= 0 and one.score.interval.high <= 10 and 6.0 in one.score.interval


def test_a_score_that_is_there_twice_counts_twice_and_is_said():
    (one,) = scores([Grade("1", 1, "a", 8.0), Grade("1", 1, "a", 6.0), Grade("1", 2, "a", 4.0)])
    assert one.repeated == 1 and one.score.value == 6.0


def test_judges_are_never_mixed():
    assert [(one.judge, one.score.value) for one in scores([Grade("1", 1, "a", 8.0, "j"), Grade("1", 1, "a", 6.0, "k")])
            ] == [("j", 8.0), ("k", 6.0)]  # fmt: skip


def test_games_are_those_with_a_verdict():
    duels = [duel(1, FIRST), duel(2, ("error", "tie")), duel(3, ("tie", "model_2"))]
    assert games_of(duels) == [Game("a", "b", 1.0, "1"), Game("a", "b", 0.5, "3")]


def test_what_is_stored_is_json():
    stored = json.loads(json.dumps([one.as_json() for one in records([duel(1, FIRST), duel(2, SECOND)])]))
    assert stored[0]["win_rate_adjusted"]["value"] == 0.5 and stored[0]["turns"]["1"]["n"] == 2
    (one,) = scores([Grade("1", 1, "a", 8.0)])
    assert json.loads(json.dumps(one.as_json()))["score"]["value"] == 8.0


def test_nothing_to_tell_is_one_error():
    for empty in (records, scores):
        with pytest.raises(DataError, match="There are no"):
            empty([])
