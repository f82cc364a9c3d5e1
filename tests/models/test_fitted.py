"""A reward that is linear in what a language model sees: as transformers has it, and the same after it was saved."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from preferably.batches.group import collate
from preferably.models.features import features
from preferably.models.fitted import FittedReward
from preferably.models.loading import is_reward_model, load, load_reward, save
from preferably.models.selfcheck import check_packing

SHAPES = [(5, [4, 7, 2]), (1, [1, 3]), (9, [6])]


@pytest.fixture
def body(tiny, tmp_path):
    return load(tiny.write_model(tmp_path / "body"), device="cpu", dtype="float32")


@torch.no_grad()
def by_transformers(model, groups):
    """One completion at a time: the mean of the states before its tokens, log-prob, log-prob per token, tokens."""
    rows = []
    for group in groups:
        for completion, train in zip(group.completions, group.train, strict=True):
            ids = torch.from_numpy(np.concatenate([group.prompt, completion]))[None]
            first = len(group.prompt)
            states = model.model(ids).last_hidden_state[0][first - 1 : -1][torch.from_numpy(train)]
            every = torch.log_softmax(model(ids).logits[0].double(), -1)
            said = sum(float(every[first + at - 1, token]) for at, token in enumerate(completion) if train[at])
            rows.append([*states.mean(0).tolist(), said, said / train.sum(), train.sum()])
    return np.array(rows)


def test_packed_and_padded_features_are_those_of_transformers(tiny, body):
    groups = tiny.groups(SHAPES, masked=True)
    plain = AutoModelForCausalLM.from_pretrained(body.name, dtype=torch.float32).eval()
    wanted = by_transformers(plain, groups)
    with torch.no_grad():
        packed = features(body.policy, collate(groups))
        body.policy.fall_back()
        padded = features(body.policy, collate(groups))
    assert packed.numpy() == pytest.approx(wanted, abs=1e-4) and padded.numpy() == pytest.approx(wanted, abs=1e-4)


def test_what_is_saved_is_what_is_loaded_and_still_a_language_model(tiny, body, tmp_path):
    groups, weights = tiny.groups(SHAPES), torch.randn(1, 35, generator=torch.Generator().manual_seed(1))
    body.policy = FittedReward.of(body.policy, weights)
    body.policy.mean, body.policy.spread = (0.5,), 2.0
    check = check_packing(body.policy, groups)
    assert check.packed and check.difference < 1e-3
    wanted = body.policy(collate(groups))
    save(body, tmp_path / "saved")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "saved", dtype=torch.float32).eval()
    assert wanted.detach().numpy() == pytest.approx(by_transformers(plain, groups) @ weights.numpy().T, abs=1e-3)
    assert is_reward_model(tmp_path / "saved") and not is_reward_model(body.name)
    again = load_reward(tmp_path / "saved", device="cpu", dtype="float32")
    assert isinstance(again.policy, FittedReward) and torch.equal(again.policy(collate(groups)), wanted)
    assert (again.policy.axes, again.policy.mean, again.policy.spread) == (("reward",), (0.5,), 2.0)
    assert not any(p.requires_grad for p in again.policy.parameters())
    assert json.loads((tmp_path / "saved" / "reward.json").read_text())["spread"] == 2.0
