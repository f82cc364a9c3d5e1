"""Claims held together: Holm's procedure by hand, and parts that differ from the rest."""

import numpy as np
import pytest

from preferably.statistics.multiple import holm, parts_apart


def test_holm_by_hand():
    # Sorted 0.005, 0.011, 0.02, 0.04 against 0.05/4 = 0.0125, 0.05/3 = 0.0167, 0.05/2 = 0.025, 0.05.
    assert holm([0.04, 0.005, 0.02, 0.011]) == [True, True, True, True]
    # 0.005 <= 0.0125; 0.02 > 0.0167: it and all above it stand, though 0.021 is below 0.025.
    assert holm([0.021, 0.005, 0.02, 0.9]) == [False, True, False, False]
    assert holm([]) == [] and holm([0.05]) == [True] and holm([0.06]) == [False]
    assert holm([0.06], confidence=0.9) == [True]


@pytest.mark.parametrize("p", [[-0.1], [1.1], [float("nan")]])
def test_what_is_no_probability_is_refused(p):
    with pytest.raises(ValueError, match="p-values"):
        holm(p)


def test_a_small_world_by_counting():
    """Values 1 1 | 0 0: of 6 ways to choose two of four, two are as far apart; the others have |t| = 0."""
    found = parts_apart([1.0, 1.0, 0.0, 0.0], [7, 7, 3, 3], resamples=6000)
    assert set(found) == {3, 7}
    assert found[3] == found[7] == pytest.approx(2 / 6, abs=0.02)


def test_parts_that_are_alike_are_seldom_told_and_one_that_is_not_is():
    rng, parts = np.random.default_rng(0), np.repeat(np.arange(6), [40, 40, 40, 40, 80, 160])
    told = []
    for seed in range(200):
        values = rng.choice([0.0, 0.5, 1.0], size=400, p=[0.2, 0.2, 0.6])
        told.append(any(holm(list(parts_apart(values, parts, resamples=400, seed=seed).values()))))
    assert np.mean(told) <= 0.08  # 5% over all parts together
    values = rng.choice([0.0, 1.0], size=400, p=[0.3, 0.7])
    values[:40] = rng.choice([0.0, 1.0], size=40, p=[0.8, 0.2])
    p = parts_apart(values, parts)
    assert holm(list(p.values()))[0] and p[0] < 0.001


def test_means_alone_count_not_spreads():
    """A small part whose values vary little, of the same mean as a rest that varies much, is told in 5% of cases."""
    rng, parts = np.random.default_rng(1), np.repeat([0, 1], [40, 200])
    below = []
    for seed in range(300):
        values = np.concatenate([rng.normal(0, 1.0, 40), rng.normal(0, 0.2, 200)])
        below.append(parts_apart(values, parts, resamples=200, seed=seed)[0] <= 0.05)
    assert 0.02 <= np.mean(below) <= 0.09


def test_parts_of_one_have_no_figure_and_no_variance_is_no_trouble():
    assert parts_apart([1.0, 0.0, 0.5], [0, 1, 1]) == {}
    assert parts_apart([1.0] * 6, [0, 0, 0, 1, 1, 1])[0] == 1.0
    with pytest.raises(ValueError, match="Expected as many"):
        parts_apart([1.0], [0, 1])
