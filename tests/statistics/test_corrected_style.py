"""What people would say at equal style, with the help of a judge."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from preferably.statistics.corrected_style import Verdicts, style_corrected
from preferably.statistics.prediction_powered import corrected_mean
from preferably.statistics.style_control import style_controlled


def world(n=400, more=3000, seed=0, lists=1.2):
    """Judge and people agree on quality; the judge likes lists, of which the model has more, and people do not care."""
    rng = np.random.default_rng(seed)
    x = np.zeros((n + more, 4))
    x[:, 2] = rng.normal(0.8, 1.0, n + more)
    quality = rng.logistic(size=n + more)  # shared, so that the two go together
    people, judge = (quality > 0).astype(float), (quality + lists * x[:, 2] > 0).astype(float)
    numbers = list(range(n + more))
    return (
        Verdicts(people[:n], x[:n], numbers[:n]), Verdicts(judge[:n], x[:n], numbers[:n]),
        Verdicts(judge[n:], x[n:], numbers[n:]),
    )  # fmt: skip


def test_without_differences_it_is_the_corrected_mean():
    people, judge, alone = (replace(one, differences=np.zeros_like(one.differences)) for one in world())
    found, plain = style_corrected(people, judge, alone), corrected_mean(people.won, judge.won, alone.won)
    assert found.win_rate == pytest.approx(plain.value, abs=0.005)
    assert found.interval.low == pytest.approx(plain.interval.low, abs=0.015)
    assert found.interval.high == pytest.approx(plain.interval.high, abs=0.015)


def test_a_judge_that_likes_lists_costs_no_truth_and_helps():
    people, judge, alone = world()
    found = style_corrected(people, judge, alone)
    own = style_controlled(people.won, people.differences, people.prompts)
    assert 0.5 in found.interval  # P(logistic > 0), whatever the style
    assert np.mean(alone.won) > 0.6  # what the judge says of the same answers
    assert found.interval.high - found.interval.low < 0.9 * (own.interval.high - own.interval.low)


def test_a_style_that_people_like_is_taken_out():
    rng = np.random.default_rng(1)
    x = np.zeros((3000, 4))
    x[:, 2] = rng.normal(1.0, 1.0, 3000)
    won = (rng.random(3000) < expit(0.4 + 0.8 * x[:, 2])).astype(float)
    numbers = list(range(3000))
    parts = [Verdicts(won[part], x[part], numbers[part]) for part in (slice(600), slice(600), slice(600, None))]
    found = style_corrected(*parts)
    assert np.mean(won) > 0.7 and expit(0.4) in found.interval and found.win_rate == pytest.approx(expit(0.4), abs=0.03)


def test_several_verdicts_on_a_prompt_are_one():
    people, judge, alone = world(n=150, more=300)
    twice = Verdicts([*judge.won, *judge.won], np.vstack([judge.differences] * 2), [*judge.prompts, *judge.prompts])
    one, two = style_corrected(people, judge, alone), style_corrected(people, twice, alone)
    assert (one.win_rate, one.interval.low) == pytest.approx((two.win_rate, two.interval.low), abs=1e-3)


def test_what_would_be_a_guess_is_not_told():
    people, judge, alone = world(n=150, more=300)
    far = [replace(one, differences=one.differences + [0, 0, 9, 0]) for one in (people, judge, alone)]
    found = style_corrected(*far)
    assert found.win_rate is None and found.interval is None and "in lists the two sides differ" in found.why
    with pytest.raises(ValueError, match="same prompts"):
        style_corrected(people, replace(judge, prompts=[at + 1 for at in judge.prompts]), alone)
