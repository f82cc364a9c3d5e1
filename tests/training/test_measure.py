"""What an evaluation says, against sums written out and against distributions that are known."""

import math

import numpy as np
import pytest
import torch

from preferably.batches.group import collate
from preferably.data.tokens import TokenGroup
from preferably.methods import METHODS
from preferably.models.policy import Policy
from preferably.models.sampler import Sample
from preferably.training.measure import held_out_metrics, kl_of_samples, sample_metrics
from preferably.training.reference import Reference


def references(tiny, seed=1):
    return Reference(Policy(tiny.build("llama", seed=seed)), adapters=False, cache=True)


def test_kl_of_samples_is_the_sum_of_their_log_ratios(tiny):
    policy, reference = Policy(tiny.build("llama")), references(tiny)
    groups = tiny.groups([(4, [3, 5]), (1, [2, 2])])
    drawn = [[Sample(c.tolist(), [0.0] * len(c), "", True) for c in group.completions] for group in groups]
    got = kl_of_samples(policy, reference.logps, [g.prompt.tolist() for g in groups], drawn, 16)
    expected = []
    plain, other = (tiny.build("llama", attention="eager", seed=seed) for seed in (0, 1))
    with torch.no_grad():
        for group in groups:
            ratio = tiny.plain_logps(plain, group) - tiny.plain_logps(other, group)
            expected += [float(part.sum()) for part in ratio.split([len(c) for c in group.completions])]
    assert got == pytest.approx(expected, abs=1e-4)


def test_kl_of_a_policy_from_itself_is_nothing_and_from_another_is_positive(tiny):
    policy = Policy(tiny.build("llama"))
    prompts = [[3, 4, 5], [6], [7, 8]] * 10
    options = {"stop_ids": {1}, "max_tokens": 8, "seed": 0, "budget": 500}
    same = sample_metrics(policy, references(tiny, 0), tiny.tokenizer(), prompts, **options).values
    assert same["objective/kl"] == pytest.approx(0, abs=1e-5)
    other = sample_metrics(policy, references(tiny), tiny.tokenizer(), prompts, **options).values
    assert other["objective/kl"] > 5 * other["objective/kl_se"] > 0
    assert other["objective/kl_per_token"] == pytest.approx(other["objective/kl"] / other["samples/length"])


def test_numbers_of_samples_are_those_of_the_samples(tiny):
    stop_ids = set(range(3, 103, 8))
    options = {"stop_ids": stop_ids, "max_tokens": 9, "samples": 5, "seed": 0, "budget": 100}
    got = sample_metrics(Policy(tiny.build("llama")), None, tiny.tokenizer(), [[3, 4], [5]], **options)
    each = [one for several in got.samples for one in several]
    assert len(each) == 10
    assert got.values["samples/length"] == pytest.approx(np.mean([len(one.tokens) for one in each]))
    unfinished = [one for one in each if one.tokens[-1] not in stop_ids]
    assert 0 < len(unfinished) < 10
    assert got.values["samples/unfinished"] == pytest.approx(len(unfinished) / 10)
    assert not any("kl" in key for key in got.values)


def test_one_sample_has_no_standard_error(tiny):
    policy = Policy(tiny.build("llama"))
    options = {"stop_ids": {1}, "max_tokens": 3, "seed": 0, "budget": 100}
    values = sample_metrics(policy, references(tiny), tiny.tokenizer(), [[3]], **options).values
    assert math.isnan(values["objective/kl_se"]) and math.isfinite(values["objective/kl"])


def test_the_held_out_loss_of_demonstrations_is_per_token(tiny):
    groups = tiny.groups([(4, [9]), (1, [2]), (6, [5])], masked=True)
    got = held_out_metrics(Policy(tiny.build("llama")), None, groups, METHODS["sft"], {}, 12)
    plain = tiny.build("llama", attention="eager")
    with torch.no_grad():
        parts = [tiny.plain_logps(plain, group)[torch.from_numpy(group.train[0])] for group in groups]
    tokens = torch.cat(parts)
    assert got == {"eval_loss": pytest.approx(-float(tokens.mean()), rel=1e-5), "eval_groups": 3}


def test_the_held_out_numbers_of_pairs_are_means_over_pairs(tiny):
    groups = tiny.groups([(4, [9, 2]), (1, [2, 3]), (6, [5, 5])])
    policy, reference = Policy(tiny.build("llama")), references(tiny)
    got = held_out_metrics(policy, reference, groups, METHODS["dpo"], {"beta": 0.1, "label_smoothing": 0.0}, 12)
    plain, other = (tiny.build("llama", attention="eager", seed=seed) for seed in (0, 1))
    losses, right = [], []
    with torch.no_grad():
        for group in groups:
            ratio = tiny.plain_logps(plain, group) - tiny.plain_logps(other, group)
            chosen, rejected = (float(part.sum()) for part in ratio.split([len(c) for c in group.completions]))
            losses.append(math.log1p(math.exp(-0.1 * (chosen - rejected))))
            right.append(float(chosen > rejected))
    assert got["eval_loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert got["eval_rewards/accuracies"] == pytest.approx(np.mean(right))


def test_looking_leaves_no_gradient(tiny):
    policy = Policy(tiny.build("llama"))
    held_out_metrics(policy, None, tiny.groups([(4, [9])]), METHODS["sft"], {}, 100)
    sample_metrics(policy, None, tiny.tokenizer(), [[3]], stop_ids={1}, max_tokens=2, seed=0, budget=100)
    assert all(p.grad is None for p in policy.parameters())


def test_a_prompt_is_not_counted_as_sampled(tiny):
    """The log-ratio of a sample does not hold that of its prompt: the same completion after two prompts differs."""
    policy, reference = Policy(tiny.build("llama")), references(tiny)
    (group,) = tiny.groups([(5, [3])])
    drawn = [[Sample(group.completions[0].tolist(), [0.0] * 3, "", True)]]
    (got,) = kl_of_samples(policy, reference.logps, [group.prompt.tolist()], drawn, 100)
    rest = np.concatenate([group.prompt[1:], group.completions[0]])
    whole = TokenGroup(group.prompt[:1], (rest,), (np.ones(len(rest), bool),), 0)
    with torch.no_grad():
        batch = collate([whole])
        everything = float((policy(batch) - reference.logps(batch)).sum())
    assert abs(everything - got) > 1e-2
