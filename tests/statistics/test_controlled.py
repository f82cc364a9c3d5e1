"""The one fit behind length and style control: against another optimiser, and by hand."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from preferably.statistics.controlled import Prior, fit_equal, fitted, too_far

FREE = Prior(np.zeros(0), np.zeros(0))


def test_without_differences_by_hand():
    # theta is the logit of (3 + 0.5) / (4 + 1).
    found = fitted(np.zeros((4, 0)), np.array([1.0, 1.0, 1.0, 0.0]), FREE)
    assert found.shape == (1, 1) and found[0, 0] == pytest.approx(np.log(0.7 / 0.3))


def test_the_largest_posterior_is_that_of_another_optimiser():
    rng = np.random.default_rng(3)
    x, won = rng.uniform(-1, 1, (60, 3)), (rng.random(60) < 0.6).astype(float)
    counts = rng.integers(0, 4, 60).astype(float)
    prior = Prior(np.array([1.6, 0.0, -0.5]), np.array([1 / 30, 1.0, 2.0]))

    def loss(free):
        chance, at_zero = expit(free[0] + x @ free[1:]), expit(free[0])
        said = counts * (won * np.log(chance) + (1 - won) * np.log(1 - chance))
        half = 0.5 * np.log(at_zero) + 0.5 * np.log(1 - at_zero)
        return -said.sum() - half + ((free[1:] - prior.mean) ** 2 / prior.variance).sum() / 2

    found = minimize(loss, np.zeros(4), tol=1e-12).x
    assert fitted(x, won, prior, counts[None])[0] == pytest.approx(found, abs=1e-4)


def test_a_weight_without_variance_stays():
    rng = np.random.default_rng(0)
    prior = Prior(np.array([1.6, 0.0]), np.array([0.0, 1.0]))
    _, held, free = fitted(rng.normal(size=(50, 2)), rng.random(50), prior)[0]
    assert held == 1.6 and free != 0


def test_many_fits_at_once_are_each_of_the_rows_that_they_count():
    rng = np.random.default_rng(1)
    x, won, counts = rng.normal(size=(30, 1)), rng.random(30), rng.integers(0, 3, (4, 30))
    prior, centres = Prior(np.zeros(1), np.ones(1)), rng.normal(size=(4, 1))
    together = fitted(x, won, prior, counts.astype(float), centres)
    for own, centre, found in zip(counts, centres, together, strict=True):
        alone = fitted(np.repeat(x, own, axis=0), np.repeat(won, own), Prior(centre, np.ones(1)))
        assert found == pytest.approx(alone[0])


def test_what_the_prior_leaves_open_is_in_the_interval():
    """All differences are 1, so only the prior tells how much of the wins is theirs: logit 0.8 less N(1.6, v)."""
    x, won = np.ones((4000, 1)), np.array([1.0, 1.0, 1.0, 1.0, 0.0] * 800)
    fit = fit_equal(
        x, won, range(4000), Prior(np.array([1.6]), np.array([0.25])), confidence=0.95, resamples=600, seed=0
    )
    low, high = (np.log(4) - 1.6 + side * 1.96 * 0.5 for side in (-1, 1))
    assert fit.interval.low == pytest.approx(expit(low), abs=0.04)
    assert fit.interval.high == pytest.approx(expit(high), abs=0.04)


def test_what_is_too_far():
    assert too_far(np.zeros(9)) == "" and "by the same" in too_far(np.full(9, 2.0))
    assert "2 spreads" in too_far(np.array([4.0, 5.0, 6.0])) and too_far(np.array([-1.0, 0.0, 3.0])) == ""
