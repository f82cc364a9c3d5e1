"""Small versions of bench/stories_frontier.py and bench/real_pipeline.py: a few steps on real models, text and data."""

import json
import sys
from pathlib import Path

import pytest

from preferably import api
from preferably.errors import DataError
from preferably.feedback.records import Completion, Group, Message
from preferably.models.loading import load

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "real"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="../shared/real is not there")

FEW = {"max_steps": 2, "batch_size": 4, "sample_prompts": 4, "sample_tokens": 16, "held_out": 8}


@pytest.fixture(scope="module")
def frontier():
    sys.path.insert(0, str(ROOT / "bench"))
    try:
        import stories_frontier

        yield stories_frontier
    finally:
        sys.path.remove(str(ROOT / "bench"))


def account(run):
    data = json.loads((run.path / "data.json").read_text())
    assert data["read"] == data["used"] + sum(data["rejected"].values()) + data["deduplicated"]
    assert data["used"] == data["train"] + data["held_out"]
    return data


def more_is_better(prompts, completions):
    return [float(len(text)) for text in completions]


def test_stories_move_towards_the_rule(frontier, tmp_path):
    size = frontier.Size(unseen=40, samples=2)
    loaded = load(frontier.MODEL)
    seen, unseen = frontier.openings(loaded.tokenizer, size.unseen)
    assert (len(seen), len(unseen)) == (2245 - 40, 40)
    assert not {tuple(one) for one in seen} & {tuple(one) for one in unseen}
    seen = seen[:160]
    pairs = frontier.preferred_pairs(seen, frontier.draw(loaded, seen, 2, seed=1))
    start = frontier.Start(loaded, unseen, frontier.draw(loaded, unseen, size.samples, seed=2))
    itself = frontier.against_start(loaded, start, size.samples, seed=3)
    assert itself["kl"] == pytest.approx(0, abs=1e-4)
    found = frontier.one_run(frontier.Strength(5e-4, 0.5, 3), pairs, start, size, 0, tmp_path / "run")
    assert found["interval"][0] > 0.6 > itself["win_rate"]
    assert 0.5 < found["kl"] < 30  # it moved, and not to the 176 nats of gibberish


def test_best_of_n_rises_with_n(frontier):
    loaded = load(frontier.MODEL)
    _, unseen = frontier.openings(loaded.tokenizer, 12)
    start = frontier.Start(loaded, unseen, frontier.draw(loaded, unseen, 2, seed=2))
    rows = frontier.best_of(start, frontier.Size(best_of_openings=12, best_of_samples=8), seed=4)
    assert [row["n"] for row in rows] == [1, 2, 4, 8]
    assert rows[0]["kl"] == 0
    assert all(a["win_rate"] <= b["win_rate"] for a, b in zip(rows, rows[1:], strict=False))


def test_instructions_from_sft_to_a_win_rate(tmp_path):
    data = REAL / "data" / "rasbt"
    sft = api.train(
        "sft", model=REAL / "models/stories260K", data=data / "instruction-data.json", output=tmp_path / "sft", **FEW
    )
    assert account(sft)["read"] == 1100
    dpo = api.train(
        "dpo", model=sft.path, data=data / "instruction-data-with-preference.json", output=tmp_path / "dpo", **FEW
    )
    assert account(dpo)["rejected"] == {"equal": 6}
    result = api.evaluate(
        dpo.model, against=sft.path, data=dpo.path / "held_out.jsonl", judge=more_is_better, output=dpo.path,
        max_tokens=16, limit=8,
    )  # fmt: skip
    assert result.n == 8
    assert {"win_rate.json", "readiness.json"} <= {file.name for file in (dpo.path / "evaluation").iterdir()}


def test_transcripts_longer_than_the_context_are_counted(tmp_path):
    data = REAL / "data" / "hh-rlhf" / "helpful-base-test.jsonl.gz"
    model = REAL / "models" / "babyllama361"
    with pytest.raises(DataError, match="too_long 2081, empty 4, equal 2"):
        api.train("dpo", model=model, data=data, output=tmp_path / "no", **FEW)
    run = api.train("dpo", model=model, data=data, output=tmp_path / "run", max_rejected=1.0, **FEW)
    counted = account(run)
    assert (counted["read"], counted["rejected"]) == (2354, {"too_long": 2081, "empty": 4, "equal": 2})


def test_held_out_prompts_without_room_for_an_answer_do_not_stop_training(tmp_path):
    """Readiness is asked before training. A prompt of 170 of the 256 characters that the model reads fits in training
    and leaves little room for an answer, which is no error."""
    groups = [
        Group(
            (Message("user", f"Tell me about the number {number}. " + "Please take your time. " * 6),),
            (Completion((Message("assistant", "It is a number."),)), Completion((Message("assistant", "No."),))),
        )
        for number in range(100, 140)
    ]
    run = api.train("dpo", model=REAL / "models/babyllama361", data=groups, output=tmp_path, **FEW)
    assert run.state.step == 2
