"""Risk and coverage by hand."""

import numpy as np
import pytest

from preferably.statistics.calibration import calibration_p
from preferably.statistics.selective import aurc, aurc_interval, coverage_at, risks


def test_risks_by_hand():
    # Surest first: right, wrong, right, wrong.
    assert risks([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0]) == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert aurc([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0]) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_equal_confidences_stand_in_no_order():
    assert risks([0.5] * 4, [1, 0, 1, 0]) == pytest.approx([0.5] * 4)  # whatever the order of the rows
    assert aurc([0.5] * 4, [0, 0, 1, 1]) == aurc([0.5] * 4, [1, 1, 0, 0]) == 0.5


def test_perfect_order_is_better_than_chance_and_the_reverse_worse():
    right = [1, 1, 1, 0]
    assert aurc([4, 3, 2, 1], right) == pytest.approx(1 / 4 / 4)
    assert aurc([1, 2, 3, 4], right) == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


def test_coverage_at_a_risk():
    sure, right = [0.9, 0.8, 0.7, 0.6], [1, 1, 0, 1]
    assert coverage_at(sure, right, 0.0) == 0.5  # the first two
    assert coverage_at(sure, right, 0.25) == 1.0  # one of four
    assert coverage_at(sure, [0, 0, 0, 0], 0.5) == 0.0


def test_the_interval_holds_the_value_and_narrows():
    generator = np.random.default_rng(0)
    sure = generator.random(400)
    right = generator.random(400) < sure
    few, many = aurc_interval(sure[:50], right[:50]), aurc_interval(sure, right)
    assert aurc(sure, right) in many and many.high - many.low < few.high - few.low


def test_what_does_not_match_is_refused():
    for sure, right in (([], []), ([0.1], [1, 0]), ([float("nan")], [1])):
        with pytest.raises(ValueError, match="finite confidences"):
            risks(sure, right)


def test_true_probabilities_are_seldom_called_off_and_false_ones_always():
    generator = np.random.default_rng(1)
    predicted = generator.uniform(0.5, 1, (40, 200))
    true = [calibration_p(row, generator.random(200) < row, seed=at) for at, row in enumerate(predicted)]
    assert sum(p < 0.05 for p in true) <= 6  # 2 of 40 are expected; 7 or more would be 1 in 300
    assert calibration_p(np.full(200, 0.95), np.arange(200) < 120) < 0.002
