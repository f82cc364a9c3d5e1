"""Before step 1: is the policy the reference?"""

from dataclasses import replace

import pytest
import torch

from preferably.errors import TrainingError
from preferably.methods import METHODS
from preferably.models.policy import Policy
from preferably.training.reference import Reference
from preferably.training.selfcheck import check_balance, check_reference

PAIRS = [row for row in METHODS.values() if row.feedback == "pairs" and row.reference]
SHAPES = [(5, [4, 7]), (1, [1, 3]), (12, [9, 1]), (3, [10, 12])]


def options(row):
    return {name: value.default for name, value in row.hyperparameters.items()}


@pytest.mark.parametrize("row", PAIRS, ids=lambda row: row.name)
def test_the_starting_loss_is_that_of_the_table(tiny, row):
    policy = Policy(tiny.build("llama"))
    reference = Reference(policy, adapters=False, cache=True)
    got = check_reference(policy, reference, tiny.groups(SHAPES, masked=True), row, options(row) | {"nll_weight": 3.0})
    assert got == pytest.approx(row.loss_at_start, rel=1e-4)


@pytest.mark.parametrize("row", PAIRS, ids=lambda row: row.name)
def test_a_reference_that_is_another_model_is_refused_before_any_step(tiny, row):
    policy = Policy(tiny.build("llama"))
    other = Reference(Policy(tiny.build("llama", seed=1)), adapters=False, cache=True)
    with pytest.raises(TrainingError, match="differ by .* not the model that training starts from"):
        check_reference(policy, other, tiny.groups(SHAPES), row, options(row))


def test_a_reference_that_moved_a_little_is_noticed_too(tiny):
    policy = Policy(tiny.build("llama"))
    reference = Reference(policy, adapters=False, cache=True)
    with torch.no_grad():
        next(reference.policy.parameters()).mul_(1.01)
    with pytest.raises(TrainingError):
        check_reference(policy, reference, tiny.groups(SHAPES), METHODS["dpo"], options(METHODS["dpo"]))


def test_checking_leaves_nothing_in_the_cache_and_no_gradient(tiny):
    policy = Policy(tiny.build("llama"))
    reference = Reference(policy, adapters=False, cache=True)
    check_reference(policy, reference, tiny.groups(SHAPES), METHODS["dpo"], options(METHODS["dpo"]))
    assert reference.known == {} and all(p.grad is None for p in policy.parameters())


def test_one_group_is_enough_and_many_are_sampled(tiny):
    policy = Policy(tiny.build("llama"))
    reference = Reference(policy, adapters=False, cache=True)
    for count in (1, 2, 300):
        groups = tiny.groups(SHAPES[:1] * count)
        assert check_reference(policy, reference, groups, METHODS["dpo"], options(METHODS["dpo"])) > 0.69


def test_thumbs_that_weigh_nothing_are_said_and_an_objective_of_ones_own_may_have_no_weights(tiny):
    groups = [replace(group, label=at % 3 == 0) for at, group in enumerate(tiny.groups([(3, [2])] * 6))]
    weights = {"desirable_weight": 1.0, "undesirable_weight": 0.0}
    assert check_balance(groups, weights) == "Of 6 training labels 4 weigh 0: they are learnt nothing from."
    assert "2 completions are desirable and 4 are not" in (check_balance(groups, {}) or "")
    assert check_balance(groups, {"desirable_weight": 2.0, "undesirable_weight": 1.0}) is None
