"""By hand."""

import pytest

from preferably.statistics.concentration import gini, top_share


def test_gini_by_hand():
    assert gini([5, 5, 5]) == 0 and gini([1, 3]) == 0.25 and gini([0, 0, 0, 8]) == pytest.approx(0.75)
    # the mean absolute difference over twice the mean: |1-2|, |1-6|, |2-6| twice over nine, over 6
    assert gini([1, 2, 6]) == pytest.approx(2 * (1 + 5 + 4) / 9 / 6)
    assert gini([]) is None and gini([0, 0]) is None


def test_the_top_fifth_is_rounded_up():
    assert top_share([8, 1, 1, 0, 0]) == (0.8, 1) and top_share([4, 3, 1, 1, 1, 0]) == (0.7, 2)
    assert top_share([7]) == (1.0, 1) and top_share([]) is None
