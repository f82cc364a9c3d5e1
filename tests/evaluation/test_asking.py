"""Readiness measured on a model: its replies, their format, and the loss on answers that are known."""

import json
import math

import pytest
import torch

import preferably
from preferably.data.load import load_feedback
from preferably.errors import ConfigError
from preferably.evaluation import compare
from preferably.evaluation.asking import answers_in, loss_on, prompts_in
from preferably.feedback.records import Group, Message
from preferably.models.loading import load
from preferably.models.sampler import Decoding


@pytest.fixture
def files(tmp_path):
    rows = [{"prompt": f"{k}? ", "chosen": "abab", "rejected": "b" * (k + 1)} for k in range(4)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps({"prompt": row["prompt"]}) + "\n" for row in rows))
    return tmp_path


def test_the_loss_is_that_of_the_chosen_answers_by_token(files, tiny_model_directory):
    loaded = load(tiny_model_directory, device="cpu", dtype="float32")
    groups = load_feedback([files / "pairs.jsonl"], "pairs").groups
    total, tokens = 0.0, 0
    for group in groups:
        prompt = loaded.tokenizer(group.prompt_text)["input_ids"]
        whole = loaded.tokenizer(group.prompt_text + "abab")["input_ids"] + [loaded.tokenizer.eos_token_id]
        with torch.no_grad():
            logps = loaded.policy.inner(torch.tensor([whole])).logits[0].log_softmax(-1)
        for at in range(len(prompt), len(whole)):
            total, tokens = total - float(logps[at - 1, whole[at]]), tokens + 1
    assert loss_on(loaded, groups) == pytest.approx(total / tokens, rel=1e-5)
    assert loss_on(loaded, load_feedback([files / "prompts.jsonl"], "prompts").groups) is None


def test_answers_are_drawn_by_weights_in_the_dtype_that_the_model_computes_in(tiny_model_directory, monkeypatch):
    honest, drew = compare.sample, []

    def spied(policy, tokenizer, prompts, *arguments, **options):
        drew.append(({parameter.dtype for parameter in policy.parameters()}, prompts))
        return honest(policy, tokenizer, prompts, *arguments, **options)

    monkeypatch.setattr(compare, "sample", spied)
    asked, greedy = [Group((Message("user", "a? "),))], Decoding(0.0, max_tokens=6)
    for dtype in (torch.float32, torch.bfloat16):
        loaded = load(tiny_model_directory, device="cpu", dtype=str(dtype).removeprefix("torch."))
        [[said]] = compare.answers(loaded, asked, greedy)
        kinds, ids = drew.pop()
        assert kinds == {dtype} and {one.dtype for one in loaded.policy.parameters()} == {torch.float32}
        [[expected]] = honest(loaded.policy, loaded.tokenizer, ids, greedy, stop_ids=loaded.stop_ids)
        assert said.logps == pytest.approx(expected.logps, abs=0.2 if dtype == torch.bfloat16 else 1e-6)


def test_check_tells_the_loss_where_answers_are_known_and_the_format(files, tiny_model_directory):
    found = preferably.check(tiny_model_directory, data=files / "pairs.jsonl", samples=1, max_tokens=4, wanted="x+")
    assert found.held_out_loss is not None and math.isfinite(found.held_out_loss)
    assert found.off_format is not None and found.off_format > 0.5 and "not in the format" in found.verdict
    assert (
        preferably.check(tiny_model_directory, data=files / "prompts.jsonl", samples=1, max_tokens=4).held_out_loss
        is None
    )
    with pytest.raises(ConfigError, match="not a regular expression"):
        preferably.check(tiny_model_directory, data=files / "prompts.jsonl", max_tokens=4, wanted="(")


def test_training_on_pairs_stores_the_loss_on_the_chosen_answers(files, tiny_model_directory):
    run = preferably.train(
        "dpo", model=tiny_model_directory, data=files / "pairs.jsonl", output=files / "run", held_out=0.5, max_steps=1,
        sample_tokens=4, device="cpu",
    )  # fmt: skip
    stored = json.loads((run.path / "evaluation" / "readiness.json").read_text())
    assert stored["held_out_loss"] > 0
    assert "nats per token" in (run.path / "report.html").read_text()


def test_what_there_is_to_ask(files):
    assert [len(prompts_in(files / name, 3)) for name in ("pairs.jsonl", "prompts.jsonl")] == [3, 3]
    assert [len(answers_in(files / name, None)) for name in ("pairs.jsonl", "prompts.jsonl")] == [4, 0]
    with pytest.raises(ConfigError, match="at least 1"):
        prompts_in(files / "pairs.jsonl", 0)
