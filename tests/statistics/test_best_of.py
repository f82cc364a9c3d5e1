"""Best of n by counting, beside all subsets one by one."""

from itertools import combinations
from math import log
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preferably.statistics.best_of import expected_best, most_kl


def one_by_one(scores, values, n):
    means = []
    for subset in combinations(range(len(scores)), n):
        top = max(scores[k] for k in subset)
        means.append(fmean(values[k] for k in subset if scores[k] == top))
    return fmean(means)


candidates = st.lists(st.tuples(st.integers(0, 3), st.floats(-5, 5)), min_size=1, max_size=7)


@given(candidates, st.data())
def test_counting_is_as_going_through_all_subsets(drawn, data):
    """Candidates with equal scores have one value here: with several, which of them is taken is for chance to say."""
    n = data.draw(st.integers(1, len(drawn)))
    by_score = {score: value for score, value in drawn}
    scores = [score for score, _ in drawn]
    values = [by_score[score] for score in scores]
    assert expected_best(scores, values, n) == pytest.approx(one_by_one(scores, values, n), abs=1e-9)


def test_of_one_it_is_the_mean_and_of_all_the_value_of_the_best():
    scores, values = [0.1, 0.9, 0.5], [10.0, 20.0, 60.0]
    assert expected_best(scores, values, 1) == pytest.approx(30.0)
    assert expected_best(scores, values, 3) == pytest.approx(20.0)
    assert expected_best([1.0, 1.0], [0.0, 4.0], 2) == pytest.approx(2.0)


def test_the_distance_grows_with_the_logarithm():
    assert most_kl(1) == 0.0
    assert most_kl(16) == pytest.approx(log(16) - 15 / 16)
