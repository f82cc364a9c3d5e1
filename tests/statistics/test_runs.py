"""Runs and their chances, by counting all throws."""

from itertools import product

import pytest

from preferably.statistics.runs import longest_run, run_chance


def test_the_longest_run():
    assert longest_run([1, 1, 0, 0, 0, 1]) == 3 and longest_run([]) == 0 and longest_run(["a"]) == 1


@pytest.mark.parametrize("n", [1, 2, 5, 10])
def test_the_chance_by_counting_all_throws(n):
    throws = [longest_run(one) for one in product((0, 1), repeat=n)]
    for longest in range(1, n + 2):
        assert run_chance(longest, n) == pytest.approx(sum(one >= longest for one in throws) / 2**n, abs=1e-12)


def test_twenty_running_of_a_thousand_is_no_accident_and_eight_is():
    assert run_chance(20, 1000) < 0.001 < 0.9 < run_chance(8, 1000)
