"""Several models: the better one comes out ahead, equals are not told apart, and who met nobody is not ranked."""

import json
from random import Random

import pytest

from preferably import api
from preferably.errors import ConfigError, DataError
from preferably.evaluation.several import rank
from preferably.feedback.records import Group, Message
from preferably.judging.judge import judge_by_score


def asked(n):
    return [Group((Message("user", f"prompt {at}"),)) for at in range(n)]


def number(prompts, completions):
    return [None if text == "?" else float(text) for text in completions]


judge = judge_by_score(number)


def replies(n, skill, seed, samples=1):
    chance = Random(seed)
    return [[f"{chance.gauss(skill, 1):.4f}" for _ in range(samples)] for _ in range(n)]


def test_the_better_one_is_ahead_and_equals_are_one_group():
    drawn = {"best": replies(200, 1.5, 1), "one": replies(200, 0.0, 2), "two": replies(200, 0.0, 3)}
    drawn["base"] = replies(200, 0.1, 4)
    star, full = (rank(asked(200), drawn, judge, "base", all_pairs=each) for each in (False, True))
    assert list(star.pairs) == [("best", "base"), ("one", "base"), ("two", "base")]
    assert list(full.pairs)[3:] == [("best", "one"), ("best", "two"), ("one", "two")]
    for found in (star, full):
        assert found.board.standings[0].name == "best"
        assert found.board.groups[0] == ["best"] and set(found.board.groups[1]) == {"one", "two", "base"}
    width = [next(s.interval.high - s.interval.low for s in f.board.standings if s.name == "one") for f in (star, full)]
    assert width[1] < width[0]  # more comparisons tell more
    win_rate = full.pairs["best", "base"].win_rate
    assert win_rate == sum(float(a) > float(b) for (a,), (b,) in zip(drawn["best"], drawn["base"], strict=True)) / 200


def test_missing_verdicts_are_no_games_and_may_leave_someone_unconnected():
    drawn = {"a": replies(20, 1.0, 1, 2), "b": replies(20, 0.0, 2, 2), "base": replies(20, 0.0, 3, 2)}
    drawn["a"][0] = ["?", "?"]
    found = rank(asked(20), drawn, judge, "base", all_pairs=True)
    assert found.pairs["a", "base"].missing == 2
    assert {one.name: one.games for one in found.board.standings} == {"a": 76, "b": 78, "base": 78}
    drawn["a"] = [["?", "?"]] * 20
    with pytest.raises(DataError, match="No verdict connects these models.*a"):
        rank(asked(20), drawn, judge, "base")


def test_models_are_drawn_judged_and_written(tmp_path, tiny):
    names = ["one", "two", "base"]
    for name in names:
        tiny.write_model(tmp_path / name)
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in ["a b", "c d", "x" * 500, "e"] * 3))
    one, two, base = (tmp_path / name for name in names)
    found = api.evaluate_several(
        [one, two], against=base, data=prompts, judge=lambda p, c: [float(len(x) % 5) for x in c], max_tokens=4,
        samples=2, output=tmp_path / "o",
    )  # fmt: skip
    stored = json.loads((tmp_path / "o" / "evaluation" / "board.json").read_text())
    assert stored["schema"] == 1 and stored["prompts"] == found.prompts and stored["too_long"] == found.too_long > 0
    assert {row["name"] for row in stored["models"]} == {str(one), str(two), str(base)}
    assert [row["against"] for row in stored["pairs"]] == [str(base)] * 2 and stored["decoding"]["samples"] == 2
    for row in stored["pairs"]:
        assert row["wins"] + row["ties"] + row["losses"] + row["missing"] == 2 * found.prompts
    with pytest.raises(ConfigError, match="all different"):
        api.evaluate_several([one, one], against=base, data=prompts, judge=lambda p, c: [1.0] * len(c))
