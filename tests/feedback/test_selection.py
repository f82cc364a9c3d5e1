"""What to ask next: figures by hand, and orders that can be relied on."""

from math import log

import numpy as np
import pytest

from preferably.feedback.selection import (
    covering,
    disagreement,
    doubt,
    drawn,
    order_of,
    uncertainty,
    verdicts,
)

SURE = 200.0  # nats of log-odds: a chance of 1


def entropy(*chances):
    return -sum(p * log(p) for p in chances if p)


def test_models_that_agree_tell_nothing_and_sure_ones_that_do_not_tell_ln_2():
    scores = np.array([[[SURE, 0], [1.0, 0.5]], [[0, SURE], [1.0, 0.5]]])
    assert disagreement(scores, noise=0) == pytest.approx([log(2), 0])
    assert uncertainty(scores, noise=0)[0] == pytest.approx(log(2))


def test_noise_takes_from_what_a_verdict_tells():
    """Of two sure models, one for each: H(1/2) less the entropy of a verdict that is right with 1 - 0.2 + 0.1."""
    scores = [[[SURE, 0]], [[0, SURE]]]
    assert disagreement(scores, noise=0.2) == pytest.approx([log(2) - entropy(0.9, 0.1)])
    told = [disagreement(scores, noise=noise)[0] for noise in (0, 0.1, 0.3, 0.9)]
    assert told == sorted(told, reverse=True) and told[-1] < 0.01


def test_a_toss_up_is_as_uncertain_as_a_dispute_but_tells_nothing():
    dispute, toss_up = [[SURE, 0], [0, 0]], [[0, SURE], [0, 0]]
    assert uncertainty([dispute, toss_up], noise=0) == pytest.approx([log(2), log(2)])
    assert disagreement([dispute, toss_up], noise=0) == pytest.approx([log(2), 0])


def test_of_three_completions_the_verdict_is_the_best_one():
    third = 2 / 3 * 0.9 + 0.1 / 3  # of exp(ln 4), 1, 1 the first has 4/6
    assert verdicts([[log(4), 0, 0]], 0.1)[0] == pytest.approx([third, (1 - third) / 2, (1 - third) / 2])
    assert uncertainty([[[log(4), 0, 0]]], noise=0) == pytest.approx([entropy(2 / 3, 1 / 6, 1 / 6)])


def test_a_padded_group_is_the_smaller_group():
    padded = [[[2.0, 0, -np.inf]], [[0, 1.0, -np.inf]]]
    plain = [[[2.0, 0]], [[0, 1.0]]]
    assert disagreement(padded) == pytest.approx(disagreement(plain))


def test_doubt_is_the_chance_that_the_lead_is_none():
    """A lead of 1 with a deviation of 1 is lost with 15.87%, the share of a normal distribution below -1."""
    found = doubt([0, 1.0, 2.0, 3.0], [5.0, 1.0, 1.0, 3.0])
    assert found == pytest.approx([0.5, 0.158655, 0.0227501, 0.158655], abs=1e-6)
    assert doubt([0, 1.0], [0, 0]).tolist() == [0, 0]  # those that are alike leave nothing to ask


def test_a_prompt_is_not_asked_about_again_and_again():
    found = covering([9.0, 8.0, 7.0, 4.0], ["a", "a", "a", "b"])
    assert found == pytest.approx([9, 4, 7 / 3, 4])
    assert order_of(found).tolist() == [0, 1, 3, 2]


def test_ties_keep_their_order():
    assert order_of([1.0, 2.0, 1.0, 2.0]).tolist() == [1, 3, 0, 2]
    assert covering([1.0, 1.0, 1.0], "aab") == pytest.approx([1, 0.5, 1])


def test_chance_is_drawn_by_its_seed_and_leaves_nobody_out():
    assert sorted(drawn(50, 1).tolist()) == list(range(1, 51))
    assert (drawn(50, 1) == drawn(50, 1)).all() and (drawn(50, 1) != drawn(50, 2)).any()


@pytest.mark.parametrize("call, message", [
    (lambda: uncertainty([[[np.nan, 0]]]), "numbers"),
    (lambda: disagreement([[[np.inf, 0]], [[0, 0]]]), "numbers"),
    (lambda: uncertainty([[[1.0]]]), "fewer than two"),
    (lambda: uncertainty([[[1.0, -np.inf]]]), "fewer than two"),
    (lambda: uncertainty([[1.0, 0]]), "ensemble"),
    (lambda: uncertainty([[[1.0, 0]]], noise=1.0), "below 1"),
    (lambda: disagreement([[[1.0, 0]]]), "One model"),
    (lambda: doubt([-1.0], [1.0]), "0 or more"),
    (lambda: doubt([1.0], [np.nan]), "0 or more"),
    (lambda: covering([np.nan], "a"), "as many numbers"),
    (lambda: covering([1.0], "ab"), "as many numbers"),
    (lambda: order_of([1.0, np.nan]), "no number"),
])  # fmt: skip
def test_what_is_no_number_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
