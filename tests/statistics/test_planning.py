"""The size of an evaluation, against the textbook and by simulation."""

import numpy as np
import pytest

from preferably.statistics.intervals import mean_interval
from preferably.statistics.planning import points_seen, prompts_needed, spread_of, spread_of_means


def test_the_textbook_figure():
    # (1.959964 + 0.841621)^2 x 0.25 / 0.0025 = 784.9
    assert prompts_needed(0.05) == 785
    assert prompts_needed(0.05, power=0.9) == 1051  # (1.959964 + 1.281552)^2 x 100 = 1050.7
    assert points_seen(805) == pytest.approx(2.801585 * 0.5 / 805**0.5, rel=1e-6)
    assert points_seen(prompts_needed(0.03)) <= 0.03


def test_the_spread_of_a_verdict():
    assert spread_of() == 0.5 and spread_of(1.0) == 0 and spread_of(0.5, ties=1.0) == 0
    values = np.array([1.0] * 50 + [0.5] * 30 + [0.0] * 20)
    assert spread_of(0.65, ties=0.3) == pytest.approx(values.std())
    for win_rate, ties in ((0.1, 0.5), (1.2, 0.0), (0.5, -0.1), (0.9, 0.5)):
        with pytest.raises(ValueError, match="no win rate"):
            spread_of(win_rate, ties)


def test_the_power_is_what_was_asked_for():
    rng, ties = np.random.default_rng(0), 0.2
    n = prompts_needed(0.06, spread_of(0.56, ties))
    seen = []
    for _ in range(1000):
        drawn = rng.choice([1.0, 0.5, 0.0], size=n, p=[0.46, ties, 0.34])
        seen.append(mean_interval(drawn).low > 0.5)
    assert 0.76 <= np.mean(seen) <= 0.84


@pytest.mark.parametrize("change", [{"points": 0}, {"points": 2}, {"spread": 0.6}, {"power": 1}, {"confidence": 0}])
def test_numbers_out_of_range_are_refused(change):
    with pytest.raises(ValueError, match="Expected"):
        prompts_needed(**{"points": 0.05} | change)
    with pytest.raises(ValueError, match="a prompt or more"):
        points_seen(0)


def test_the_spread_of_means_of_samples():
    assert spread_of_means(0.5, 4, 0.0) == 0.25 and spread_of_means(0.5, 4, 1.0) == 0.5
    assert spread_of_means(0.5, 1, 0.3) == 0.5
    assert spread_of_means(0.5, 4, 0.5) == pytest.approx(0.5 * (0.5 + 0.125) ** 0.5)
    rng = np.random.default_rng(1)  # half of the verdicts of a prompt are its own, half are the prompt's
    own, shared = rng.random((20000, 4)) < 0.5, rng.random((20000, 1)) < 0.5
    said = np.where(rng.random((20000, 4)) < 0.5**0.5, shared, own)  # two samples agree by the prompt in half of cases
    assert said.mean(1).std() == pytest.approx(spread_of_means(0.5, 4, 0.5), rel=0.02)
    for samples, alike in ((0, 0.5), (1, -0.1), (1, 1.1)):
        with pytest.raises(ValueError, match="a sample or more"):
            spread_of_means(0.5, samples, alike)
