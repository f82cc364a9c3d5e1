"""One run from settings to a model directory, as users start it."""

import json

import pytest
import torch
from safetensors.torch import load_file

from preferably.config import settings
from preferably.errors import DataError, ModelError
from preferably.training.run import train

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def given(tiny, tmp_path):
    rows = [{"prompt": f"q{i:02d}", "chosen": LETTERS[i % 20 :][:4], "rejected": "?" * (1 + i % 3)} for i in range(30)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {
        "method": "dpo", "model": str(tiny.write_model(tmp_path / "model")), "data": str(tmp_path / "pairs.jsonl"),
        "output": str(tmp_path / "run"), "held_out": 6, "batch_size": 4, "learning_rate": 1e-2, "sample_prompts": 3,
        "sample_tokens": 4, "device": "cpu",
    }  # fmt: skip


def read(path):
    return json.loads(path.read_text())


def test_a_run_leaves_what_it_promises(given):
    done = train(settings(given | {"eval_every": 2}))
    path = done.path
    assert read(path / "status.json") == {"schema": 1, "state": "finished", "step": 6, "total_steps": 6, "reason": ""}
    data = read(path / "data.json")
    assert (data["read"], data["used"], data["train"], data["held_out"], data["truncated"]) == (30, 30, 24, 6, 0)
    assert len(done.held_out) == 6 and done.model == path / "model"
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(7))
    assert [line["step"] for line in lines if "eval_loss" in line] == [0, 2, 4, 6]
    assert lines[-1]["eval_loss"] < 0.5 < lines[0]["eval_loss"]  # it learnt
    weights = load_file(path / "model" / "model.safetensors")
    last = load_file(path / "checkpoints" / "step-00000006" / "weights.safetensors")
    assert all(value.equal(last[f"model.{name}"]) for name, value in weights.items())


@pytest.mark.parametrize("part", ["data", "held_out_data"])
def test_the_account_of_rows_is_there_where_they_are_refused(given, tmp_path, part):
    (tmp_path / "bad.jsonl").write_text('{"prompt": "h", "chosen": "a", "rejected": "b"}\n{"prompt": "w"}\n')
    with pytest.raises(DataError, match="1 of 2 rows .*bad.jsonl:2 chosen: missing_field"):
        train(settings(given | {part: str(tmp_path / "bad.jsonl")}))
    data = read(tmp_path / "run" / "data.json")
    assert data["rejected"] == {"missing_field": 1} and data["rejects"][0]["line"] == 2
    assert data["read"] == data["used"] + 1 == (2 if part == "data" else 32)


def test_the_best_weights_become_the_model_where_that_is_asked_for(given, tmp_path):
    """Held-out labels are the opposite of the training labels: the first evaluation is the best, and long gone."""
    rows = [{"prompt": f"h{i}", "chosen": "?" * (1 + i % 3), "rejected": LETTERS[i:][:4]} for i in range(6)]
    (tmp_path / "opposite.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    changes = {"eval_every": 1, "final": "best", "held_out_data": str(tmp_path / "opposite.jsonl")}
    path = train(settings(given | changes)).path
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    losses = {line["step"]: line["eval_loss"] for line in lines if line["step"] > 0}
    assert min(losses, key=losses.get) == 1 and max(losses) == 8
    weights = load_file(path / "model" / "model.safetensors")
    kept, last = (load_file(path / "checkpoints" / f"step-{n:08d}" / "weights.safetensors") for n in (1, 8))
    assert all(value.equal(kept[f"model.{name}"]) for name, value in weights.items())
    assert not all(value.equal(last[f"model.{name}"]) for name, value in weights.items())


def test_a_model_that_is_not_there_fails_the_run_in_words(given, tmp_path):
    with pytest.raises(ModelError):
        train(settings(given | {"model": str(tmp_path / "absent")}))
    status = read(tmp_path / "run" / "status.json")
    assert status["state"] == "failed" and "Expected a directory" in status["reason"]


def test_nothing_to_train_on_is_said(given):
    with pytest.raises(DataError, match="give --data"):
        train(settings(given | {"data": ()}))


def test_an_unexpected_error_does_not_leave_a_run_that_claims_to_go_on(given, tmp_path, monkeypatch):
    from preferably.training import run

    def broken(*arguments, **options):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(run, "train_offline", broken)
    with pytest.raises(ZeroDivisionError):
        train(settings(given))
    assert read(tmp_path / "run" / "status.json")["state"] == "failed"


def test_threads_are_those_asked_for_and_the_environment_says_so(given):
    before = torch.get_num_threads()
    try:
        path = train(settings(given | {"threads": 2, "max_steps": 1})).path
        assert torch.get_num_threads() == 2 and read(path / "environment.json")["threads"] == 2
    finally:
        torch.set_num_threads(before)
