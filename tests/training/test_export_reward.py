"""Exports of reward models and of online runs: plain transformers gives the very scores, and reward.json goes along."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

import preferably
from preferably.errors import ConfigError
from preferably.feedback.records import Completion, Group, Message
from preferably.judging.reward import score_groups
from preferably.models.loading import load_reward

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

FEW = {
    "batch_size": 8, "max_steps": 3, "save_every": 1, "learning_rate": 1e-2, "device": "cpu", "dtype": "float32",
    "held_out": 6, "keep": 9,
}  # fmt: skip
AXES = {"axes": "helpful=0.7,short=0.3"}


@pytest.fixture(scope="module")
def runs(tiny, tmp_path_factory):
    place = tmp_path_factory.mktemp("rewards")
    pairs = [{"prompt": f"{k}? ", "chosen": "a" * (1 + k % 5), "rejected": "b" * (2 + k % 3)} for k in range(30)]
    rated = [
        {"prompt": f"{k}? ", "completions": ["x" * (1 + k % 4), "yy", "z"],
         "ratings": [{"helpful": k % 3, "short": 1}, {"helpful": 2, "short": k % 2}, {"helpful": 0, "short": 3}]}
        for k in range(30)
    ]  # fmt: skip
    for name, rows in (("pairs", pairs), ("rated", rated)):
        (place / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = {}
    for name, kind, data, more in (
        ("one", "llama", "pairs", {}), ("axes", "llama", "rated", AXES), ("gpt2", "gpt2", "pairs", {}),
        ("lora", "llama", "rated", AXES | {"lora": True}),
    ):  # fmt: skip
        model = tiny.write_model(place / f"{name}-start", kind=kind)
        made[name] = preferably.train(
            "reward", model=model, data=place / f"{data}.jsonl", output=place / name, **FEW | more
        )
    return made


def asked(n=5):
    said = ("aaa", "b", "x" * 7)
    return [
        Group((Message("text", f"{k}? "),), tuple(Completion((Message("text", one),)) for one in said))
        for k in range(n)
    ]  # fmt: skip


def scores(directory):
    loaded = load_reward(directory, device="cpu", dtype="float32", attention="padded")
    return torch.cat(score_groups(loaded, asked()))


@pytest.mark.parametrize(("name", "axes"), [("one", 1), ("axes", 2), ("gpt2", 1), ("lora", 2)])
def test_an_export_gives_the_scores_of_the_run(runs, tmp_path, name, axes):
    done = preferably.export(runs[name].path, tmp_path / "out")
    proof = done.facts["proof"]
    assert proof["max_difference"] == 0.0 and proof["source"] == "held_out.jsonl" and len(proof["prompts"]) >= 8
    assert done.facts["form"] == ("merged" if name == "lora" else "full")
    model = AutoModelForSequenceClassification.from_pretrained(done.path)
    assert model.config.num_labels == axes and model.score.weight.shape[0] == axes
    assert (done.path / "reward.json").read_bytes() == (runs[name].model / "reward.json").read_bytes()
    assert "reward.json" in done.facts["files"]
    assert scores(done.path).equal(scores(runs[name].model))
    # and plain transformers alone, less the mean that reward.json states
    loaded = load_reward(done.path, device="cpu", dtype="float32", attention="padded")
    ids = loaded.tokenizer("0? aaa")["input_ids"] + [1]
    plain = model(input_ids=torch.tensor([ids])).logits[0].detach()
    mean = torch.tensor(json.loads((done.path / "reward.json").read_text())["mean"])
    assert torch.allclose(plain - mean, scores(done.path)[0], atol=1e-5)
    if name == "lora":
        assert 0 <= done.facts["merging"]["score"] < 1e-4 and done.facts["merging"]["tolerance"] == 1e-3


def test_an_earlier_checkpoint_is_centered_on_the_runs_data(runs, tmp_path):
    early = preferably.export(runs["axes"].path, tmp_path / "early", checkpoint=1)
    late = preferably.export(runs["axes"].path, tmp_path / "late")
    assert early.facts["step"] == 1 and not scores(early.path).equal(scores(late.path))
    means = [json.loads((one.path / "reward.json").read_text())["mean"] for one in (early, late)]
    assert means[0] != means[1]
    # measured as the run measures its own: its last checkpoint, taken for another, gets what the run wrote
    (runs["axes"].path / "model" / "reward.json").rename(tmp_path / "aside.json")
    try:
        again = preferably.export(runs["axes"].path, tmp_path / "again")
    finally:
        (tmp_path / "aside.json").rename(runs["axes"].path / "model" / "reward.json")
    found, known = (json.loads((one / "reward.json").read_text()) for one in (again.path, late.path))
    assert found["mean"] == pytest.approx(known["mean"], abs=1e-5)
    assert found["spread"] == pytest.approx(known["spread"], abs=1e-5)


def test_a_run_whose_model_is_not_there_yet_can_be_exported(runs, tmp_path):
    """From the base model with the head that it began with, as while the run goes on."""
    (runs["one"].path / "model").rename(tmp_path / "aside")
    try:
        done = preferably.export(runs["one"].path, tmp_path / "out")
    finally:
        (tmp_path / "aside").rename(runs["one"].path / "model")
    model, kept = (AutoModelForSequenceClassification.from_pretrained(one) for one in (done.path, runs["one"].model))
    assert all(a.equal(b) for a, b in zip(model.parameters(), kept.parameters(), strict=True))


def test_a_cast_says_what_it_costs(runs, tmp_path):
    done = preferably.export(runs["one"].path, tmp_path / "half", dtype="bfloat16")
    assert done.facts["proof"]["max_difference"] == 0.0 and 1e-5 < done.facts["casting"]["score"] < 2.0
    assert AutoModelForSequenceClassification.from_pretrained(done.path).dtype == torch.bfloat16


def test_adapters_alone_are_refused(runs, tmp_path):
    with pytest.raises(ConfigError, match="Adapters alone are no reward model"):
        preferably.export(runs["lora"].path, tmp_path / "out", adapter=True)
    assert not (tmp_path / "out").exists()


def test_an_online_run_is_exported_too(tiny_model_directory, tmp_path):
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps({"prompt": f"{k}? "}) + "\n" for k in range(16)))
    run = preferably.train(
        "ppo", model=tiny_model_directory, data=tmp_path / "prompts.jsonl", output=tmp_path / "ppo", reward="length",
        max_steps=1, batch_size=4, sample_tokens=4, held_out=4, sample_prompts=2, device="cpu", dtype="float32",
    )  # fmt: skip
    done = preferably.export(run.path, tmp_path / "out")
    assert done.facts["proof"]["source"] == "held_out.jsonl"
    one, other = (AutoModelForCausalLM.from_pretrained(place) for place in (done.path, run.model))
    assert all(a.equal(b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
