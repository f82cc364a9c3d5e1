"""Scores: packed is plain, and what is saved says the same in plain transformers."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from preferably.batches.group import collate
from preferably.errors import ModelError
from preferably.models.adapters import add_adapters
from preferably.models.loading import load, load_reward, save
from preferably.models.scorer import Scorer
from preferably.models.selfcheck import check_packing

SHAPES = [(5, [4, 7, 2]), (1, [1, 3]), (9, [6])]
AXES = {"helpful": 0.75, "honest": 0.25}


@pytest.fixture
def scorer(tiny, tmp_path):
    """`scorer(kind, axes)`: a reward model on a tiny body, as training begins with it."""

    def make(kind="llama", axes=AXES, seed=3):
        torch.manual_seed(seed)
        return load(tiny.write_model(tmp_path / f"{kind}-body", kind), axes=axes, device="cpu", dtype="float32")

    return make


def alone(model, groups):
    """By transformers itself, one text at a time: [N, A]."""
    rows = [
        torch.from_numpy(np.concatenate([group.prompt, one]))[None] for group in groups for one in group.completions
    ]
    with torch.no_grad():
        return torch.cat([model(input_ids=row).logits for row in rows])


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma3", "gpt2", "gpt-neox"])
def test_packed_and_padded_scores_are_those_of_transformers(tiny, scorer, tmp_path, kind):
    loaded, groups = scorer(kind), tiny.groups(SHAPES)
    assert isinstance(loaded.policy, Scorer) and loaded.policy.packed
    check = check_packing(loaded.policy, groups)
    assert check.packed and check.difference < 1e-5
    with torch.no_grad():
        packed = loaded.policy(collate(groups))
        loaded.policy.fall_back()
        padded = loaded.policy(collate(groups))
    assert packed.shape == (6, 2) and torch.allclose(packed, padded, atol=1e-5)
    save(loaded, tmp_path / "saved")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved", dtype=torch.float32)
    plain.config.pad_token_id = None  # one text at a time, so that its last token is read whatever it is
    assert torch.allclose(alone(plain, groups), packed, atol=1e-5)
    assert plain.config.id2label == {0: "helpful", 1: "honest"}


def test_a_saved_reward_model_scores_batches_in_plain_transformers(tiny, scorer, tmp_path):
    loaded = scorer(axes={"reward": 1.0})
    save(loaded, tmp_path / "saved")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved")
    texts = ["one text</s>", "and a longer one of them</s>"]
    together = plain(**tokenizer(texts, return_tensors="pt", padding=True, padding_side="right")).logits
    single = torch.cat([plain(**tokenizer([text], return_tensors="pt")).logits for text in texts])
    assert plain.config.num_labels == 1 and torch.allclose(together, single, atol=1e-5)


def test_the_padding_of_a_tokenizer_that_pads_with_its_end_is_another_token(tiny, scorer, tmp_path):
    loaded = scorer(axes={"reward": 1.0})
    loaded.tokenizer.pad_token = loaded.tokenizer.eos_token
    save(loaded, tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert config["pad_token_id"] == loaded.tokenizer.bos_token_id
    assert AutoTokenizer.from_pretrained(tmp_path / "saved").pad_token_id == loaded.tokenizer.bos_token_id


def test_what_is_saved_is_what_is_loaded(tiny, scorer, tmp_path):
    loaded, groups = scorer(), tiny.groups(SHAPES)
    loaded.policy.mean, loaded.policy.spread = (0.5, -1.0), 2.0
    with torch.no_grad():
        before = loaded.policy(collate(groups))
    save(loaded, tmp_path / "saved")
    again = load_reward(tmp_path / "saved", device="cpu", dtype="float32")
    assert (again.policy.axes, again.policy.weights) == (("helpful", "honest"), (0.75, 0.25))
    assert again.policy.spread == 2.0
    with torch.no_grad():
        scores = again.policy(collate(groups))
    assert torch.equal(scores, before)
    centered = again.policy.centered(scores)
    assert torch.allclose(centered, before - torch.tensor([0.5, -1.0]))
    assert torch.allclose(again.policy.total(centered), centered @ torch.tensor([0.75, 0.25]))


def test_a_new_head_is_drawn_as_published(tiny, scorer):
    weights = torch.cat([scorer(seed=seed).policy.inner.score.weight.detach().flatten() for seed in range(20)])
    assert float(weights.std()) == pytest.approx((32 + 1) ** -0.5, rel=0.1)  # hidden size 32
    assert torch.equal(scorer(seed=1).policy.inner.score.weight, scorer(seed=1).policy.inner.score.weight)


def test_adapters_train_the_head_too_and_are_merged_away(tiny, scorer, tmp_path):
    loaded, groups = scorer(), tiny.groups(SHAPES)
    add_adapters(loaded.policy, r=2, alpha=4.0, targets="all-linear")
    trained = [name for name, p in loaded.policy.named_parameters() if p.requires_grad]
    assert any("score" in name for name in trained) and any("lora" in name for name in trained)
    with torch.no_grad():
        for parameter in loaded.policy.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.full_like(parameter, 0.05))
        scores = loaded.policy(collate(groups))
    save(loaded, tmp_path / "saved")
    again = load_reward(tmp_path / "saved", device="cpu", dtype="float32")
    with torch.no_grad():
        assert torch.allclose(again.policy(collate(groups)), scores, atol=1e-5)


def test_what_is_no_reward_model_is_refused(tiny, scorer, tmp_path):
    with pytest.raises(ModelError, match="is no reward model but a LlamaForCausalLM"):
        load_reward(tiny.write_model(tmp_path / "words"))
    loaded = scorer()
    save(loaded, tmp_path / "saved")
    (tmp_path / "saved" / "reward.json").unlink()
    with pytest.raises(ModelError, match="gives 2 scores; expected reward"):
        load_reward(tmp_path / "saved")
