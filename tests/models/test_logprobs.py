"""The head's log-probs in all three modes of memory, against autograd through log_softmax in float64."""

import pytest
import torch

from preferably.models import logprobs

COUNT, WIDTH, WORDS = 37, 16, 50


def inputs(dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    hidden, weight = torch.randn(COUNT, WIDTH) * 2, torch.randn(WORDS, WIDTH)
    target = torch.randint(0, WORDS, (COUNT,))
    target[:3] = target[3]  # a word that is hit more than once
    return hidden.to(dtype), weight.to(dtype), target, torch.randn(COUNT)


def expected(hidden, weight, target, slope):
    hidden, weight = hidden.double().requires_grad_(), weight.double().requires_grad_()
    logps = torch.log_softmax(hidden @ weight.T, -1)[torch.arange(len(target)), target]
    (logps * slope.double()).sum().backward()
    return logps.detach(), hidden.grad, weight.grad


@pytest.fixture(params=["kept", "recomputed", "kept in blocks", "recomputed in blocks"])
def mode(request, monkeypatch):
    if "recomputed" in request.param:
        monkeypatch.setattr(logprobs, "KEEP_BYTES", 0)
    if "blocks" in request.param:
        monkeypatch.setattr(logprobs, "BLOCK_BYTES", 4 * WORDS * 5)  # five tokens at a time, the last two alone
    return request.param


def test_value_and_gradients(mode):
    hidden, weight, target, slope = inputs()
    value, d_hidden, d_weight = expected(hidden, weight, target, slope)
    hidden.requires_grad_()
    weight.requires_grad_()
    got = logprobs.linear_logps(hidden, weight, target)
    (got * slope).sum().backward()
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.detach().double(), value, rtol=0, atol=1e-5)
    torch.testing.assert_close(hidden.grad.double(), d_hidden, rtol=0, atol=1e-5)
    torch.testing.assert_close(weight.grad.double(), d_weight, rtol=0, atol=2e-5)


def test_the_slope_matches_finite_differences(mode):
    """Independent of autograd: (f(x + d) - f(x - d)) / 2d along random directions."""
    hidden, weight, target, slope = inputs(torch.float64, seed=1)
    x, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
    (logprobs.linear_logps(x, w, target).double() * slope).sum().backward()
    torch.manual_seed(2)
    for _ in range(3):
        dx, dw = torch.randn_like(hidden), torch.randn_like(weight)

        def along(t, dx=dx, dw=dw):
            logits = (hidden + t * dx) @ (weight + t * dw).T
            return (torch.log_softmax(logits, -1).gather(1, target[:, None])[:, 0] * slope).sum()

        numeric = (along(1e-5) - along(-1e-5)) / 2e-5
        analytic = (x.grad * dx).sum() + (w.grad * dw).sum()
        torch.testing.assert_close(analytic, numeric, rtol=1e-5, atol=1e-5)


def test_a_frozen_weight_gets_no_gradient_and_the_hidden_state_the_same(mode):
    hidden, weight, target, slope = inputs()
    _, d_hidden, _ = expected(hidden, weight, target, slope)
    hidden.requires_grad_()
    (logprobs.linear_logps(hidden, weight, target) * slope).sum().backward()
    assert weight.grad is None
    torch.testing.assert_close(hidden.grad.double(), d_hidden, rtol=0, atol=1e-5)


def test_a_frozen_hidden_state(mode):
    hidden, weight, target, slope = inputs()
    _, _, d_weight = expected(hidden, weight, target, slope)
    weight.requires_grad_()
    (logprobs.linear_logps(hidden, weight, target) * slope).sum().backward()
    assert hidden.grad is None
    torch.testing.assert_close(weight.grad.double(), d_weight, rtol=0, atol=2e-5)


def test_bfloat16_gradients_come_in_the_dtype_of_the_weights(mode):
    hidden, weight, target, slope = inputs(torch.bfloat16)
    _, d_hidden, d_weight = expected(hidden, weight, target, slope)  # of the rounded numbers, exactly
    hidden.requires_grad_()
    master = weight.float().requires_grad_()
    got = logprobs.linear_logps(hidden, master, target)
    (got * slope).sum().backward()
    assert got.dtype == torch.float32 and master.grad.dtype == torch.float32 and hidden.grad.dtype == torch.bfloat16
    assert (hidden.grad - d_hidden).norm() < 0.02 * d_hidden.norm()
    assert (master.grad - d_weight).norm() < 0.02 * d_weight.norm()


def errors_in_bfloat16(scale, words, likely):
    """RMS errors, nats, of our log-probs and of log_softmax over bfloat16 logits; and our largest log-prob."""
    torch.manual_seed(0)
    hidden, weight = torch.randn(200, 128).bfloat16(), (scale * torch.randn(words, 128)).bfloat16()
    target = torch.randint(0, words, (200,))
    exact = torch.log_softmax(hidden.double() @ weight.double().T, -1)
    target = exact.argmax(-1) if likely else target
    exact = exact.gather(1, target[:, None])[:, 0]
    ours = logprobs.linear_logps(hidden, weight, target)
    naive = torch.log_softmax((hidden @ weight.T).float(), -1).gather(1, target[:, None])[:, 0]
    return (ours - exact).pow(2).mean().sqrt(), (naive - exact).pow(2).mean().sqrt(), ours.max()


def test_bfloat16_log_probs_of_a_spread_distribution_gain_by_the_exact_target():
    ours, naive, _ = errors_in_bfloat16(0.05, 32000, likely=False)
    assert ours < 0.1 * naive


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("likely", [False, True], ids=["any word", "the likeliest word"])
def test_bfloat16_log_probs_are_never_worse_than_the_naive_ones_and_never_above_zero(scale, likely):
    ours, naive, largest = errors_in_bfloat16(scale, 2000, likely)
    assert ours <= naive
    assert largest <= 1e-6  # a probability above one would be news


def test_without_gradients_nothing_is_kept(mode):
    hidden, weight, target, _ = inputs()
    got = logprobs.linear_logps(hidden, weight, target)
    assert got.grad_fn is None
    torch.testing.assert_close(got.double(), expected(hidden, weight, target, torch.ones(COUNT))[0], rtol=0, atol=1e-5)


def test_huge_logits_do_not_overflow(mode):
    hidden = torch.tensor([[1e4, 0.0], [0.0, 1e4]], requires_grad=True)
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    got = logprobs.linear_logps(hidden, weight, torch.tensor([0, 0]))
    got.sum().backward()
    assert got.tolist() == [0.0, -1e4]
    assert hidden.grad.tolist() == [[0.0, 0.0], [1.0, -1.0]]


def test_no_tokens_at_all(mode):
    hidden = torch.zeros(0, WIDTH, requires_grad=True)
    weight = torch.randn(WORDS, WIDTH, requires_grad=True)
    got = logprobs.linear_logps(hidden, weight, torch.zeros(0, dtype=torch.int64))
    assert got.shape == (0,)


def test_log_probs_from_logits():
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]])) + 3
    got = logprobs.logits_logps(logits, torch.tensor([0, 2]))
    torch.testing.assert_close(got, torch.log(torch.tensor([0.5, 0.7])))
    assert logprobs.logits_logps(logits.bfloat16(), torch.tensor([0, 2])).dtype == torch.float32
