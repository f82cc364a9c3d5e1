"""Losses on pairs: the docstrings' arithmetic, written out in plain Python, and what must hold for any numbers."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from preferably.methods import METHODS
from preferably.objectives import pairwise

LOSSES = {"dpo": pairwise.dpo, "robust_dpo": pairwise.robust_dpo, "ipo": pairwise.ipo, "hinge": pairwise.hinge}

nats = st.floats(-200, 200)
betas = st.floats(1e-3, 10)
shares = st.floats(0, 0.49)
quick = settings(max_examples=60, deadline=None)


def softplus(x):
    """-log sigmoid(-x), in plain Python."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def loss(name, h, *, beta, eps=None):
    """A single pair with log-ratio difference h, spread over the four arguments; float64 in and out."""
    options = {} if eps is None else {"label_smoothing": eps}
    parts = [torch.tensor([value], dtype=torch.float64) for value in (-7.0 + h, -9.0, -7.0, -9.0)]
    return LOSSES[name](*parts, beta=beta, **options).item()


# The numbers of the docstrings, each derived here


def test_the_log_ratio_difference_is_taken_over_both_models_and_both_completions():
    # (-1 - -4) - (-10 - -9) = 3 + 1
    parts = [torch.tensor([value]) for value in (-1.0, -10.0, -4.0, -9.0)]
    assert pairwise.log_ratio_difference(*parts).tolist() == [4.0]


