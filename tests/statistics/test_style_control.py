"""Wins by the look of answers are taken out, wins by quality stay, and what cannot be told is not."""

import numpy as np
import pytest
from scipy.special import expit

from preferably.statistics.style_control import FEATURES, style_controlled, style_differences, style_of


def test_features_by_hand():
    text = "# Title\n\nSome **bold** and __more__.\n\n* one\n- two\n3) three\n\n```\n# code\n- code\n```\n"
    assert style_of(text)[1:] == (1, 3, 2) and style_of(text)[0] == len(text)
    assert style_of("2 * 3 ** 4 and #hash, -5") == (24, 0, 0, 0)
    assert style_of("") == (0, 0, 0, 0)
    # 31 against 93 characters; 1, 2, 1 against none.
    ours, theirs = "# How\n1. **Open** it\n2. Cancel", "x" * 93
    assert style_differences([ours, ""], [theirs, ""]).tolist() == [
        pytest.approx([(30 - 93) / 123, 1 / 2, 2 / 3, 1 / 2]), [0, 0, 0, 0],
    ]  # fmt: skip


def world(rng, n, theta, weights):
    """Verdicts by the logistic model, with features in spreads; the model likes lists."""
    x = rng.normal([0.3, 0.0, 0.8, 0.2], 1.0, (n, 4)) * [0.2, 0.1, 0.3, 0.1]
    chance = expit(theta + (x / x.std(axis=0, ddof=1)) @ np.array(weights))
    return (rng.random(n) < chance).astype(float), x


def test_a_win_rate_by_style_alone_becomes_a_half_and_quality_stays():
    won, x = world(np.random.default_rng(0), 2000, 0.0, [0.4, 0.0, 0.9, 0.0])
    found = style_controlled(won, x, range(2000), resamples=200)
    assert won.mean() > 0.64 and abs(found.win_rate - 0.5) < 0.04 and 0.5 in found.interval
    weights = {name: (weight, span) for name, weight, span in found.weights}
    assert tuple(weights) == FEATURES
    assert 0.9 in weights["lists"][1] and 0.0 not in weights["lists"][1]
    assert abs(weights["headings"][0]) < 0.2
    won, x = world(np.random.default_rng(1), 2000, 1.0, [0.4, 0.0, 0.9, 0.0])
    assert style_controlled(won, x, range(2000), resamples=100).win_rate == pytest.approx(expit(1.0), abs=0.04)


def test_features_that_nobody_uses_are_left_out():
    rng = np.random.default_rng(2)
    won, x = world(rng, 200, 0.4, [0.5, 0, 0, 0])
    x[:, 1] = 0.0
    x[:, 3] = 0.0
    x[:9, 3] = 0.5
    found = style_controlled(won, x, range(200), resamples=50)
    assert [name for name, _, _ in found.weights] == ["length", "lists"]
    plain = style_controlled([1.0] * 60 + [0.0] * 40, np.zeros((100, 4)), range(100), resamples=50)
    assert plain.win_rate == pytest.approx(60.5 / 101) and plain.weights == ()  # with half a win and half a loss


def test_sides_that_are_too_unlike_are_not_told():
    rng = np.random.default_rng(3)
    won, x = world(rng, 100, 0.0, [0, 0, 0, 0])
    x[:, 2] = rng.normal(0.7, 0.1, 100)
    found = style_controlled(won, x, range(100))
    assert found.win_rate is None and "in lists the two sides differ by more than 2 spreads" in found.why


def test_the_same_judgment_four_times_is_not_four_judgments():
    won, x = world(np.random.default_rng(4), 100, 0.4, [0.5, 0, 0.5, 0])
    once = style_controlled(won, x, range(100), resamples=300).interval
    four = style_controlled(np.tile(won, 4), np.tile(x, (4, 1)), list(range(100)) * 4, resamples=300).interval
    assert four.high - four.low > 0.8 * (once.high - once.low)


@pytest.mark.parametrize(
    "rows", [([], np.zeros((0, 4)), []), ([1.0], np.zeros((1, 3)), [0]), ([2.0], np.zeros((1, 4)), [0])]
)
def test_rows_that_are_none_are_refused(rows):
    with pytest.raises(ValueError, match="Expected"):
        style_controlled(*rows)
