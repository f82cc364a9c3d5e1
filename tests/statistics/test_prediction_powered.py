"""People's mean from few of them and many of a judge: right on average, with an interval that covers."""

import numpy as np
import pytest

from preferably.statistics.prediction_powered import corrected_mean


def world(rng, n, more, agreement, bias):
    """Prompts whose verdict by people is a coin of 0.6; a judge that says the same by chance `agreement`, else the
    model's side with chance `bias`."""
    people = (rng.random(n + more) < 0.6).astype(float)
    judge = np.where(rng.random(n + more) < agreement, people, rng.random(n + more) < bias)
    return people[:n], judge[:n], judge[n:]


@pytest.mark.parametrize("n, agreement, bias", [
    (100, 0.8, 0.9), (100, 0.6, 0.9), (100, 0.9, 0.5), (100, 0.0, 0.7), (300, 0.8, 1.0),
])  # fmt: skip
def test_nominal_95_percent_cover_93_to_97(n, agreement, bias):
    rng = np.random.default_rng(n)
    found = [corrected_mean(*world(rng, n, 2000, agreement, bias)) for _ in range(2000)]
    covered = np.mean([0.6 in one.interval for one in found])
    assert 0.93 <= covered <= 0.97, covered
    assert abs(np.mean([one.value for one in found]) - 0.6) < 0.006
    if bias > 0.8:  # the judge alone would be far off, and say so with confidence
        assert np.mean([one.judge for one in found]) > 0.64


def test_a_good_judge_is_worth_many_people_and_a_bad_one_costs_nothing():
    rng = np.random.default_rng(0)
    good = corrected_mean(*world(rng, 200, 5000, 0.9, 0.5))
    assert good.worth > 600 and good.weight > 0.7
    useless = [corrected_mean(*world(rng, 200, 5000, 0.0, 0.5)) for _ in range(50)]
    assert np.mean([one.worth for one in useless]) > 190


def test_by_hand():
    people = np.array([1.0, 1.0, 0.0, 0.0] * 25)  # both halves are the same
    same = corrected_mean(people, people, np.array([1.0] * 150 + [0.0] * 50))
    # The weight is 1 / (1 + 100/200) times cov / var, over half of people's values and over all of the judge's.
    spread = np.concatenate([people, [1.0] * 150 + [0.0] * 50]).var(ddof=1)
    weight = people[::2].var(ddof=1) / (1.5 * spread)
    assert same.weight == pytest.approx(weight) and same.bias == 0
    assert same.value == pytest.approx(weight * 0.75 + (1 - weight) * 0.5)
    assert (same.n, same.more, same.people, same.judge) == (100, 200, 0.5, pytest.approx(200 / 300))


def test_a_judge_that_says_one_thing_has_no_weight():
    rng = np.random.default_rng(1)
    people = (rng.random(100) < 0.5).astype(float)
    found = corrected_mean(people, np.ones(100), np.ones(500))
    assert found.weight == 0 and found.value == found.people and found.bias == pytest.approx(1 - people.mean())


@pytest.mark.parametrize("people, judge, alone, message", [
    ([1.0] * 99, [1.0] * 99, [1.0], "100 judgments"), ([1.0] * 100, [1.0] * 100, [], "100 judgments"),
    ([1.0] * 100, [1.0] * 101, [1.0], "same units"), ([np.nan] * 100, [1.0] * 100, [1.0], "finite"),
])  # fmt: skip
def test_what_cannot_be_corrected_is_refused(people, judge, alone, message):
    with pytest.raises(ValueError, match=message):
        corrected_mean(people, judge, alone)
