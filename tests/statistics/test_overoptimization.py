"""Curves with a known peak are found with it, and curves that only rise, or noise, turn nowhere.

R = d (1 - 0.2 d) turns at d = 2.5: KL 6.25 nats. R = d (1 - 0.5 ln d) turns at ln d = 1: KL e^2 = 7.389 nats.
"""

import math

import numpy as np
import pytest

from preferably.statistics.overoptimization import fit

KL = np.array([0.5, 1, 2, 4, 8, 12, 16, 20])


def noisy(mean, seed, spread=1.0, prompts=400):
    noise = np.random.default_rng(seed).normal(0, spread, (len(mean), prompts))
    return np.asarray(mean)[:, None] + noise


def test_a_planted_peak_of_best_of_n_is_found():
    d = np.sqrt(KL)
    found = fit(KL, noisy(d * (1 - 0.2 * d), 0), "bon")
    assert found.turned and found.stop == pytest.approx(6.25, rel=0.1) and 6.25 in found.interval
    assert (found.a, found.b) == (pytest.approx(1, abs=0.1), pytest.approx(0.2, abs=0.03))


def test_a_planted_peak_of_reinforcement_learning_is_found():
    d = np.sqrt(KL)
    found = fit(KL, noisy(d * (1 - 0.5 * np.log(d)), 1), "rl")
    assert found.turned and math.e**2 in found.interval and found.stop == pytest.approx(math.e**2, rel=0.15)


def test_without_noise_the_curve_is_exact():
    d = np.sqrt(KL)
    found = fit(KL, np.repeat((d * (1 - 0.5 * np.log(d)))[:, None], 5, axis=1), "rl")
    assert (found.a, found.b, found.stop) == pytest.approx((1, 0.5, math.e**2))
    assert found.gain(4.0) == pytest.approx(2 * (1 - 0.5 * math.log(2)))
    assert found.gain(0.0) == 0


def test_curves_that_only_rise_turn_nowhere():
    found = [fit(KL, noisy(np.sqrt(KL), seed), "bon") for seed in range(5)]
    assert not any(one.turned for one in found)
    assert sum(0.0 in one.b_interval for one in found) >= 3  # 95% intervals


def test_few_points_are_no_curve():
    assert fit([0, 1, 2], np.ones((3, 4)), "rl") is None  # two off the start
    with pytest.raises(ValueError, match="m distances"):
        fit([1, 2], np.ones((3, 4)), "rl")


def test_what_is_not_known_is_left_out():
    gains = noisy(np.sqrt(KL), 0)
    gains[:, ::2] = np.nan
    assert fit(KL, gains, "bon").a == pytest.approx(fit(KL, gains[:, 1::2], "bon").a)
