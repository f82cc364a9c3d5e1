"""The chance to be right, from how sure the others are; by hand and against known labelers."""

import numpy as np
import pytest

from preferably.statistics.edge import chance_right
from preferably.statistics.shares import share


def test_where_the_others_are_sure_it_is_the_share_of_right_verdicts():
    found = chance_right([[1.0]] * 8 + [[-1.0]] * 2)
    assert found.value == pytest.approx(0.8) and found.n == 10
    # 8 log p + 2 log (1 - p) falls by 1.92 from its top
    best = 8 * np.log(0.8) + 2 * np.log(0.2)
    for end in (found.interval.low, found.interval.high):
        assert 2 * (best - 8 * np.log(end) - 2 * np.log(1 - end)) == pytest.approx(3.8415, abs=1e-3)
    assert abs(found.interval.low - share(8, 10).interval.low) < 0.05


def test_one_who_was_never_wrong():
    found = chance_right([[1.0]] * 50)
    assert found.value == 1 and found.interval.high == 1
    assert found.interval.low == pytest.approx(np.exp(-3.8415 / 2 / 50), abs=1e-4)  # p^50 falls by 1.92 nats


def test_chances_come_back_whatever_the_others_know():
    rng, held = np.random.default_rng(0), []
    for _ in range(200):
        sure = rng.uniform(0.2, 0.98, 300)
        truth = np.where(rng.random(300) < (1 + sure) / 2, 1, -1)  # the others are as often right as they are sure
        said = np.where(rng.random(300) < 0.8, truth, -truth)
        held.append(0.8 in chance_right([[pull] for pull in sure * said]).interval)
    assert abs(np.mean(held) - 0.95) <= 3 * (0.95 * 0.05 / 200) ** 0.5


def test_verdicts_of_one_record_that_are_the_same_know_no_more_than_one():
    rng = np.random.default_rng(1)
    pulls = np.where(rng.random(100) < 0.8, 0.9, -0.9)
    alone, thrice = chance_right([[one] for one in pulls]), chance_right([[one] * 3 for one in pulls])
    assert thrice.value == pytest.approx(alone.value)
    assert thrice.interval.low == pytest.approx(alone.interval.low, abs=1e-3)
    assert thrice.interval.high == pytest.approx(alone.interval.high, abs=1e-3)


def test_where_nobody_knows_nothing_is_told():
    assert chance_right([[0.0], [0.0]]) is None and chance_right([]) is None
