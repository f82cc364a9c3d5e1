"""The KL baseline of KTO: over mismatched completions of the whole step."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from preferably.models.policy import Policy
from preferably.training.baseline import kl_baseline, mismatched
from preferably.training.reference import Reference

SHAPES = [(5, [4]), (1, [7]), (12, [9]), (3, [2])]


@pytest.fixture
def apart(tiny):
    """A policy that is not its reference any more."""
    policy = Policy(tiny.build("llama"))
    reference = Reference(policy, adapters=False, cache=True)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return policy, reference


def test_every_prompt_gets_the_completion_before_it_cut_to_the_longest_group(tiny):
    groups = tiny.groups(SHAPES)
    made = mismatched(groups)
    before = [groups[-1], *groups[:-1]]
    assert [len(one.completions[0]) for one in made] == [2, 4, 7, 9]
    for one, group, other in zip(made, groups, before, strict=True):
        assert np.array_equal(one.prompt, group.prompt)
        assert np.array_equal(one.completions[0], other.completions[0])
    long = tiny.groups([(20, [1]), (1, [15])])
    assert [len(one.completions[0]) for one in mismatched(long)] == [
        1,
        1,
    ]  # 15 would make 35 tokens; 21 are the longest


def test_it_is_the_mean_log_ratio_worked_out_one_by_one(tiny, apart):
    policy, reference = apart
    groups = tiny.groups(SHAPES, masked=True)
    by_hand = []
    for group in mismatched(groups):
        ours, theirs = (tiny.plain_logps(one.inner, group) for one in (policy, reference.policy))
        by_hand.append(((ours - theirs) * torch.from_numpy(group.train[0])).sum().item())
    assert abs(np.mean(by_hand)) > 0.01
    expected = max(0.0, np.mean(by_hand))
    for budget in (10**6, 15):
        assert kl_baseline(policy, reference, groups, budget) == pytest.approx(expected, abs=1e-4)


def test_it_is_never_below_nothing_and_knows_no_gradient(tiny, apart):
    policy, reference = apart
    groups = tiny.groups(SHAPES)
    there = kl_baseline(policy, reference, groups, 10**6)
    swapped = Reference(reference.policy, adapters=False, cache=False)
    swapped.policy = policy
    back = kl_baseline(reference.policy, swapped, groups, 10**6)
    assert min(there, back) == 0 < max(there, back)
    assert all(parameter.grad is None for parameter in policy.parameters())


def test_one_group_has_nothing_to_be_compared_with(tiny, apart):
    assert kl_baseline(*apart, [replace(tiny.groups(SHAPES[:1])[0], label=True)], 100) == 0.0
