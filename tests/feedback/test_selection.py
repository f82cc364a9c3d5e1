"""What to ask next: information by hand, orders that can be relied on, and fewer labels where the truth is known."""

from math import log

import numpy as np
import pytest

from preferably.feedback.selection import (
    covering,
    disagreement,
    drawn,
    information,
    order_of,
    uncertainty,
    verdicts,
)
from preferably.statistics.linear_preference import posterior

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
    factor = np.arange(12.0).reshape(1, 3, 4) ** 2 / 50
    factor[:, 2] = 0
    assert information(padded[0], factor) == pytest.approx(information(plain[0], factor[:, :2]))


def test_information_of_a_pair_by_hand():
    """With M the mean of gap gap^T, a verdict on a gap x takes I x^T M x / (1 + I x^T x) off the trace of M; of a tie
    I is 1/4, and ((1 - noise) / 4)^2 / (1/4) with noise."""
    factor = np.array([[[3.0, 0], [0, 1.0]], [[0, 2.0], [0, 0]]])  # gaps (3, -1) and (0, 2)
    # M = [[9, -3], [-3, 5]] / 2, of trace 7; x^T M x is (10^2 + 2^2) / 2 and (2^2 + 4^2) / 2
    assert information([[0, 0], [0, 0]], factor, noise=0, ahead=0) == pytest.approx(
        [52 / 4 / (1 + 10 / 4) / 7, 10 / 4 / (1 + 4 / 4) / 7]
    )
    assert information([[0, 0]], factor[:1], noise=0.2) == pytest.approx([0.16 * 10 / (1 + 0.16 * 10)])
    certain = 0.8 * 0.2  # a gap of ln 4: I is p (1 - p) without noise
    assert information([[log(4), 0]], factor[:1], noise=0) == pytest.approx([certain * 10 / (1 + certain * 10)])


def test_information_adds_up_to_what_the_batch_takes_away():
    """The shares of one choice after another add up to 1 - tr((I + F)^-1 M) / tr(M), and never rise."""
    random = np.random.default_rng(3)
    scores, factor = random.standard_normal((12, 3)), random.standard_normal((12, 3, 5))
    found = information(scores, factor, noise=0)
    fisher, wanted = np.zeros((5, 5)), np.zeros((5, 5))
    for row, one in zip(scores, factor, strict=True):
        p = np.exp(row) / np.exp(row).sum()
        fisher += one.T @ (np.diag(p) - np.outer(p, p)) @ one
        wanted += sum(np.outer(one[k] - one[j], one[k] - one[j]) for k, j in ((0, 1), (0, 2), (1, 2)))
    left = np.trace(np.linalg.inv(np.eye(5) + fisher) @ wanted) / np.trace(wanted)
    assert found.sum() == pytest.approx(1 - left)
    alone = information(scores, factor, noise=0, ahead=0)
    assert found[order_of(found)[0]] == alone.max() and (found <= alone + 1e-12).all()


def test_what_is_asked_already_is_not_asked_in_other_words():
    """Two copies of the best question, and another one that tells less alone, but more beside the first."""
    same, other = [[2.0, 0], [0, 0]], [[0, 2.0], [0, 0]]
    found = information(np.zeros((3, 2)), [same, same, other], noise=0)
    assert order_of(found).tolist() == [0, 2, 1]
    # M is diag(8, 4) / 3, of trace 4. After one answer half of the variance of the first direction is left.
    assert found[1] == pytest.approx(4 * 0.25 * (8 / 3) / 4 / (1 + 2 / 4) / 4)


def test_what_is_odd_and_like_nothing_else_comes_late():
    """One group whose gap is twice as long, in a direction of its own, among 30 others: nothing is less certain."""
    common, odd = [[1.0, 0], [0, 0]], [[0, 2.0], [0, 0]]
    found = information(np.zeros((31, 2)), [odd, *[common] * 30], ahead=0)
    assert found[0] < found[1:].min()


def test_groups_beyond_those_chosen_have_what_they_would_add():
    random = np.random.default_rng(4)
    factor = random.standard_normal((9, 2, 4))
    few, all_ = (information(np.zeros((9, 2)), factor, ahead=ahead) for ahead in (3, 9))
    best = order_of(all_)[:4]
    assert order_of(few)[:4].tolist() == best.tolist() and few[best] == pytest.approx(all_[best])


def test_a_prompt_is_not_asked_about_again_and_again():
    found = covering([9.0, 8.0, 7.0, 4.0], ["a", "a", "a", "b"])
    assert found == pytest.approx([9, 4, 7 / 3, 4])
    assert order_of(found).tolist() == [0, 1, 3, 2]


def test_ties_keep_their_order():
    assert order_of([1.0, 2.0, 1.0, 2.0]).tolist() == [1, 3, 0, 2]
    assert covering([1.0, 1.0, 1.0], "aab") == pytest.approx([1, 0.5, 1])
    level = information(np.zeros((5, 2)), np.repeat([[[1.0], [0]]], 5, 0))
    assert order_of(level).tolist() == [0, 1, 2, 3, 4]


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
    (lambda: information([[0, 0]], [[[np.nan], [0]]]), "finite factor"),
    (lambda: information([[0, 0]], [[[1.0]]]), "finite factor"),
    (lambda: information([[0, 0]], [[[1.0], [0]]], ahead=-1), "ahead"),
    (lambda: covering([np.nan], "a"), "as many numbers"),
    (lambda: covering([1.0], "ab"), "as many numbers"),
    (lambda: order_of([1.0, np.nan]), "no number"),
])  # fmt: skip
def test_what_is_no_number_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# A planted world: the reward is linear in ten features; most pairs differ in two of them only, which are soon known.

FEATURES, PAIRS = 10, 600
USUAL = np.array([1.0, 1.0] + [0.1] * (FEATURES - 2))


def errors(seed, ask, sizes=(20, 40, 80)):
    """How far the fitted weights are from the planted ones at each number of labels, as a share of their length."""
    random = np.random.default_rng(seed)
    truth = random.standard_normal(FEATURES) * 2
    rare = random.random((PAIRS, 1)) < 0.15
    gaps = random.standard_normal((PAIRS, FEATURES)) * np.where(rare, 1.0, USUAL)
    first = random.random(PAIRS) < 1 / (1 + np.exp(-gaps @ truth))  # the same answers, whoever asks
    told = np.where(first[:, None], gaps, -gaps)
    free, asked, found = list(range(PAIRS)), [], []
    for size in sizes:
        known = posterior(told[asked], scale=2.0)
        priorities = ask(known, np.stack([gaps, np.zeros_like(gaps)], 1)[free], seed)
        asked += [free[at] for at in order_of(priorities)[: size - len(asked)]]
        free = [at for at in range(PAIRS) if at not in asked]
        fitted = posterior(told[asked], scale=2.0).mean
        found.append(1 - fitted @ truth / np.linalg.norm(fitted) / np.linalg.norm(truth))
    return found


def by_chance(known, features, seed):
    return drawn(len(features), seed + len(features))


def by_information(known, features, seed):
    return information(known.scores(features), features @ known.factor, noise=0)


def test_information_needs_fewer_labels_where_the_truth_is_known():
    """With half of the labels it is closer to the truth than chance is with all of them, by the mean of five seeds;
    with as many, on every seed."""
    chance = np.array([errors(seed, by_chance) for seed in range(5)])
    informed = np.array([errors(seed, by_information) for seed in range(5)])
    assert (informed[:, :-1].mean(0) < chance[:, 1:].mean(0)).all()
    assert (informed < chance).all()