@pytest.mark.parametrize(
    ("name", "h", "beta", "eps", "expected"),
    [
        ("dpo", 2, 0.5, 0.0, math.log(1 + math.exp(-1))),  # 0.3133
        ("dpo", 2, 0.5, 0.1, 0.9 * math.log(1 + math.exp(-1)) + 0.1 * math.log(1 + math.e)),  # 0.4133
        ("dpo", -4, 0.25, 0.0, math.log(1 + math.e)),  # 1.3133: the wrong way round
        ("robust_dpo", 2, 0.5, 0.1, (0.9 * math.log(1 + math.exp(-1)) - 0.1 * math.log(1 + math.e)) / 0.8),
        ("ipo", 2, 0.1, None, 9.0),
        ("ipo", 0, 0.1, None, 25.0),
        ("ipo", 5, 0.1, None, 0.0),
        ("hinge", 2, 0.1, None, 0.8),
        ("hinge", 20, 0.1, None, 0.0),
        ("hinge", -20, 0.1, None, 3.0),
    ],
)
def test_values_worked_out_by_hand(name, h, beta, eps, expected):
    assert loss(name, h, beta=beta, eps=eps) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "eps", "rounded"), [("dpo", 0.0, 0.3133), ("dpo", 0.1, 0.4133), ("robust_dpo", 0.1, 0.1883)]
)
def test_the_rounded_numbers_that_the_docstrings_print(name, eps, rounded):
    assert loss(name, 2, beta=0.5, eps=eps) == pytest.approx(rounded, abs=5e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_one_loss_a_group_and_none_is_mixed_with_another(name):
    torch.manual_seed(0)
    parts = [torch.randn(5, dtype=torch.float64) * 10 for _ in range(4)]
    options = {"beta": 0.3} | ({"label_smoothing": 0.1} if name == "robust_dpo" else {})
    together = LOSSES[name](*parts, **options)
    alone = [LOSSES[name](*(part[i : i + 1] for part in parts), **options).item() for i in range(5)]
    assert together.shape == (5,) and together.tolist() == pytest.approx(alone, abs=1e-12)
    assert len(set(alone)) == 5


# What holds for any numbers


@quick
@given(beta=betas, eps=shares)
def test_the_dpo_family_starts_at_ln_2_whatever_beta_and_smoothing(beta, eps):
    assert loss("dpo", 0, beta=beta, eps=eps) == pytest.approx(math.log(2), abs=1e-12)
    assert loss("robust_dpo", 0, beta=beta, eps=eps) == pytest.approx(math.log(2), rel=1e-12)
    assert loss("hinge", 0, beta=beta) == 1.0
    assert loss("ipo", 0, beta=beta) == pytest.approx(1 / (4 * beta**2), rel=1e-12)


@quick
@given(h=nats, beta=betas, eps=shares)
def test_dpo_is_the_scalar_formula(h, beta, eps):
    clean, flipped = softplus(-beta * h), softplus(beta * h)
    expected = (1 - eps) * clean + eps * flipped
    assert loss("dpo", h, beta=beta, eps=eps) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@quick
@given(h=nats, beta=betas, eps=shares)
def test_the_robust_loss_averages_to_the_clean_one_under_flips(h, beta, eps):
    seen = (1 - eps) * loss("robust_dpo", h, beta=beta, eps=eps) + eps * loss("robust_dpo", -h, beta=beta, eps=eps)
    assert seen == pytest.approx(softplus(-beta * h), rel=1e-9, abs=1e-9)


@quick
@given(h=nats, beta=betas, eps=st.floats(0.01, 0.49))
def test_the_conservative_loss_does_not_average_to_the_clean_one(h, beta, eps):
    """What tells the two apart: cDPO's mean under flips is above DPO's loss wherever the pair is ranked at all."""
    assume(beta * h > 0.1)
    seen = (1 - eps) * loss("dpo", h, beta=beta, eps=eps) + eps * loss("dpo", -h, beta=beta, eps=eps)
    assert seen > softplus(-beta * h)


@quick
@given(eps=st.floats(0.01, 0.49), beta=betas)
def test_cdpo_stops_pushing_where_the_confidence_is_one_minus_eps(eps, beta):
    h = torch.tensor([math.log((1 - eps) / eps) / beta], dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(1, dtype=torch.float64)
    pairwise.dpo(h, zero, zero, zero, beta=beta, label_smoothing=eps).sum().backward()
    assert h.grad.item() == pytest.approx(0, abs=1e-9 * max(1, beta))


@quick
@given(h=st.floats(-50, 50), beta=betas)
def test_ipo_has_its_minimum_zero_at_half_over_beta(h, beta):
    best = 1 / (2 * beta)
    assert loss("ipo", best, beta=beta) == pytest.approx(0, abs=1e-18 + 1e-26 * best**2 + 1e-24)
    # symmetric around it, and h away from it costs h^2
    assert loss("ipo", best + h, beta=beta) == pytest.approx(h * h, rel=1e-6, abs=1e-6)
    assert loss("ipo", best - h, beta=beta) == pytest.approx(h * h, rel=1e-6, abs=1e-6)


@quick
@given(chosen=nats, rejected=nats, shift=nats, beta=betas, name=st.sampled_from(sorted(LOSSES)))
def test_only_the_difference_of_log_ratios_counts(chosen, rejected, shift, beta, name):
    def value(*parts):
        options = {"beta": beta} | ({"label_smoothing": 0.2} if name == "robust_dpo" else {})
        return LOSSES[name](*(torch.tensor([p], dtype=torch.float64) for p in parts), **options).item()

    before = value(chosen, rejected, 0.0, 0.0)
    assert value(chosen + shift, rejected, shift, 0.0) == pytest.approx(before, rel=1e-6, abs=1e-6)
    assert value(chosen + shift, rejected + shift, 0.0, 0.0) == pytest.approx(before, rel=1e-6, abs=1e-6)
    assert value(chosen - rejected, 0.0, 0.0, 0.0) == pytest.approx(before, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_raises_the_chosen_and_lowers_the_rejected(name):
    chosen, rejected = (torch.tensor([-5.0], dtype=torch.float64, requires_grad=True) for _ in range(2))
    options = {"beta": 0.1} | ({"label_smoothing": 0.1} if name == "robust_dpo" else {})
    zero = torch.full((1,), -5.0, dtype=torch.float64)
    LOSSES[name](chosen, rejected, zero, zero, **options).sum().backward()
    # At h = 0: DPO -beta / 2; robust DPO -(beta / 2) ((1 - eps) + eps) / (1 - 2 eps); IPO -1 / beta; hinge -beta.
    expected = {"dpo": -0.05, "robust_dpo": -0.05 / 0.8, "ipo": -10.0, "hinge": -0.1}[name]
    assert chosen.grad.item() == pytest.approx(expected, rel=1e-9)
    assert rejected.grad.item() == pytest.approx(-expected, rel=1e-9)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("h", [-1e15, -1e4, -88.0, 0.0, 88.0, 1e4, 1e15])  # squared, 1e15 is still a float32
@pytest.mark.parametrize("beta", [1e-4, 0.1, 100.0])
def test_gradients_are_finite_in_float32_at_extremes(name, h, beta):
    chosen = torch.tensor([h], requires_grad=True)
    options = {"beta": beta} | ({"label_smoothing": 0.1} if name in ("dpo", "robust_dpo") else {})
    value = LOSSES[name](chosen, torch.zeros(1), torch.zeros(1), torch.zeros(1), **options)
    value.sum().backward()
    assert torch.isfinite(value).all() and torch.isfinite(chosen.grad).all()


# The table of methods says what the functions do


@pytest.mark.parametrize(
    "row", [row for row in METHODS.values() if row.loss in LOSSES and not row.online], ids=lambda row: row.name
)
def test_the_loss_at_the_start_is_what_the_table_says(row):
    options = {name: value.default for name, value in row.hyperparameters.items() if name != "nll_weight"}
    parts = [torch.tensor([value], dtype=torch.float64) for value in (-3.0, -8.0, -3.0, -8.0)]
    assert LOSSES[row.loss](*parts, **options).item() == pytest.approx(row.loss_at_start, rel=1e-12)


def test_the_odds_ratio_worked_out_by_hand():
    half, quarter = (torch.tensor([math.log(p)], dtype=torch.float64) for p in (1 / 2, 1 / 4))
    got = pairwise.orpo(half, quarter, beta=0.1).item()
    assert got == pytest.approx(math.log(2) + 0.1 * math.log(1 + 1 / 3), abs=1e-12)  # 0.7219


@quick
@given(st.floats(-50, -1e-9), st.floats(-50, -1e-9))
def test_the_odds_ratio_is_finite_with_its_gradient_and_falls_with_the_chosen_one(chosen, rejected):
    one, other = (torch.tensor([value], dtype=torch.float64, requires_grad=True) for value in (chosen, rejected))
    loss = pairwise.orpo(one, other, beta=0.5)
    loss.sum().backward()
    assert torch.isfinite(loss).all() and one.grad.item() < 0 <= other.grad.item() < math.inf
