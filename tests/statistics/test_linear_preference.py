"""The posterior of a linear reward: against an optimum found in another way, and where it is known by hand."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize

from preferably.statistics.linear_preference import posterior


def test_without_a_verdict_it_is_the_prior():
    found = posterior(np.zeros((0, 3)), spreads=(3.0,))
    assert found.mean == pytest.approx(np.zeros(3)) and found.directions.shape == (0, 3)
    assert found.deviations([[1.0, 0, 0], [0, 3.0, 4.0]]) == pytest.approx([3, 15])


def test_it_is_where_the_posterior_is_highest_with_the_curvature_there():
    random = np.random.default_rng(0)
    gaps = random.standard_normal((40, 4)) + [1.0, 0.5, 0, 0]
    chances, counts = random.choice([0.0, 0.3, 0.5, 1.0], 40), random.uniform(0.2, 2, 40)
    found = posterior(gaps, chances=chances, counts=counts, spreads=(2.0,))

    def lost(weights):
        odds = gaps @ weights
        said = chances * np.logaddexp(0, -odds) + (1 - chances) * np.logaddexp(0, odds)
        return counts @ said + weights @ weights / 8  # 1 / (2 * 2^2)

    best = minimize(lost, np.zeros(4), method="BFGS", options={"gtol": 1e-9})
    assert found.mean == pytest.approx(best.x, abs=1e-6)
    at, step = found.mean, 1e-4
    around = [[sum(sign_a * sign_b * lost(at + step * (sign_a * a + sign_b * b)) for sign_a in (1, -1)
                   for sign_b in (1, -1)) / (4 * step**2) for b in np.eye(4)] for a in np.eye(4)]  # fmt: skip
    covariance = np.linalg.inv(np.array(around))
    asked = random.standard_normal((5, 4))
    assert found.deviations(asked) == pytest.approx(np.sqrt(np.diag(asked @ covariance @ asked.T)), abs=1e-4)


def test_more_features_than_verdicts_are_as_if_all_were_looked_at():
    """Two verdicts on three of six features: what nobody was asked about stays as it was."""
    gaps = np.array([[1.0, 2, 0, 0, 0, 0], [0, 1.0, 1, 0, 0, 0]])
    found, small = posterior(gaps, spreads=(2.0,)), posterior(gaps[:, :3], spreads=(2.0,))
    assert found.mean == pytest.approx([*small.mean, 0, 0, 0])
    p = 1 / (1 + np.exp(-gaps @ found.mean))
    covariance = np.linalg.inv(gaps.T @ np.diag(p * (1 - p)) @ gaps + np.eye(6) / 4)
    asked = np.random.default_rng(1).standard_normal((4, 6))
    assert found.deviations(asked) == pytest.approx(np.sqrt(np.diag(asked @ covariance @ asked.T)))


def test_the_evidence_is_nearly_the_integral_and_chooses_the_spread():
    gaps = np.array([[1.0]] * 30 + [[-1.0]] * 10)

    def chance(weight, spread):
        said = np.exp(-np.logaddexp(0, -gaps[:, 0] * weight).sum())
        return said * np.exp(-(weight**2) / (2 * spread**2)) / (spread * np.sqrt(2 * np.pi))

    whole = {spread: np.log(quad(chance, -1, 4, args=(spread,), points=[0, 1])[0]) for spread in (0.1, 1.0, 8.0)}
    for spread, value in whole.items():
        assert posterior(gaps, spreads=(spread,)).evidence == pytest.approx(value, abs=0.02)
    assert max(whole, key=whole.get) == posterior(gaps, spreads=(0.1, 1.0, 8.0)).spread == 1.0


def test_one_sided_verdicts_keep_it_finite():
    found = posterior(np.full((500, 1), 50.0), spreads=(4.0,))
    assert 0 < found.mean[0] < 4 and np.isfinite(found.factor).all()


def test_a_tie_holds_two_together():
    found = posterior([[1.0, 0], [0, 1.0]], chances=[0.5, 1.0], counts=[50, 1], spreads=(2.0,))
    assert found.mean[0] == pytest.approx(0) and found.mean[1] > 0.5
    assert found.scores([[1.0, 1.0]]) == pytest.approx([found.mean.sum()])
    assert found.deviations([1.0, 0]) < found.deviations([0, 1.0]) / 4


@pytest.mark.parametrize("gaps, more", [
    ([[np.nan]], {}), ([1.0], {}), ([[1.0]], {"spreads": (0.0,)}), ([[1.0]], {"spreads": ()}),
    ([[1.0]], {"chances": [1.5]}), ([[1.0]], {"counts": [1.0, 1.0]}),
])  # fmt: skip
def test_what_cannot_be_fitted_is_refused(gaps, more):
    with pytest.raises(ValueError, match="Expected"):
        posterior(gaps, **more)
