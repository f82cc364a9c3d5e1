"""Losses of groups from log-probs of tokens that are given by hand."""

import math

import numpy as np
import pytest
import torch

from preferably.batches.group import collate
from preferably.data.tokens import TokenGroup
from preferably.methods import METHODS
from preferably.training.steps import count_of, group_losses, pair_losses


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
        "rewards/margins": [-1.0, 1.5],
        "rewards/accuracies": [0.0, 1.0],
        "logps/chosen": [-3.0, -4.0],
        "logps/rejected": [-4.0, -3.0],
        "logratio/chosen_per_token": [-0.5, 3.0],
    }
    assert not any(values.requires_grad for values in metrics.values())


def test_a_tie_is_half_an_accuracy():
    sums = torch.tensor([-3.0, -4.0])
    _, metrics = pair_losses(sums, sums, torch.ones(2), METHODS["dpo"], {"beta": 0.1, "label_smoothing": 0.0})
    assert metrics["rewards/accuracies"].tolist() == [0.5]


def test_demonstrations_are_summed_over_trained_tokens():
    batch = collate([group([[1, 0, 1]]), group([[1]], row=1)])
    got, metrics = group_losses(Says(-1.0, -50.0, -2.0, -4.0), batch, None, METHODS["sft"], {})
    assert got.tolist() == [3.0, 4.0] and metrics == {}


def test_what_a_step_is_divided_by():
    assert count_of(METHODS["sft"], 4, 37.0) == 37.0
    assert {count_of(row, 4, 37.0) for row in METHODS.values() if row.feedback == "pairs"} == {4}


def test_every_method_of_the_table_has_its_loss():
    for row in METHODS.values():
        if row.feedback == "pairs":
            sums = torch.tensor([-3.0, -4.0, -5.0, -6.0])
            options = {name: value.default for name, value in row.hyperparameters.items()}
            got, _ = pair_losses(sums, sums, torch.tensor([1.0, 2.0, 3.0, 4.0]), row, options)
            assert got.tolist() == pytest.approx([row.loss_at_start] * 2, rel=1e-6), row.name
