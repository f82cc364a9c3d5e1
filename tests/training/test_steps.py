"""Losses of groups from log-probs of tokens that are given by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from preferably.batches.group import collate
from preferably.data.tokens import TokenGroup
from preferably.methods import METHODS, method_named
from preferably.training.steps import count_of, group_losses, losses_of, means, tally


class Says:
    """A policy that gives these log-probs to the tokens of the batch, in order."""

    device = torch.device("cpu")

    def __init__(self, *logps):
        self.logps = torch.tensor(logps, requires_grad=True)

    def __call__(self, batch):
        return self.logps


def group(train, row=0):
    arrays = tuple(np.arange(3, 3 + len(mask)) for mask in train)
    return TokenGroup(np.array([1, 2]), arrays, tuple(np.array(mask, dtype=bool) for mask in train), row)


PAIRS = [group([[1, 1], [1]]), group([[0, 1], [1, 1, 0]], row=1)]
# sums: -3, -4 | -4, -3; lengths: 2, 1 | 1, 2
LOGPS = (-1.0, -2.0, -4.0, -9.0, -4.0, -1.0, -2.0, -9.0)
REFERENCE = torch.tensor([-2.0, -5.0, -7.0, -3.0])
# log-ratios: -1, 1 | 3, 0; so h = -2 | 3


def losses(name, **options):
    method = METHODS[name]
    defaults = {key: value.default for key, value in method.hyperparameters.items()}
    return group_losses(Says(*LOGPS), collate(PAIRS), REFERENCE, method, defaults | options)


def minus_log_sigmoid(x):
    return math.log1p(math.exp(-x))


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("dpo", {"beta": 0.5}, [minus_log_sigmoid(-1), minus_log_sigmoid(1.5)]),
        (
            "cdpo",
            {"beta": 0.5, "label_smoothing": 0.2},
            [
                0.8 * minus_log_sigmoid(-1) + 0.2 * minus_log_sigmoid(1),
                0.8 * minus_log_sigmoid(1.5) + 0.2 * minus_log_sigmoid(-1.5),
            ],
        ),
        (
            "rdpo",
            {"beta": 0.5, "label_smoothing": 0.2},
            [
                (0.8 * minus_log_sigmoid(-1) - 0.2 * minus_log_sigmoid(1)) / 0.6,
                (0.8 * minus_log_sigmoid(1.5) - 0.2 * minus_log_sigmoid(-1.5)) / 0.6,
            ],
        ),
        ("ipo-sum", {"beta": 0.5}, [(-2 - 1) ** 2, (3 - 1) ** 2]),
        ("ipo", {"beta": 0.5}, [(-0.5 - 1 - 1) ** 2, (3 - 0 - 1) ** 2]),  # log-ratios a token: -1/2, 1/1 | 3/1, 0/2
        ("hinge", {"beta": 0.5}, [2.0, 0.0]),
    ],
)
def test_losses_of_pairs(name, options, expected):
    got, _ = losses(name, **options)
    assert got.tolist() == pytest.approx(expected, rel=1e-6)


def test_an_sft_term_is_the_mean_nll_of_the_chosen_tokens():
    plain, _ = losses("dpo", beta=0.5)
    weighted, metrics = losses("dpo", beta=0.5, nll_weight=0.25)
    assert metrics["nll"].tolist() == [1.5, 4.0]  # 3 / 2 and 4 / 1 trained tokens
    assert (weighted - plain).tolist() == pytest.approx([0.25 * 1.5, 0.25 * 4.0], rel=1e-6)


def test_tokens_that_are_not_trained_get_no_gradient():
    says = Says(*LOGPS)
    loss, _ = group_losses(says, collate(PAIRS), REFERENCE, METHODS["dpo"], {"beta": 0.5, "nll_weight": 1.0})
    loss.sum().backward()
    assert [slope == 0 for slope in says.logps.grad.tolist()] == [False] * 3 + [True] + [False] * 3 + [True]


def test_metrics_are_those_that_users_of_trl_know():
    _, metrics = losses("dpo", beta=0.5)
    assert {name: values.tolist() for name, values in metrics.items()} == {
        "rewards/chosen": [-0.5, 1.5],
        "rewards/rejected": [0.5, 0.0],
        "rewards/accuracies": [0.0, 1.0],
        "logps/chosen": [-3.0, -4.0],
        "logps/rejected": [-4.0, -3.0],
        "logratio/chosen_per_token": [-0.5, 3.0],
    }
    assert not any(values.requires_grad for values in metrics.values())


def test_a_tie_is_half_an_accuracy():
    sums, batch = torch.tensor([-3.0, -4.0]), collate(PAIRS[:1])
    _, metrics = losses_of(sums, sums, batch, METHODS["dpo"], {"beta": 0.1, "label_smoothing": 0.0})
    assert metrics["rewards/accuracies"].tolist() == [0.5]


def test_demonstrations_are_summed_over_trained_tokens():
    batch = collate([group([[1, 0, 1]]), group([[1]], row=1)])
    got, metrics = group_losses(Says(-1.0, -50.0, -2.0, -4.0), batch, None, METHODS["sft"], {})
    assert got.tolist() == [3.0, 4.0] and metrics == {}


def test_what_a_step_is_divided_by():
    assert count_of(METHODS["sft"], 4, 37.0) == 37.0
    assert {count_of(row, 4, 37.0) for row in METHODS.values() if row.feedback == "pairs"} == {4}


@pytest.mark.parametrize(
    "row", [row for row in METHODS.values() if row.reference and not row.online], ids=lambda row: row.name
)
def test_every_method_with_a_reference_starts_where_the_table_says(row):
    batch = collate([THUMB, replace(THUMB, label=False)] if row.feedback == "labels" else PAIRS)
    sums = torch.tensor([-3.0, -4.0, -5.0, -6.0])[: batch.completions]
    options = {name: value.default for name, value in row.hyperparameters.items()}
    got, _ = losses_of(sums, sums, batch, row, options, 0.0)
    assert got.tolist() == pytest.approx([row.loss_at_start] * 2, rel=1e-6)


# Labels

THUMB = replace(group([[1, 1]]), label=True)


def thumbs(**options):
    """log-ratios: 1 (desirable) and 3 (not); baseline 1."""
    batch = collate([THUMB, replace(group([[1]], row=1), label=False)])
    defaults = {name: value.default for name, value in METHODS["kto"].hyperparameters.items()}
    reference = torch.tensor([-4.0, -7.0])
    return group_losses(Says(-1.0, -2.0, -4.0), batch, reference, METHODS["kto"], defaults | options, baseline=1.0)


def test_losses_of_labels():
    got, metrics = thumbs(beta=0.5, undesirable_weight=2.0)
    # 1 - sigmoid(0.5 (1 - 1)) = 1/2; 2 (1 - sigmoid(0.5 (1 - 3))) = 2 (1 - sigmoid(-1))
    assert got.tolist() == pytest.approx([0.5, 2 * (1 - 1 / (1 + math.e))], rel=1e-6)
    assert {name: values.tolist() for name, values in metrics.items()} == {
        "rewards/chosen": [0.5],
        "rewards/rejected": [1.5],
        "logps/chosen": [-3.0],
        "logps/rejected": [-4.0],
        "logratio/chosen_per_token": [0.5],
        "kl_baseline": [1.0],
    }


def test_an_sft_term_beside_labels_is_on_the_desirable_ones():
    plain, _ = thumbs()
    weighted, metrics = thumbs(nll_weight=2.0)
    assert (weighted - plain).tolist() == pytest.approx([2.0 * 1.5, 0.0]) and metrics["nll"].tolist() == [1.5]


# Sums, and objectives of a user's own


def test_a_sum_is_the_sum():
    method = method_named("0.5*dpo+2*hinge+0.25*nll")
    options = {name: value.default for name, value in method.hyperparameters.items()} | {"beta": 0.5}
    got, _ = group_losses(Says(*LOGPS), collate(PAIRS), REFERENCE, method, options)
    dpo, hinge = losses("dpo", beta=0.5, nll_weight=0.5)[0], losses("hinge", beta=0.5)[0]
    assert got.tolist() == pytest.approx((0.5 * dpo + 2 * hinge).tolist(), rel=1e-6)


def test_an_objective_of_ones_own_is_given_what_it_names(tmp_path):
    (tmp_path / "own.py").write_text(
        "def loss(policy_chosen, reference_rejected, rejected_length, *, gamma=1.0):\n"
        "    return policy_chosen + 10 * reference_rejected + 100 * gamma * rejected_length\n"
    )
    method = method_named(f"{tmp_path}/own.py:loss")
    got, metrics = group_losses(Says(*LOGPS), collate(PAIRS), REFERENCE, method, {"gamma": 2.0})
    assert got.tolist() == [-3 - 50 + 200, -4 - 30 + 400]
    assert metrics["rewards/chosen"].tolist() == [-1.0, 3.0]  # log-ratios, as there is no beta


def test_without_a_reference_rewards_are_mean_log_probs():
    got, metrics = group_losses(Says(*LOGPS), collate(PAIRS), None, METHODS["orpo"], {"beta": 0.5})
    assert metrics["rewards/chosen"].tolist() == [-0.75, -2.0] and "logratio/chosen_per_token" not in metrics

    def log_odds(mean):
        return mean - math.log(1 - math.exp(mean))

    expected = [1.5 + 0.5 * minus_log_sigmoid(log_odds(-1.5) - log_odds(-4)),
                4.0 + 0.5 * minus_log_sigmoid(log_odds(-4) - log_odds(-1.5))]  # fmt: skip
    assert got.tolist() == pytest.approx(expected, rel=1e-5)


def test_means_are_over_what_was_measured():
    sums = {}
    tally(sums, {"rewards/chosen": torch.tensor([1.0, 2.0]), "rewards/rejected": torch.tensor([2.0])})
    tally(sums, {"rewards/chosen": torch.tensor([6.0]), "nll": torch.tensor([])})
    tally(sums, {"rewards/chosen": torch.tensor([99.0])}, share=0.0)
    assert means(sums) == {"rewards/chosen": 3.0, "rewards/rejected": 2.0, "rewards/margins": 1.0}
