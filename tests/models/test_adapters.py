"""LoRA: starts as the reference, trains only itself, and counts in every forward."""

import copy

import pytest
import torch

from preferably.batches.group import collate
from preferably.errors import ConfigError
from preferably.models.adapters import add_adapters
from preferably.models.loading import Loaded, load, save
from preferably.models.policy import Policy
from preferably.training.reference import Reference

# peft 0.21 asks transformers 5.23 for a property under its old name.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

SHAPES = [(5, [4, 7]), (1, [1, 3]), (12, [9, 1])]


def adapted(tiny, kind="llama", targets="all-linear", moved=True):
    torch.manual_seed(0)
    policy = Policy(tiny.build(kind))
    add_adapters(policy, r=4, alpha=8.0, targets=targets)
    if moved:
        with torch.no_grad():
            for name, parameter in policy.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.1)
    return policy


@torch.no_grad()
@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3"])
def test_adapters_start_as_the_model_they_adapt(tiny, kind):
    groups = tiny.groups(SHAPES)
    expected = torch.cat([tiny.plain_logps(tiny.build(kind, attention="eager"), group) for group in groups])
    policy = adapted(tiny, kind, moved=False)
    assert (policy(collate(groups)) - expected).abs().max() < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3"])
def test_switched_off_they_are_the_reference_and_switched_on_they_count(tiny, kind):
    groups = tiny.groups(SHAPES)
    expected = torch.cat([tiny.plain_logps(tiny.build(kind, attention="eager"), group) for group in groups])
    policy = adapted(tiny, kind)
    moved = policy(collate(groups))
    assert (moved - expected).abs().max() > 0.05
    assert (Reference(policy, adapters=True, cache=False).logps(collate(groups)) - expected).abs().max() < 1e-5
    assert policy(collate(groups)).equal(moved)  # and on again


def test_only_adapters_are_trained(tiny):
    policy = adapted(tiny)
    policy(collate(tiny.groups(SHAPES))).sum().backward()
    for name, parameter in policy.named_parameters():
        assert parameter.requires_grad == ("lora_" in name), name
        assert (parameter.grad is not None) == ("lora_" in name), name


@torch.no_grad()
@pytest.mark.parametrize("targets", ["all-linear", "q_proj, v_proj", "q_proj,lm_head"])
def test_packed_and_merged_say_the_same(tiny, targets):
    """What is trained is what is saved: the packed forward with adapters is the plain forward of the merged weights."""
    groups = tiny.groups(SHAPES)
    policy = adapted(tiny, targets=targets)
    packed = policy(collate(groups))
    merged = copy.deepcopy(policy.model).merge_and_unload()
    merged.set_attn_implementation("eager")
    expected = torch.cat([tiny.plain_logps(merged, group) for group in groups])
    assert (packed - expected).abs().max() < 1e-5


@pytest.mark.parametrize("targets", ["wrong", "wrong,also_wrong"])
def test_a_name_that_fits_nothing_is_refused_with_the_names_there_are(tiny, targets):
    with pytest.raises(ConfigError, match="fits no module.*down_proj.*q_proj"):
        adapted(tiny, targets=targets)


@torch.no_grad()
def test_saving_merges_and_leaves_the_policy_as_it_was(tiny, tmp_path):
    groups = tiny.groups(SHAPES)
    policy = adapted(tiny)
    before = policy(collate(groups))
    save(Loaded(policy, tiny.tokenizer(), "tiny", []), tmp_path / "model")
    assert policy(collate(groups)).equal(before) and hasattr(policy.model, "merge_and_unload")
    again = load(tmp_path / "model", device="cpu")
    assert not any("lora" in name for name, _ in again.policy.named_parameters())
    assert (again.policy(collate(groups)) - before).abs().max() < 1e-5
