"""States as transformers has them at the last token of each completion."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from preferably.data.tokens import encode
from preferably.errors import ModelError
from preferably.feedback.records import Completion, Group, Message
from preferably.judging.reward import score_groups
from preferably.judging.states import last_states
from preferably.models.loading import load


def group(prompt, *texts):
    return Group((Message("text", prompt),), tuple(Completion((Message("text", text),)) for text in texts))


def test_they_are_those_of_transformers_and_none_for_what_does_not_fit(tiny_model_directory):
    loaded = load(tiny_model_directory, device="cpu", dtype="float32")
    asked = [group("ab", "cde", "f"), group("x", "y" * 200), group("q", "same", "same", "other")]
    found = last_states(loaded, asked)
    assert found[1] is None and loaded.policy.checked and loaded.policy.packed
    plain = AutoModelForCausalLM.from_pretrained(tiny_model_directory, dtype=torch.float32)
    for tokens in encode(asked, loaded.tokenizer, max_length=128, twins=True).groups:
        for completion, state in zip(tokens.completions, found[tokens.row], strict=True):
            with torch.no_grad():
                row = torch.from_numpy(np.concatenate([tokens.prompt, completion]))[None]
                states = plain.model(row).last_hidden_state[0]
            assert state == pytest.approx(states[-1].numpy(), abs=1e-4)
    assert (found[2][0] == found[2][1]).all() and (found[2][0] != found[2][2]).any()


def test_a_reward_model_scores_what_its_head_makes_of_them(tiny_model_directory):
    torch.manual_seed(5)
    loaded = load(tiny_model_directory, axes={"reward": 1.0}, device="cpu", dtype="float32")
    asked = [group("ab", "cde", "f"), group("q", "r", "s")]
    head = loaded.policy.inner.score.weight.detach().numpy()
    for states, scores in zip(last_states(loaded, asked), score_groups(loaded, asked), strict=True):
        assert states @ head.T == pytest.approx(scores.numpy(), abs=1e-5)


def test_states_that_are_no_numbers_are_refused(tiny_model_directory):
    loaded = load(tiny_model_directory, device="cpu", dtype="float32")
    loaded.policy.checked = True
    with torch.no_grad():
        loaded.policy.body.norm.weight.fill_(np.nan)
    with pytest.raises(ModelError, match="not finite"):
        last_states(loaded, [group("ab", "cde", "f")])
