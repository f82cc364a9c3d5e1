"""A reference that is not the starting model: it is what the run is held to, and everything says so."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

import preferably
from preferably.config import settings
from preferably.errors import CheckpointError, ConfigError, ModelError
from preferably.models.loading import load
from preferably.training.closing import Progress
from preferably.training.estimate import estimate
from preferably.training.reading import read_data

PAIRS = [{"prompt": f"{k}? ", "chosen": "yes" + "s" * (k % 3), "rejected": "no" + "o" * (k % 4)} for k in range(24)]


@pytest.fixture
def place(tmp_path, monkeypatch, tiny, tiny_model_directory):
    monkeypatch.chdir(tmp_path)
    Path("pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    tiny.write_model(tmp_path / "other", seed=1)
    return tmp_path


def given(model, **more):
    return {
        "model": str(model), "data": "pairs.jsonl", "output": "run", "reference_model": "other", "max_steps": 2,
        "batch_size": 4, "sample_tokens": 6, "sample_prompts": 3, "held_out": 6, "device": "cpu", "dtype": "float32",
        "learning_rate": 1e-3,
    } | more  # fmt: skip


def train(model, method="dpo", **more):
    said = []
    progress = Progress(warn=lambda code, message, advice: said.append(message))
    values = given(model, **more)
    run = preferably.train(method, progress=progress, resume=values.pop("resume", False), **values)
    return run, [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()], said


def plain_dpo(model, groups, tiny, beta=0.1):
    """By transformers alone: the mean of -log sigmoid(beta x (log-ratio of chosen - log-ratio of rejected))."""
    sums = {}
    for name in (str(model), "other"):
        plain = AutoModelForCausalLM.from_pretrained(name, attn_implementation="eager").eval()
        sums[name] = [
            [float(part.sum()) for part in tiny.plain_logps(plain, group).split([len(c) for c in group.completions])]
            for group in groups
        ]
    ahead = [a[0] - b[0] - (a[1] - b[1]) for a, b in zip(sums[str(model)], sums["other"], strict=True)]
    return sum(math.log1p(math.exp(-beta * one)) for one in ahead) / len(ahead)


@torch.no_grad()
@pytest.mark.parametrize("lora", [False, True])
def test_the_loss_is_against_the_reference_that_was_named(place, tiny, tiny_model_directory, lora):
    with torch.enable_grad():
        run, told, said = train(tiny_model_directory, lora=lora)
    chosen = settings({"method": "dpo"} | given(tiny_model_directory))
    data = read_data(chosen, None, load(tiny_model_directory, device="cpu"), None)[0]
    expected = plain_dpo(tiny_model_directory, data.held_out, tiny)
    assert told[0]["eval_loss"] == pytest.approx(expected, abs=1e-4) and abs(expected - math.log(2)) > 1e-2
    assert told[0]["objective/kl"] > 1.0
    assert any("The reference is other and not the model that the run starts from" in text for text in said)
    assert "reference_model: other" in (run.path / "config.yaml").read_text().splitlines()
    assert "reference model" in (run.path / "report.html").read_text()


@pytest.mark.parametrize("method", ["kto", "rloo", "raft"])
def test_other_methods_are_held_to_it_too(place, tiny_model_directory, method):
    more = {"reward": "length"} if method != "kto" else {}
    _, told, _ = train(tiny_model_directory, method, **more)
    assert told[0]["objective/kl"] > 1.0
    _, plain, _ = train(tiny_model_directory, method, reference_model=None, output="plain", **more)
    assert abs(plain[0]["objective/kl"]) < 1e-3
    if method == "rloo":  # k1 of the rollouts, before any update
        assert told[1]["objective/rollout_kl"] > 1.0 > abs(plain[1]["objective/rollout_kl"])


def test_the_starting_model_by_name_is_the_starting_model(place, tiny_model_directory):
    one, _, _ = train(tiny_model_directory, reference_model=str(tiny_model_directory), output="one")
    other, _, _ = train(tiny_model_directory, reference_model=None, output="other-run")
    weights = [(run.model / "model.safetensors").read_bytes() for run in (one, other)]
    assert weights[0] == weights[1]


def test_a_run_goes_on_with_the_same_reference_only(place, tiny, tiny_model_directory):
    train(tiny_model_directory, save_every=1)
    shutil.move("other", "moved")
    shutil.rmtree("run/checkpoints/step-00000002")
    run, _, _ = train(tiny_model_directory, reference_model="moved", save_every=1, resume=True)
    assert run.state.step == 2
    tiny.write_model(place / "third", seed=2)
    with pytest.raises(CheckpointError, match="reference_model: its weights are not those that the run was held to"):
        train(tiny_model_directory, reference_model="third", save_every=1, resume=True)


def test_what_cannot_be_a_reference_is_refused(place, tiny, tiny_model_directory):
    with pytest.raises(ConfigError, match="sft has no reference"):
        settings({"method": "sft"} | given(tiny_model_directory))
    with pytest.raises(ModelError, match="no such directory"):
        train(tiny_model_directory, reference_model="missing/model")
    tiny.write_model(place / "words", seed=1)
    tokenizer = json.loads((place / "words" / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["zz"] = len(tokenizer["model"]["vocab"])
    (place / "words" / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ModelError, match="words has another vocabulary than"):
        train(tiny_model_directory, reference_model="words")
    config = json.loads((place / "other" / "config.json").read_text())
    (place / "other" / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 8}))
    with pytest.raises(ModelError, match="takes in 8 tokens, and this run has up to 10"):
        train(tiny_model_directory)
    assert not (place / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize("lora", [False, True])
def test_its_memory_is_counted(place, tiny, tiny_model_directory, lora):
    outline = load(tiny_model_directory, device="cpu", weights=False)
    size = 4 * sum(p.numel() for p in outline.policy.parameters())
    tiny.write_model(place / "gpt2", kind="gpt2")
    other = 4 * sum(p.numel() for p in load("gpt2", device="cpu", weights=False).policy.parameters())
    peaks = {}
    for name in (None, "other", "gpt2"):
        chosen = settings({"method": "dpo"} | given(tiny_model_directory, reference_model=name, lora=lora))
        found = estimate(chosen, outline, read_data(chosen, None, outline, None)[0])
        peaks[name] = found.memory.phases["a training step"] - found.memory.parts.get("the rest", 0)
    without = size if not lora else 0
    assert peaks["gpt2"] - peaks["other"] == pytest.approx(other - size, abs=1)
    assert peaks["other"] - peaks[None] == pytest.approx(size - without, abs=1)
