"""Architectures that cannot take our attention: the self-check says so, and the numbers are still the model's own."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from preferably.batches.group import collate
from preferably.models.loading import load
from preferably.models.policy import Policy
from preferably.models.selfcheck import check_packing

SHAPES = [(5, [4, 7]), (1, [1, 3]), (12, [9, 1]), (3, [10, 12])]


def loaded(tiny, tmp_path, kind):
    """(as `load` gives it, the same weights behind transformers' eager attention)."""
    directory = tiny.write_model(tmp_path / "model", kind)
    plain = AutoModelForCausalLM.from_pretrained(directory, attn_implementation="eager")
    return load(directory, device="cpu"), plain


@torch.no_grad()
@pytest.mark.parametrize("kind", ["bloom", "falcon", "gpt-neo", "gemma2"])
def test_what_cannot_be_packed_is_padded_said_and_right(tiny, tmp_path, kind):
    ours, plain = loaded(tiny, tmp_path, kind)
    groups = tiny.groups(SHAPES)
    check = check_packing(ours.policy, groups)
    said = [note for note in [*ours.notes, check.note] if note and "padded path is used" in note]
    assert not check.packed and not ours.policy.packed
    assert len(said) == 1 and type(plain).__name__ in said[0]
    got = ours.policy(collate(groups))
    expected = torch.cat([tiny.plain_logps(plain, group) for group in groups])
    assert (got - expected).abs().max() < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3"])
def test_what_can_be_packed_is_packed_without_a_word(tiny, tmp_path, kind):
    ours, plain = loaded(tiny, tmp_path, kind)
    groups = tiny.groups(SHAPES)
    check = check_packing(ours.policy, groups)
    assert check.packed and ours.policy.packed and check.note is None and check.difference < 1e-5
    assert not [note for note in ours.notes if "padded" in note]
    expected = torch.cat([tiny.plain_logps(plain, group) for group in groups])
    assert (ours.policy(collate(groups)) - expected).abs().max() < 1e-5


def test_a_policy_that_is_padded_by_wish_is_not_checked(tiny):
    policy = Policy(tiny.build("llama"), packed=False)
    check = check_packing(policy, tiny.groups(SHAPES))
    assert (check.packed, check.difference, check.note) == (False, None, None)


def test_a_model_that_skips_our_attention_in_one_layer_is_caught(tiny):
    """Called once for two layers: the packed row of that layer went through something else."""
    model = tiny.build("llama")
    model.model.layers[0].self_attn.config = type(model.config)(**model.config.to_dict())
    model.model.layers[0].self_attn.config._attn_implementation = "sdpa"
    policy = Policy(model)
    check = check_packing(policy, tiny.groups(SHAPES))
    assert not check.packed and not policy.packed and "padded path is used" in check.note


def test_a_wrong_packed_forward_is_caught_by_its_numbers(tiny, monkeypatch):
    policy = Policy(tiny.build("llama"))
    honest = policy._packed
    monkeypatch.setattr(policy, "_packed", lambda batch: honest(batch) + 0.002)
    check = check_packing(policy, tiny.groups(SHAPES))
    assert not check.packed and not policy.packed and "differ by 0.002" in check.note
    policy = Policy(tiny.build("llama"))
    monkeypatch.setattr(policy, "_packed", lambda batch: Policy._packed(policy, batch) * float("nan"))
    assert not check_packing(policy, tiny.groups(SHAPES)).packed


def test_the_check_is_made_in_float32_and_leaves_the_dtype_as_it_was(tiny):
    policy = Policy(tiny.build("llama"), compute=torch.bfloat16)
    check = check_packing(policy, tiny.groups(SHAPES))
    assert check.packed and check.difference < 1e-5 and policy.compute == torch.bfloat16
