import pytest
import torch
from torch import nn
from transformers.optimization import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

from preferably.errors import ConfigError
from preferably.training.optimizer import adamw, learning_rate_at, warmup_steps


def theirs(schedule, warmup, total):
    """The multiplier of transformers' scheduler as a function of the step."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    made = {
        "linear": lambda: get_linear_schedule_with_warmup(optimizer, warmup, total),
        "cosine": lambda: get_cosine_schedule_with_warmup(optimizer, warmup, total),
        "constant": lambda: get_constant_schedule_with_warmup(optimizer, warmup),
    }[schedule]()
    return made.lr_lambdas[0]


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
@pytest.mark.parametrize(("total", "warmup"), [(50, 0), (50, 5), (7, 7), (1, 0), (1, 1), (3, 10), (1000, 100)])
def test_the_learning_rate_is_that_of_transformers(schedule, total, warmup):
    expected = theirs(schedule, warmup, total)
    for step in range(total):
        ours = learning_rate_at(step, total, peak=3e-4, schedule=schedule, warmup=warmup)
        assert ours == pytest.approx(3e-4 * expected(step), rel=1e-12, abs=1e-18)


def test_rates_worked_out_by_hand():
    def at(step, schedule):
        return learning_rate_at(step, 10, peak=1.0, schedule=schedule, warmup=2)

    assert [at(step, "linear") for step in (0, 1, 2, 6, 10, 11)] == [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]
    assert at(6, "cosine") == pytest.approx(0.5) and at(4, "cosine") == pytest.approx(0.5 + 0.5**1.5)
    assert [at(step, "constant") for step in (0, 1, 2, 10)] == [0.0, 0.5, 1.0, 1.0]


@pytest.mark.parametrize(
    ("warmup", "total", "steps"),
    [(0.0, 100, 0), (0.1, 100, 10), (0.1, 25, 3), (0.999, 10, 9), (0.1, 1, 0), (1, 10, 1), (9.0, 10, 9)],
)
def test_warm_up_is_a_share_below_one_and_a_count_from_one_on(warmup, total, steps):
    assert warmup_steps(warmup, total) == steps


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.norm = nn.LayerNorm(2)
        self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)


def test_only_matrices_decay_and_frozen_weights_are_left_out():
    net = Net()
    optimizer = adamw(net, learning_rate=0.1, betas=(0.9, 0.95), eps=1e-7, weight_decay=0.3)
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    wanted = {net.linear.weight: 0.3, net.linear.bias: 0.0, net.norm.weight: 0.0, net.norm.bias: 0.0}
    assert decays == {id(p): decay for p, decay in wanted.items()}
    assert all((g["betas"], g["eps"], g["lr"]) == ((0.9, 0.95), 1e-7, 0.1) for g in optimizer.param_groups)


def test_a_model_of_vectors_or_matrices_only_makes_no_empty_group():
    assert len(adamw(nn.LayerNorm(2), learning_rate=1, betas=(0.9, 0.9), eps=1, weight_decay=1).param_groups) == 1
    only = nn.Linear(2, 2, bias=False)
    assert len(adamw(only, learning_rate=1, betas=(0.9, 0.9), eps=1, weight_decay=1).param_groups) == 1


def test_two_updates_worked_out_by_hand():
    """AdamW on one number: p <- p (1 - lr wd) - lr m_hat / (sqrt(v_hat) + eps)."""
    net = nn.Linear(1, 1, bias=False)
    net.weight.data.fill_(2.0)
    lr, b1, b2, eps, decay = 0.1, 0.9, 0.99, 1e-3, 0.5
    optimizer = adamw(net, learning_rate=lr, betas=(b1, b2), eps=eps, weight_decay=decay)
    p = m = v = 0.0
    p = 2.0
    for t, slope in enumerate((4.0, -1.0), 1):
        net.weight.grad = torch.full((1, 1), slope)
        optimizer.step()
        m, v = b1 * m + (1 - b1) * slope, b2 * v + (1 - b2) * slope**2
        p = p * (1 - lr * decay) - lr * (m / (1 - b1**t)) / ((v / (1 - b2**t)) ** 0.5 + eps)
        assert net.weight.item() == pytest.approx(p, rel=1e-6)


def test_a_warm_up_that_leaves_no_step_is_refused():
    with pytest.raises(ConfigError, match="30 steps leaves none of the 10"):
        warmup_steps(30, 10)
