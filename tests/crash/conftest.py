"""Jobs small enough to be killed hundreds of times."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from crash_runs import EVERY, Warm, final, rows
from transformers import LlamaConfig, LlamaForCausalLM

from preferably.models.loading import load, save

RULES = """
def next_letter(prompts, completions):
    return [float(chr(ord(prompt[-1]) + 1) in text) for prompt, text in zip(prompts, completions)]


def fewer_marks(prompts, pairs):
    gaps = [sum(not one.islower() for one in a) - sum(not one.islower() for one in b) for a, b in pairs]
    return ["tie" if not gap else int(gap > 0) for gap in gaps]


def letters(prompts, completions):
    return [float(sum(one.islower() for one in text)) for text in completions]
"""


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if os.name == "nt" and here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="needs signals and fork"))


@pytest.fixture(scope="session")
def model(tiny, tmp_path_factory):
    """A Llama of one layer: what a run of it costs is mostly Python."""
    place = tmp_path_factory.mktemp("model")
    config = LlamaConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=tiny.words, max_position_embeddings=128, bos_token_id=0, eos_token_id=1, pad_token_id=2,
    )  # fmt: skip
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(place)
    tiny.tokenizer().save_pretrained(place)
    return place


@pytest.fixture(scope="session")
def warm(tmp_path_factory, model):
    made = Warm(tmp_path_factory.mktemp("warm"), model)
    yield made
    made.close()


@pytest.fixture(scope="session")
def online(tmp_path_factory, model):
    """What PPO needs beside a job: a reward model, a function and a judge, a guard, minibatches, an adaptive KL."""
    place = tmp_path_factory.mktemp("online")
    (place / "rules.py").write_text(RULES)
    (place / "scorer").mkdir()
    torch.manual_seed(0)
    save(load(model, axes={"reward": 1.0}, device="cpu", dtype="float32"), place / "scorer")
    return {
        "reward": [
            str(place / "scorer"), f"2*{place}/rules.py:next_letter", f"0.5*judge:{place}/rules.py:fewer_marks",
        ],
        "guard": f"{place}/rules.py:letters",
        "samples_per_prompt": 2, "update_epochs": 2, "minibatches": 2, "kl_target": 0.5, "kl_horizon": 64.0,
        "critic_learning_rate": 1e-2, "missing_eos_penalty": 0.5,
    }  # fmt: skip


@pytest.fixture(scope="session")
def job(tmp_path_factory, model, online):
    """`job(method, name, **changes)`: settings of 8 steps, checkpoints at 3 and 6, evaluations at 4 and 8."""
    place = tmp_path_factory.mktemp("job")

    def make(method, name, **changes):
        data = place / f"{method}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows(method)))
        return {
            "method": method, "model": str(model), "data": str(data), "output": str(place / name),
            "held_out": 8,
            "batch_size": 4, "learning_rate": 1e-2, "save_every": EVERY, "eval_every": 4, "sample_prompts": 4,
            "sample_tokens": 5, "tokens_per_microbatch": 40, "device": "cpu", "dtype": "float32",
        } | (online if method == "ppo" else {}) | changes  # fmt: skip

    return make


@pytest.fixture(scope="session")
def whole(job, warm):
    """Runs that nothing interrupted, by method: made once. `seconds` of the run, `startup` before its first step."""
    made = {}

    def run(method):
        if method not in made:
            values = job(method, f"whole-{method}")
            first = warm.run(values)
            assert first.code == 0, first.said
            path = Path(values["output"])
            ended = final(path)
            again = warm.run(values, resume=True)  # nothing is left to do but to start
            assert again.code == 0 and final(path) == ended, again.said
            made[method] = SimpleNamespace(
                path=path, final=ended, seconds=first.seconds, startup=again.seconds, values=values
            )
        return made[method]

    return run
