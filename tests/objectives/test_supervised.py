import math

import pytest
import torch

from preferably.objectives.supervised import nll


def test_the_example_of_the_docstring():
    logps = torch.tensor([math.log(1 / 2) + math.log(1 / 4)], dtype=torch.float64)
    assert nll(logps).tolist() == pytest.approx([3 * math.log(2)])
    assert 3 * math.log(2) == pytest.approx(2.0794, abs=5e-5)
    assert nll(logps).item() / 2 == pytest.approx(1.0397, abs=5e-5)


def test_a_certain_completion_costs_nothing_and_an_impossible_one_everything():
    assert nll(torch.tensor([0.0, -math.inf, -2.5])).tolist() == [0.0, math.inf, 2.5]


def test_its_slope_is_minus_one():
    logps = torch.tensor([-3.0, -1e30], requires_grad=True)
    nll(logps).sum().backward()
    assert logps.grad.tolist() == [-1.0, -1.0]
