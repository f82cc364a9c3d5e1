"""Wins by length are taken out, wins by quality stay, and what cannot be told is not."""

import numpy as np
import pytest
from scipy.special import expit

from preferably.statistics.length_control import length_controlled


def world(rng, n, theta, phi, longer):
    """Verdicts with a known influence of length; the model is `longer` by so many spreads on average."""
    lengths = rng.normal(longer * 40, 40, size=n)
    x = np.tanh(lengths / lengths.std(ddof=1))
    return (rng.random(n) < expit(theta + phi * x)).astype(float), lengths


def test_a_win_rate_by_length_alone_becomes_a_half():
    rng = np.random.default_rng(0)
    won, lengths = world(rng, 1500, 0.0, 1.6, 1.0)
    found = length_controlled(won, lengths, range(1500), resamples=200)
    assert won.mean() > 0.68 and abs(found.win_rate - 0.5) < 0.04 and 0.5 in found.interval
    assert found.band[0] <= found.win_rate <= found.band[1] and found.influence == pytest.approx(1.6, abs=0.3)


def test_a_win_rate_by_quality_stays():
    rng = np.random.default_rng(1)
    won, lengths = world(rng, 1500, 1.0, 1.6, 0.0)
    found = length_controlled(won, lengths, range(1500), resamples=200)
    assert found.win_rate == pytest.approx(expit(1.0), abs=0.04)


def test_intervals_cover_and_are_by_prompt():
    rng = np.random.default_rng(2)
    covered = []
    for seed in range(100):
        won, lengths = world(rng, 200, 0.4, 1.6, 0.5)
        covered.append(expit(0.4) in length_controlled(won, lengths, range(200), resamples=200, seed=seed).interval)
    assert np.mean(covered) >= 0.88
    won, lengths = world(rng, 100, 0.4, 1.6, 0.5)
    once = length_controlled(won, lengths, range(100), resamples=300)
    four = length_controlled(np.tile(won, 4), np.tile(lengths, 4), list(range(100)) * 4, resamples=300)
    width = [one.interval.high - one.interval.low for one in (once, four)]
    assert width[1] > 0.75 * width[0]  # the same judgment four times is not four judgments


def test_equal_lengths_leave_the_win_rate_and_all_longer_is_not_told():
    won = np.array([1.0] * 60 + [0.0] * 40)
    assert length_controlled(won, np.zeros(100), range(100)).win_rate == pytest.approx(0.6, abs=0.005)
    assert length_controlled(won, np.full(100, 30.0), range(100)).win_rate is None
    far = length_controlled(won, np.random.default_rng(4).normal(300, 50, 100), range(100))
    assert far.win_rate is None and "lengths differ by more than 2 spreads" in far.why
    assert 0.9 < length_controlled(np.ones(100), np.arange(100.0) - 50, range(100), resamples=100).win_rate < 1


@pytest.mark.parametrize("rows", [([], [], []), ([1.0], [1.0, 2.0], [0]), ([2.0], [1.0], [0]), ([1.0], [np.inf], [0])])
def test_rows_that_are_none_are_refused(rows):
    with pytest.raises(ValueError, match="Expected"):
        length_controlled(*rows)
