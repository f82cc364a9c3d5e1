"""Cost and days, by hand."""

import pytest

from preferably.labeling.forecast import forecast
from preferably.labeling.project import Pay

NOTHING = {"answers": 0, "gold": 0, "seconds": {}, "wanted": 10, "days": {}, "today": "2026-11-26"}
SPEEDS = {"ada": [10.0] * 20, "ben": [20.0] * 20, "chloe": [30.0] * 20}  # means 10, 20, 30; 1,200 seconds


def test_pay_by_the_judgment_is_known():
    found = forecast(Pay(per_judgment=0.5), **NOTHING | {"answers": 40, "gold": 8, "wanted": 100})
    assert found.spent == 20
    assert found.left == 125  # 100 of 40 - 8: a fifth of what is given is gold
    assert (found.cost.low, found.cost.middle, found.cost.high) == (62.5, 62.5, 62.5)


def test_pay_by_the_hour_ranges_with_the_speeds_of_people():
    found = forecast(Pay(per_hour=36, per_judgment=0.1), **NOTHING | {"answers": 60, "seconds": SPEEDS, "wanted": 100})
    assert found.spent == pytest.approx(60 * 0.1 + 36 * 1200 / 3600)
    # the tenths of 10, 20, 30 are 12 and 28; a second costs 0.01
    assert found.cost.low == pytest.approx(100 * (0.1 + 0.12))
    assert found.cost.middle == pytest.approx(100 * (0.1 + 0.20))
    assert found.cost.high == pytest.approx(100 * (0.1 + 0.28))
    assert found.untimed == 0


@pytest.mark.parametrize("speeds", [{}, {"ada": [9.0] * 50, "ben": [9.0] * 50}, {n: [9.0] * 9 for n in "abcdef"}])
def test_too_few_speeds_make_no_forecast(speeds):
    found = forecast(Pay(per_hour=20), **NOTHING | {"answers": 100, "seconds": speeds})
    assert found.cost is None and "not sure yet" in found.cost_why
    assert found.untimed == 100 - sum(map(len, speeds.values()))


def test_no_pay_no_cost():
    found = forecast(Pay(), **NOTHING)
    assert found.cost is None and found.cost_why == "the project names no pay"


def test_days_by_the_pace_before_today():
    days = {"2026-11-22": 10, "2026-11-23": 14, "2026-11-25": 12, "2026-11-26": 3}  # the 24th has none
    found = forecast(Pay(), **NOTHING | {"answers": 39, "wanted": 90, "days": days})
    assert found.days.middle == pytest.approx(90 / 9)
    # mean 9, deviations 1, 5, -9, 3: sd sqrt(116 / 3), half width t(3; 0.975) = 3.18245 times sd / 2
    half = 3.1824463 * (116 / 3) ** 0.5 / 2
    assert found.days.low == pytest.approx(90 / (9 + half), rel=1e-6)
    assert found.days.high is None  # 9 - half is below none


def test_days_with_a_bound_on_both_sides():
    days = {"2026-11-22": 30, "2026-11-23": 32, "2026-11-24": 31, "2026-11-25": 31}
    found = forecast(Pay(), **NOTHING | {"answers": 124, "wanted": 62, "days": days})
    half = 3.1824463 * (2 / 3) ** 0.5 / 2
    assert found.days.high == pytest.approx(62 / (31 - half), rel=1e-6)


def test_too_few_days_and_nothing_left():
    days = {"2026-11-24": 30, "2026-11-25": 30}
    found = forecast(Pay(), **NOTHING | {"answers": 60, "days": days})
    assert found.days is None and "3 whole days" in found.days_why
    done = forecast(Pay(per_hour=9), **NOTHING | {"answers": 60, "days": days, "wanted": 0})
    assert done.days.middle == 0 and done.cost.high == 0
