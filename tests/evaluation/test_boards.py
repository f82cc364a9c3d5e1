"""Boards from annotations: AlpacaEval's figures by hand and by the standard library, and what stands beside them."""

import json
import random
import statistics

import pytest

from preferably.data.annotations import Annotation
from preferably.errors import DataError
from preferably.evaluation.boards import entries, rankings


def annotation(preference, number=0, *, model="mine", baseline="base", annotator="j", outputs=("aaaa", "bb")):
    return Annotation(f"q{number}", baseline, model, outputs, preference, annotator)


def many(model, wins, losses, draws=0, **more):
    said = [2.0] * wins + [1.0] * losses + [1.5] * draws
    return [annotation(one, number, model=model, **more) for number, one in enumerate(said)]


def test_the_figures_by_hand():
    """2, 1, 1.5 and 1.9: p - 1 = 1, 0, 0.5, 0.9, mean 2.4 / 4 = 0.6.

    Deviations 0.4, -0.6, -0.1, 0.3: squares 0.16 + 0.36 + 0.01 + 0.09 = 0.62; sd = sqrt(0.62 / 3) = 0.454606;
    / sqrt(4) = 0.227303. Wins 2, losses 1, draws 1: discrete (2 + 0.5) / 4 = 0.625.
    """
    (one,) = entries([annotation(said, number) for number, said in enumerate([2.0, 1.0, 1.5, 1.9, None])])
    assert one.win_rate == pytest.approx(60.0) and one.standard_error == pytest.approx(22.7303, abs=1e-4)
    assert one.discrete_win_rate == 62.5
    assert (one.n_wins, one.n_wins_base, one.n_draws, one.n_total, one.missing) == (2, 1, 1, 4, 1)
    # five annotations: with the missing one lost 2.4 / 5, with it won 3.4 / 5
    assert one.bounds == pytest.approx((48.0, 68.0))
    assert (one.model, one.baseline, one.annotator, one.avg_length, one.instructions) == ("mine", "base", "j", 2.0, 4)


def test_the_figures_by_the_standard_library():
    generator = random.Random(3)
    said = [generator.uniform(1, 2) for _ in range(805)]
    (one,) = entries([annotation(value, number) for number, value in enumerate(said)])
    assert one.win_rate == pytest.approx(100 * (statistics.fmean(said) - 1), abs=1e-9)
    assert one.standard_error == pytest.approx(100 * statistics.stdev(said) / 805**0.5, abs=1e-9)
    assert one.win_rate in one.interval
    # the interval of so many prompts is about 1.96 standard errors to each side
    assert (one.interval.high - one.interval.low) / 2 == pytest.approx(1.96 * one.standard_error, rel=0.1)


def test_annotations_of_one_instruction_are_one_trial():
    """Ten times the same says no more than once: the interval must not shrink with the copies."""
    once = many("mine", 20, 20)
    (one,), (copies,) = entries(once), entries(once * 10)
    assert copies.interval == one.interval and copies.n_total == 10 * one.n_total
    assert copies.standard_error < one.standard_error / 3  # AlpacaEval's takes them for independent


def test_nothing_judged_is_not_sure_and_not_zero():
    (one,) = entries([annotation(None)])
    assert one.win_rate is None and one.standard_error is None and one.interval is None and one.missing == 1
    assert one.controlled.win_rate is None and one.controlled.why == "nothing has a verdict"
    assert one.bounds == (0.0, 100.0)
    with pytest.raises(DataError, match="at least one annotation"):
        entries([])


def test_every_model_baseline_and_annotator_has_an_entry_of_its_own():
    found = entries([
        annotation(2.0), annotation(1.0, model="other"), annotation(1.0, baseline="base 2"),
        annotation(1.0, annotator="k"),
    ])  # fmt: skip
    assert [(one.annotator, one.baseline, one.model, one.win_rate) for one in found] == [
        ("j", "base", "mine", 100.0), ("j", "base", "other", 0.0), ("j", "base 2", "mine", 0.0),
        ("k", "base", "mine", 0.0),
    ]  # fmt: skip


