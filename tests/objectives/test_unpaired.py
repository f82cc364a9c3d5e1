"""The loss on labels: the docstring's arithmetic, and what must hold for any numbers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from preferably.objectives.unpaired import kto

nats = st.floats(-200, 200)


def loss(r, z, desirable, *, beta=0.5, weights=(1.0, 1.0)):
    parts = [torch.tensor([value], dtype=torch.float64) for value in (-7.0 + r, -7.0)]
    label, baseline = torch.tensor([desirable]), torch.tensor(z, dtype=torch.float64)
    return kto(*parts, label, baseline, beta=beta, desirable_weight=weights[0], undesirable_weight=weights[1]).item()


@pytest.mark.parametrize(
    ("r", "z", "desirable", "expected"),
    [
        (2, 1, True, 1 - 1 / (1 + math.exp(-0.5))),  # 0.3775
        (2, 1, False, 1 - 1 / (1 + math.exp(0.5))),  # 0.6225
        (0, 0, True, 0.5),
        (0, 0, False, 0.5),
        (-4, 0, True, 1 - 1 / (1 + math.exp(2))),
    ],
)
def test_values_worked_out_by_hand(r, z, desirable, expected):
    assert loss(r, z, desirable) == pytest.approx(expected, abs=1e-12)


def test_weights_are_of_their_own_kind():
    assert loss(1, 0, True, weights=(3, 5)) == pytest.approx(3 * loss(1, 0, True))
    assert loss(1, 0, False, weights=(3, 5)) == pytest.approx(5 * loss(1, 0, False))


@settings(max_examples=60, deadline=None)
@given(nats, st.floats(0, 200), st.booleans())
def test_it_is_bounded_and_falls_towards_what_was_asked_for(r, z, desirable):
    value = loss(r, z, desirable)
    assert 0 <= value <= 1
    assert loss(r + 1, z, desirable) <= value + 1e-12 if desirable else loss(r + 1, z, desirable) >= value - 1e-12
    assert loss(r, z, True) + loss(r, z, False) == pytest.approx(1)


def test_each_group_by_its_own_label():
    policy, reference = torch.tensor([-5.0, -5.0]), torch.tensor([-6.0, -6.0])
    both = kto(policy, reference, torch.tensor([True, False]), torch.tensor(0.0), beta=1.0, desirable_weight=1.0,
               undesirable_weight=1.0)  # fmt: skip
    assert both.tolist() == pytest.approx([1 - 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-1))])
