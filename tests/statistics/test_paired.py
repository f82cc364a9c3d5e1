"""McNemar's exact test by hand."""

import pytest

from preferably.statistics.paired import mcnemar


def test_changes_are_counted_and_tested_as_a_coin():
    found = mcnemar([False] * 8 + [True] * 3 + [None], [True] * 8 + [True, False, None] + [True])
    assert (found.gained, found.lost) == (8, 1)
    assert found.p == pytest.approx(2 * (1 + 9) / 2**9)  # 0 or 1 of 9, both sides


def test_nothing_changed_is_no_evidence():
    assert mcnemar([True, False], [True, False]).p == 1
    with pytest.raises(ValueError):
        mcnemar([True], [])