def test_a_constant_answer_is_called_one():
    same = [annotation(2.0, number, outputs=("x", "always this")) for number in range(8)]
    other = [annotation(2.0, number, outputs=("x", f"{number}")) for number in range(8, 10)]
    (one,) = entries(same + other)
    assert one.commonest == 0.8 and one.constant
    (one,) = entries([annotation(2.0, number, outputs=("x", f"{number}")) for number in range(10)])
    assert one.commonest == 0.0 and not one.constant


def test_equal_lengths_leave_the_win_rate_and_longer_answers_lose_some_of_it():
    even = [annotation(2.0 if number < 60 else 1.0, number, outputs=("aaaa", "bbbb")) for number in range(100)]
    (one,) = entries(even)
    # half a win and half a loss are added to the fit: (60 + 0.5) / (100 + 1)
    assert one.controlled.win_rate == pytest.approx(60.5 / 101, abs=1e-6)
    outputs = [("a" * 10, "b" * (10 + number)) for number in range(100)]
    longer = [annotation(2.0 if number < 60 else 1.0, number, outputs=outputs[number]) for number in range(100)]
    (one,) = entries(longer)
    assert one.controlled.win_rate < 0.6 and one.controlled.band[0] < one.controlled.band[1]


def test_models_are_ranked_in_groups_that_can_be_told_apart():
    """Two that lose as often, on other instructions, are not; that one of them loses more by two says nothing."""
    other = [annotation(1.0 if number < 22 else 2.0, number, model="also strong") for number in range(200)]
    (one,) = rankings(many("strong", 180, 20) + other + many("weak", 20, 180))
    assert one.board.groups == [["strong", "also strong"], ["base"], ["weak"]]
    stored = one.as_json()
    assert stored["groups"] == one.board.groups and len(stored["strengths"]) == 4
    json.dumps(stored)


def test_no_scale_no_ranking_and_the_reason():
    apart = many("a", 5, 5, baseline="x") + many("b", 5, 5, baseline="y")
    (one,) = rankings(apart)
    assert one.board is None and "no comparison connects" in one.why and "x, a; y, b" in one.why
    crowd = [said for number in range(12) for said in many(f"m{number}", 3, 2)]
    (one,) = rankings(crowd)
    assert one.board is None and one.why == "13 models are more than the 12 that are told apart at once"
    assert rankings(many("a", 5, 5)) == []  # one model has nobody to be ranked with
    assert rankings(many("base", 5, 5) + many("a", 1, 1)) == []  # a model against itself is no game


def test_what_is_stored_is_json():
    stored = [one.as_json() for one in entries(many("mine", 12, 8, 2))]
    again = json.loads(json.dumps(stored))
    assert again[0]["n_draws"] == 2 and again[0]["interval"][0] < again[0]["win_rate"] < again[0]["interval"][1]
    assert set(again[0]["controlled"]) == {"win_rate", "influence", "why", "interval", "band"}


def test_where_instructions_repeat_unevenly_the_interval_is_of_the_mean_that_is_told():
    """Ninety instructions won once each, ten lost nine times each: by annotation 90 / 180, by instruction 90 / 100."""
    said = [annotation(2.0, number) for number in range(90)]
    said += [annotation(1.0, number) for number in range(90, 100) for _ in range(9)]
    (one,) = entries(said)
    assert one.win_rate == 50.0 and one.instructions == 100 and one.n_total == 180
    assert 50.0 in one.interval and 90.0 not in one.interval
    # The ten are few: of a hundred resampled instructions a Poisson-like 10 +- 3 are of them, each worth nine.
    # 90 (100 - k) / (... ): at k = 4, 96 / (96 + 36) = 73%; at k = 16, 84 / (84 + 144) = 37%.
    assert 30 < one.interval.low < 41 and 62 < one.interval.high < 78
