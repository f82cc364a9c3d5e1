"""The posterior of a linear reward: against an optimum found in another way, and where it is known by hand."""

import numpy as np
import pytest
from scipy.optimize import minimize

from preferably.statistics.linear_preference import posterior


def test_without_a_verdict_it_is_the_prior():
    found = posterior(np.zeros((0, 3)), scale=2.0, spread=6.0)
    assert found.mean == pytest.approx(np.zeros(3))
    assert found.factor @ found.factor.T == pytest.approx(9 * np.eye(3))


def test_it_is_where_the_posterior_is_highest_with_the_curvature_there():
    random = np.random.default_rng(0)
    gaps = random.standard_normal((40, 4)) + [1.0, 0.5, 0, 0]
    found = posterior(gaps, scale=1.5, spread=3.0)

    def lost(weights):
        return np.logaddexp(0, -(gaps @ weights)).sum() + weights @ weights / 8  # (1.5 / 3)^2 / 2

    best = minimize(lost, np.zeros(4), method="BFGS", options={"gtol": 1e-9})
    assert found.mean == pytest.approx(best.x, abs=1e-6)
    at, step = found.mean, 1e-4
    around = [[sum(sign_a * sign_b * lost(at + step * (sign_a * a + sign_b * b)) for sign_a in (1, -1)
                   for sign_b in (1, -1)) / (4 * step**2) for b in np.eye(4)] for a in np.eye(4)]  # fmt: skip
    assert np.linalg.inv(found.factor @ found.factor.T) == pytest.approx(np.array(around), abs=1e-4)


def test_one_sided_verdicts_keep_it_finite():
    found = posterior(np.full((500, 1), 50.0), scale=1.0)
    assert 0 < found.mean[0] < 4 and np.isfinite(found.factor).all()


def test_scores_and_draws():
    found = posterior([[1.0, 0.0]] * 8, scale=1.0)
    features = np.array([[[1.0, 0], [0, 0], [0, 1.0]]])
    assert found.scores(features) == pytest.approx(np.array([[found.mean[0], 0, 0]]))
    drawn = found.draws(features, 20000, seed=1)
    assert drawn.shape == (20000, 1, 3) and (drawn[:, 0, 1] == 0).all()
    spread = (found.factor @ found.factor.T)[0, 0] ** 0.5
    assert drawn[:, 0, 0].mean() == pytest.approx(found.mean[0], abs=4 * spread / 20000**0.5)
    assert drawn[:, 0, 0].std() == pytest.approx(spread, rel=0.03)
    assert (found.draws(features, 5, seed=2) == found.draws(features, 5, seed=2)).all()


@pytest.mark.parametrize("gaps, scale", [([[np.nan]], 1.0), ([1.0], 1.0), ([[1.0]], 0.0), ([[1.0]], np.inf)])
def test_what_cannot_be_fitted_is_refused(gaps, scale):
    with pytest.raises(ValueError, match="finite gaps"):
        posterior(gaps, scale=scale)
