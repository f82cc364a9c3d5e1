"""Labelers of known reliability come back from what they said."""

import numpy as np
import pytest

from preferably.statistics.reliability import dawid_skene


def crowd(rng, n, confusions, share=0.5, judged=1.0):
    """Verdicts of labelers with the given confusion matrices on n units of two categories; and the truth."""
    truth = (rng.random(n) < share).astype(int)
    table = np.stack([(rng.random(n) < matrix[truth, 1]).astype(int) for matrix in confusions], 1)
    return np.where(rng.random(table.shape) < judged, table, -1), truth


def matrix(right_on_0, right_on_1):
    return np.array([[right_on_0, 1 - right_on_0], [1 - right_on_1, right_on_1]])


CROWD = [matrix(0.9, 0.9), matrix(0.8, 0.8), matrix(0.95, 0.6), matrix(0.6, 0.95), matrix(0.5, 0.5)]


def test_confusions_come_back_and_the_truth_is_found_better_than_by_votes():
    table, truth = crowd(np.random.default_rng(0), 4000, CROWD, share=0.3, judged=0.8)
    found = dawid_skene(table)
    assert found.converged and np.allclose(found.confusion.sum(2), 1) and np.allclose(found.posterior.sum(1), 1)
    assert np.abs(found.confusion - np.array(CROWD)).max() < 0.06
    assert found.shares[1] == pytest.approx(0.3, abs=0.03)
    votes = np.array([np.mean(row[row >= 0]) if (row >= 0).any() else 0.3 for row in table]) > 0.5
    assert np.mean(found.posterior.argmax(1) == truth) > np.mean(votes == truth) + 0.02
    assert found.accuracy[0] == pytest.approx(0.9, abs=0.03)


def test_one_coin_finds_the_one_who_guesses():
    table, truth = crowd(np.random.default_rng(1), 600, [matrix(p, p) for p in (0.9, 0.85, 0.8, 0.5)])
    found = dawid_skene(table, one_coin=True)
    assert found.accuracy == pytest.approx([0.9, 0.85, 0.8, 0.5], abs=0.06)
    assert np.mean(found.posterior.argmax(1) == truth) > 0.9
    for one in found.confusion:  # one chance, whatever is true
        assert one[0, 0] == pytest.approx(one[1, 1])


def test_em_never_makes_the_likelihood_worse():
    table, _ = crowd(np.random.default_rng(2), 300, CROWD)
    found = [dawid_skene(table, most=steps).log_likelihood for steps in range(1, 12)]
    assert all(later >= earlier - 1e-9 for earlier, later in zip(found, found[1:], strict=False))


def test_units_that_nobody_judged_have_the_shares_of_all():
    table, _ = crowd(np.random.default_rng(3), 200, CROWD, share=0.2)
    table[7] = -1
    found = dawid_skene(table)
    assert found.posterior[7] == pytest.approx(found.shares)


def test_three_categories_by_hand():
    """Everybody agrees: the truth is what they say, and everybody is right."""
    table = np.array([[0] * 3, [1] * 3, [2] * 3] * 20)
    found = dawid_skene(table)
    assert (found.posterior.argmax(1) == table[:, 0]).all() and found.accuracy.min() > 0.99
    assert found.shares == pytest.approx([1 / 3] * 3)


def test_one_step_of_em_by_hand():
    """Units (0, 0), (0, 1), (1, 1). Shares of votes: (1, 0), (1/2, 1/2), (0, 1).

    Shares of the categories: (1/2, 1/2). Labeler 1 said 0, 0, 1: where 0 is true 0 with a weight of 1 + 1/2 and 1
    never; where 1 is true 0 with 1/2, 1 with 1. Labeler 2 said 0, 1, 1, so the other way round. With 0.01 added:
    1.51 / 1.52 and 0.51 / 1.52 for what labeler 1 says of 0 and of 1.
    """
    found = dawid_skene(np.array([[0, 0], [0, 1], [1, 1]]), most=1)
    sure, half = 1.51 / 1.52, 1.01 / 1.52
    one, two = [[sure, 1 - sure], [1 - half, half]], [[half, 1 - half], [1 - sure, sure]]
    assert found.confusion == pytest.approx(np.array([one, two]), abs=1e-9)
    # Both said 0: 1/2 x sure x half if it is 0, 1/2 x (1 - half) x (1 - sure) if it is 1; the middle one is even.
    zero, other = sure * half, (1 - half) * (1 - sure)
    right = zero / (zero + other)
    assert found.posterior == pytest.approx(np.array([[right, 1 - right], [0.5, 0.5], [1 - right, right]]), abs=1e-9)
    middle = sure * (1 - half)  # of (0, 1), whichever is true
    assert found.log_likelihood == pytest.approx(2 * np.log((zero + other) / 2) + np.log(middle), abs=1e-8)
    assert found.shares == pytest.approx([0.5, 0.5]) and found.iterations == 1 and not found.converged


@pytest.mark.parametrize("bad", [[[0, 0]], [[-1, -1]], [0, 1], [[0.5, 1.0]]])
def test_nothing_to_fit_is_refused(bad):
    with pytest.raises(ValueError, match=r"Expected|two categories"):
        dawid_skene(np.array(bad))
