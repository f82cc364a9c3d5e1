"""Advantages, clipping and KL estimates against arithmetic and plain definitions."""

import math

import pytest
import torch

from preferably.objectives.advantages import gae, leave_one_out, whitened, within_group
from preferably.objectives.kl import k1, k2, k3
from preferably.objectives.policy import clipped, clipped_value

DOUBLE = {"dtype": torch.float64}


def slowly(rewards, values, gamma, lam):
    """The definition: A_t is the sum over k of (gamma lambda)^k delta_{t+k}, in O(T^2)."""
    length = len(rewards)
    after = [*values[1:], 0.0]
    delta = [rewards[t] + gamma * after[t] - values[t] for t in range(length)]
    return [sum((gamma * lam) ** k * delta[t + k] for k in range(length - t)) for t in range(length)]


def test_the_example_of_gae():
    advantages, returns = gae(torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 0.5]]), torch.tensor([2]), gamma=1, lam=1)
    assert advantages.tolist() == [[0.5, 0.5]] and returns.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.5), (1.0, 1.0), (1.0, 0.0)])
def test_gae_is_its_definition_whatever_lies_behind_the_end(gamma, lam):
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([7, 1, 4])
    rewards, values = (torch.randn(3, 7, generator=generator, **DOUBLE) for _ in range(2))
    advantages, returns = gae(rewards, values, lengths, gamma=gamma, lam=lam)
    for row, length in enumerate(lengths.tolist()):
        mine = advantages[row, :length].tolist()
        assert mine == pytest.approx(slowly(rewards[row, :length].tolist(), values[row, :length].tolist(), gamma, lam))
        assert returns[row, :length].tolist() == pytest.approx((advantages + values)[row, :length].tolist())
        assert not advantages[row, length:].any() and not returns[row, length:].any()


def test_leave_one_out():
    assert leave_one_out(torch.tensor([[3.0, 0.0, 0.0]])).tolist() == [[3.0, -1.5, -1.5]]
    scores = torch.randn(4, 5, **DOUBLE)
    by_hand = [[row[k] - (sum(row) - row[k]) / 4 for k in range(5)] for row in scores.tolist()]
    assert leave_one_out(scores).tolist() == [pytest.approx(row) for row in by_hand]


def test_within_a_group():
    assert within_group(torch.tensor([[1.0, 0.0]]), scale=False).tolist() == [[0.5, -0.5]]
    assert within_group(torch.tensor([[1.0, 0.0]]), scale=True)[0].tolist() == pytest.approx(
        [0.5 / (0.7071068 + 1e-4), -0.5 / (0.7071068 + 1e-4)]
    )
    assert within_group(torch.full((1, 4), 3.0), scale=True).tolist() == [[0.0] * 4]


def test_whitening():
    values = torch.tensor([1.0, 2.0, 3.0, 6.0], **DOUBLE)
    white = whitened(values)
    assert float(white.mean()) == pytest.approx(0) and float(white.var(unbiased=False)) == pytest.approx(1)
    assert float(whitened(values, shift=False).mean()) == pytest.approx(3.0)


def test_whitening_without_a_shift_keeps_the_mean():
    """Of 1, 2 and 6 the mean is 3 and the variance 14/3."""
    by_hand = [3 + (value - 3) / math.sqrt(14 / 3) for value in (1, 2, 6)]
    white = whitened(torch.tensor([1.0, 2.0, 6.0], **DOUBLE), shift=False)
    assert white.tolist() == pytest.approx(by_hand) and float(white.var(unbiased=False)) == pytest.approx(1)


def test_the_examples_of_clipping():
    ratio = torch.tensor([math.log(1.5)] * 2, **DOUBLE)
    loss = clipped(ratio, torch.zeros(2, **DOUBLE), torch.tensor([1.0, -1.0], **DOUBLE), low=0.2, high=0.2)
    assert loss.tolist() == pytest.approx([-1.2, 1.5])
    value = clipped_value(torch.tensor([1.0]), torch.tensor([0.0]), torch.tensor([2.0]), clip=0.2)
    assert value.tolist() == pytest.approx([1.62])


def test_at_ratio_1_the_gradient_is_that_of_the_policy_gradient():
    policy = torch.tensor([-1.0, -2.0], requires_grad=True)
    advantage = torch.tensor([3.0, -0.5])
    clipped(policy, policy.detach(), advantage, low=0.2, high=0.2).sum().backward()
    assert policy.grad.tolist() == pytest.approx([-3.0, 0.5])


def test_beyond_the_clip_there_is_no_gradient_on_the_side_that_was_gained():
    policy = torch.tensor([1.0, -1.0], requires_grad=True)
    clipped(policy, torch.zeros(2), torch.tensor([1.0, -1.0]), low=0.2, high=0.2).sum().backward()
    assert policy.grad.tolist() == [0.0, 0.0]


def test_a_ratio_without_end_stays_finite():
    policy = torch.tensor([500.0], requires_grad=True)
    loss = clipped(policy, torch.zeros(1), torch.tensor([-1.0]), low=0.2, high=0.2)
    assert torch.isfinite(loss).all()


def test_kl_estimates_by_hand_and_on_average():
    one, other = torch.tensor([-1.0]), torch.tensor([-2.0])
    assert (float(k1(one, other)), float(k2(one, other))) == (1.0, 0.5)
    assert float(k3(one, other)) == pytest.approx(math.exp(-1))
    p, q = torch.tensor([0.5, 0.3, 0.2], **DOUBLE), torch.tensor([0.2, 0.3, 0.5], **DOUBLE)
    true = float((p * (p / q).log()).sum())
    assert float((p * k1(p.log(), q.log())).sum()) == pytest.approx(true)
    assert float((p * k3(p.log(), q.log())).sum()) == pytest.approx(true)


def test_which_estimate_has_the_gradient_of_the_kl():
    """Expected gradient over the policy's own draws, of logits: that of k2 is the KL's, that of k1 is none, and that of
    k3 is of the KL the other way round."""
    logits = torch.tensor([0.3, -0.2, 0.5], requires_grad=True, **DOUBLE)
    q = torch.tensor([0.2, 0.3, 0.5], **DOUBLE).log()
    p = logits.log_softmax(0)
    (true,) = torch.autograd.grad((p.exp() * (p - q)).sum(), logits, retain_graph=True)
    (of_k1,) = torch.autograd.grad((p.detach().exp() * k1(p, q)).sum(), logits, retain_graph=True)
    (of_k2,) = torch.autograd.grad((p.detach().exp() * k2(p, q)).sum(), logits, retain_graph=True)
    (of_k3,) = torch.autograd.grad((p.detach().exp() * k3(p, q)).sum(), logits, retain_graph=True)
    (reverse,) = torch.autograd.grad((q.exp() * (q - p)).sum(), logits)
    assert torch.allclose(of_k3, reverse)
    assert torch.allclose(of_k2, true) and torch.allclose(of_k1, torch.zeros(3, **DOUBLE), atol=1e-12)
