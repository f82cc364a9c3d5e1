"""Calibration against planted probabilities and hand-made bins."""

import numpy as np
import pytest
from scipy.special import expit

from preferably.statistics.calibration import (
    calibration_error,
    calibration_interval,
    fit_temperature,
    log_loss,
    reliability,
)


def drawn(temperature, n=20_000, seed=0):
    """Margins whose true probability is sigmoid(margin / temperature), and what came of them."""
    generator = np.random.default_rng(seed)
    margins = generator.normal(0, 2, n)
    return margins, (generator.random(n) < expit(margins / temperature)).astype(float)


def test_bins_by_hand():
    predicted, observed = [0.1, 0.1, 0.9, 0.9], [0, 1, 1, 1]
    low, high = reliability(predicted, observed, bins=2)
    assert (low.predicted, low.observed, low.n) == (pytest.approx(0.1), 0.5, 2)
    assert (high.predicted, high.observed, high.n) == (pytest.approx(0.9), 1.0, 2)
    assert calibration_error(predicted, observed, bins=2) == pytest.approx(0.5 * 0.4 + 0.5 * 0.1)


def test_equal_predictions_share_a_bin_and_every_prediction_is_in_one():
    found = reliability([0.7] * 10, [1] * 7 + [0] * 3)
    assert [one.n for one in found] == [10] and calibration_error([0.7] * 10, [1] * 7 + [0] * 3) == pytest.approx(0)
    generator = np.random.default_rng(1)
    values = generator.random(997)
    assert sum(one.n for one in reliability(values, values > 0.5)) == 997


def test_what_is_calibrated_has_no_error_but_chance():
    margins, came = drawn(1.0)
    sure = expit(margins)
    assert calibration_error(sure, came) < 0.02
    interval = calibration_interval(sure[:2000], came[:2000])
    assert interval.low <= calibration_error(sure[:2000], came[:2000]) <= interval.high + 0.01


@pytest.mark.parametrize("planted", [0.5, 1.0, 3.0])
def test_a_planted_temperature_is_found_and_mends_the_error(planted):
    margins, came = drawn(planted)
    found = fit_temperature(margins[::2], came[::2])
    assert found == pytest.approx(planted, rel=0.08)
    before, after = (calibration_error(expit(margins[1::2] / t), came[1::2]) for t in (1.0, found))
    assert after < 0.03 and (planted == 1.0 or after < before / 2)


def test_log_loss_of_a_coin_is_ln_2():
    assert log_loss([0.0, 0.0], [1, 0]) == pytest.approx(np.log(2))
    assert log_loss([2.0], [1]) == pytest.approx(-np.log(expit(2.0)))


@pytest.mark.parametrize(("predicted", "observed"), [([], []), ([0.5], [1, 0]), ([1.5], [1]), ([float("nan")], [1])])
def test_what_are_no_probabilities_is_refused(predicted, observed):
    with pytest.raises(ValueError):
        reliability(predicted, observed)
