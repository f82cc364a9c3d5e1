"""One coin a labeler: against the likelihood worked out over all truths, and against labelers that are known."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from preferably.statistics.coin import Verdicts, log_odds, one_coin


def crowd(rng, n, chances, each=None):
    """Verdicts of labelers who are right with these chances, `each` on a question; and the truth."""
    each = each or len(chances)
    truth = rng.integers(0, 2, n)
    labelers = np.argsort(rng.random((n, len(chances))), 1)[:, :each].ravel()
    units = np.repeat(np.arange(n), each)
    right = rng.random(n * each) < np.array(chances)[labelers]
    sides = np.where(right, truth[units], 1 - truth[units])
    return Verdicts(units, labelers, sides, np.ones(n, dtype=bool), len(chances)), truth


def likelihood(verdicts, chances, share=0.5):
    """Nats, unit by unit from the definition: the sum over both truths of the product over verdicts."""
    total = 0.0
    for unit in range(len(verdicts.turnable)):
        mine = verdicts.units == unit
        both = []
        for truth, prior in ((1, share), (0, 1 - share)):
            right = verdicts.sides[mine] == truth
            p = np.array(chances)[verdicts.labelers[mine]]
            both.append(prior * np.prod(np.where(right, p, 1 - p)))
        total += np.log(sum(both))
    return total


def test_it_is_the_largest_likelihood():
    verdicts, _ = crowd(np.random.default_rng(0), 120, [0.9, 0.8, 0.7])
    found = one_coin(verdicts, prior=1e-9)
    best = likelihood(verdicts, found.accuracy)
    for at, change in product(range(3), (-0.02, 0.02)):
        other = found.accuracy.copy()
        other[at] += change
        assert likelihood(verdicts, other) < best
    assert found.converged and found.answered.tolist() == [120] * 3


def test_the_ends_of_the_interval_are_where_the_profile_likelihood_falls_by_the_quantile():
    verdicts, _ = crowd(np.random.default_rng(1), 80, [0.85, 0.8, 0.7])
    found = one_coin(verdicts, prior=1e-9)
    best = likelihood(verdicts, found.accuracy)
    interval = found.interval(1)

    def profile(p):
        """The best over the chances of the two others, by coordinates."""
        chances = found.accuracy.copy()
        chances[1] = p
        for _ in range(12):
            for at in (0, 2):

                def worse(q, at=at):
                    return -likelihood(verdicts, [q if k == at else chances[k] for k in range(3)])

                chances[at] = minimize_scalar(worse, bounds=(0.5, 0.9999), method="bounded").x
        return likelihood(verdicts, chances)

    for end in (interval.low, interval.high):
        assert 2 * (best - profile(end)) == pytest.approx(3.841, abs=0.15)


def test_chances_come_back_and_intervals_hold_them():
    held = []
    for seed in range(60):
        chances = [0.95, 0.85, 0.75, 0.6, 0.5, 0.8]
        found = one_coin(crowd(np.random.default_rng(seed), 250, chances, 3)[0])
        held += [chance in found.interval(at) for at, chance in enumerate(chances)]
    assert 0.92 <= np.mean(held) <= 0.98  # 360 of 95%: three standard deviations


def test_the_truth_is_found_better_than_by_votes():
    verdicts, truth = crowd(np.random.default_rng(2), 2000, [0.95, 0.9, 0.55, 0.55, 0.6])
    votes = np.bincount(verdicts.units, verdicts.signs)
    assert ((one_coin(verdicts).log_odds > 0) == truth).mean() > ((votes > 0) == truth).mean() + 0.03


def test_log_odds_by_hand():
    verdicts = Verdicts(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([1, 0, 0]), np.array([True, False, True]), 2)
    found = log_odds(verdicts, [0.8, 0.6], share=0.9)
    assert found == pytest.approx([np.log(4) - np.log(1.5), np.log(9) - np.log(1.5), 0.0])


def test_sides_that_cannot_be_turned_have_a_share():
    rng = np.random.default_rng(3)
    verdicts, truth = crowd(rng, 1500, [0.9, 0.85, 0.8])
    # most are good: of what is bad, two thirds are left out
    kept = (truth == 1) | (rng.random(1500) < 1 / 3)
    some = kept[verdicts.units]
    place = np.cumsum(kept) - 1
    units = place[verdicts.units[some]]
    thumbs = Verdicts(units, verdicts.labelers[some], verdicts.sides[some], np.zeros(kept.sum(), dtype=bool), 3)
    found = one_coin(thumbs)
    assert found.share == pytest.approx(0.75, abs=0.04)
    assert found.accuracy == pytest.approx([0.9, 0.85, 0.8], abs=0.04) and 0.9 in found.interval(0)


def test_who_shares_nothing_is_not_told():
    verdicts = Verdicts(np.array([0, 0, 1]), np.array([0, 1, 2]), np.array([1, 1, 0]), np.ones(2, dtype=bool), 3)
    found = one_coin(verdicts)
    assert found.interval(2) is None and found.accuracy[2] == 0.5 and found.answered.tolist() == [1, 1, 0]
    with pytest.raises(ValueError, match="two labelers"):
        one_coin(Verdicts(np.array([0]), np.array([0]), np.array([1]), np.ones(1, dtype=bool), 1))


def test_an_interval_of_one_who_was_never_wrong_ends_at_one():
    verdicts, _ = crowd(np.random.default_rng(4), 100, [1.0, 1.0, 0.8])
    found = one_coin(verdicts)
    # The likelihood of no error in 100 is p^100, which falls by 1.92 nats at exp(-0.0192).
    assert found.interval(0).high == 1 and found.interval(0).low == pytest.approx(np.exp(-0.0192), abs=0.002)
