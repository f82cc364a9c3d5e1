"""Plackett-Luce against arithmetic, and against brute force over all orders that ties leave open."""

import math
from itertools import combinations, permutations

import pytest
import torch

from preferably.objectives.listwise import plackett_luce


def likelihood(scores, order):
    """-log probability of one strict order, by the definition: draw the next one out of those that are left."""
    left, total = list(order), 0.0
    while left:
        total += math.log(sum(math.exp(scores[k]) for k in left)) - scores[left[0]]
        left.pop(0)
    return total


def test_the_example_of_the_docstring():
    loss = plackett_luce(torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64), (1, 1, 1))
    assert float(loss) == pytest.approx(0.4076 + 0.3133, abs=1e-4)


def test_of_two_it_is_bradley_and_terry():
    scores = torch.tensor([[1.5, -0.5], [0.0, 0.0], [-3.0, 2.0]])
    expected = -torch.nn.functional.logsigmoid(scores[:, 0] - scores[:, 1])
    assert torch.allclose(plackett_luce(scores, (1, 1)), expected)
    assert float(plackett_luce(scores, (1, 1))[1]) == pytest.approx(math.log(2))


def test_a_tie_of_two_is_half_a_win_each():
    scores = torch.tensor([[1.5, -0.5]])
    apart = scores[:, 0] - scores[:, 1]
    expected = -(torch.nn.functional.logsigmoid(apart) + torch.nn.functional.logsigmoid(-apart)) / 2
    assert torch.allclose(plackett_luce(scores, (2,)), expected)


@pytest.mark.parametrize("blocks", [(1, 1, 1, 1), (1, 2, 1), (2, 2), (3, 1), (1, 3), (4,), (1, 1, 2), (2, 1, 1, 1)])
def test_ties_are_the_mean_over_the_orders_that_they_leave_open(blocks):
    size = sum(blocks)
    scores = torch.randn(3, size, dtype=torch.float64, generator=torch.Generator().manual_seed(size))
    starts = [sum(blocks[:at]) for at in range(len(blocks))]
    orders = [()]
    for start, block in zip(starts, blocks, strict=True):
        orders = [(*order, *more) for order in orders for more in permutations(range(start, start + block))]
    expected = [sum(likelihood(row, order) for order in orders) / len(orders) for row in scores.tolist()]
    assert plackett_luce(scores, blocks).tolist() == pytest.approx(expected, abs=1e-12)


def test_only_differences_of_scores_count():
    scores = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    loss = plackett_luce(scores, (1, 2))
    assert torch.allclose(loss, plackett_luce(scores + 7.0, (1, 2)))
    (gradient,) = torch.autograd.grad(loss.sum(), scores)
    assert torch.allclose(gradient.sum(1), torch.zeros(4, dtype=torch.float64), atol=1e-12)


def over_subsets(row, size):
    """The loss of a first block of `size`, subset by subset: 2^size of them."""
    total = -sum(row[:size])
    for chosen in range(1, size + 1):
        sums = [math.log(sum(map(math.exp, [*one, *row[size:]]))) for one in combinations(row[:size], chosen)]
        total += sum(sums) / len(sums)
    return total


@pytest.mark.parametrize(("size", "rest", "spread"), [(12, 0, 1.0), (12, 2, 5.0), (10, 1, 50.0), (2, 1, 300.0)])
def test_large_ties_are_exact_also_where_scores_lie_far_apart(size, rest, spread):
    scores = spread * torch.randn(2, size + rest, dtype=torch.float64, generator=torch.Generator().manual_seed(size))
    below = range(size, size + rest)
    expected = [over_subsets(row, size) + likelihood(row, below) for row in scores.tolist()]
    assert plackett_luce(scores, (size, *[1] * rest)).tolist() == pytest.approx(expected, rel=1e-12, abs=1e-10)


def test_the_gradient_of_a_large_tie_is_that_of_its_differences():
    scores = torch.randn(2, 14, dtype=torch.float64, generator=torch.Generator().manual_seed(3), requires_grad=True)
    assert torch.autograd.gradcheck(lambda some: plackett_luce(some, (1, 12, 1)), scores)


def test_a_tie_of_a_hundred_that_are_equal_loses_log_of_its_orders():
    scores = torch.zeros(1, 101, requires_grad=True)
    loss = plackett_luce(scores, (100, 1))
    assert loss.item() == pytest.approx(math.lgamma(102), rel=1e-6)  # 101 follow in any order, the last one last
    (gradient,) = torch.autograd.grad(loss.sum(), scores)
    assert gradient.isfinite().all() and float(gradient[0, -1]) > 0 > float(gradient[0, :-1].max())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_tie_with_a_score_that_is_not_finite_has_no_finite_loss(bad):
    assert not plackett_luce(torch.tensor([[bad, 0.0, 1.0], [0.0, 1.0, 2.0]]), (3,)).isfinite()[0]


def test_scores_that_are_equal_lose_log_of_the_orders():
    assert float(plackett_luce(torch.zeros(1, 4), (1, 1, 1, 1))) == pytest.approx(math.log(24))
    assert float(plackett_luce(torch.zeros(1, 4), (2, 2))) == pytest.approx(math.log(24))


def test_blocks_that_do_not_add_up_are_refused():
    with pytest.raises(ValueError, match="are of 3 completions, and there are scores of 4"):
        plackett_luce(torch.zeros(1, 4), (1, 2))
