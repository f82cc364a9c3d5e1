"""Changes that are planted are found where they are, and those that are not are not."""

import numpy as np
import pytest

from preferably.statistics.drift import FEWEST, PERMUTED, change


def test_a_planted_change_is_found_where_it_is():
    rng = np.random.default_rng(0)
    values = (rng.random(400) < np.repeat([0.9, 0.6], [250, 150])).astype(float)
    found = change(values)
    assert found.p < 0.001 and abs(found.at - 250) < 25


@pytest.mark.parametrize("n", [60, PERMUTED + 200])
def test_no_change_is_told_in_one_of_twenty(n):
    rng = np.random.default_rng(1)
    told = [change((rng.random(n) < 0.8).astype(float), seed=seed).p <= 0.05 for seed in range(150)]
    assert np.mean(told) <= 0.05 + 3 * (0.05 * 0.95 / 150) ** 0.5


def test_the_place_by_hand():
    """Sums of x - 1/2 are largest after the ones."""
    found = change([1.0] * 20 + [0.0] * 20)
    assert found.at == 20 and found.p == pytest.approx(1 / 2001)


def test_too_little_says_nothing():
    assert change([1.0, 0.0] * (FEWEST // 2 - 1)) is None and change([1.0] * 100) is None
