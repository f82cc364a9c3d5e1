"""The library's functions where users lean on them hardest: odd judges, odd models, short contexts, two processes."""

import json

import numpy as np
import pytest

import preferably
from preferably.errors import CheckpointError, ConfigError, DataError, ModelError
from preferably.training.checkpoint import lock_run
from preferably.training.run_directory import RunDirectory

PAIRS = [
    {"prompt": f"{letter} {number}? ", "chosen": "yes", "rejected": "no no"}
    for letter in "abcdef"
    for number in range(4)
]
FEW = {"max_steps": 2, "batch_size": 4, "sample_tokens": 6, "sample_prompts": 2}


@pytest.fixture
def pairs(tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    return file


def test_a_judge_may_answer_in_numpy(tmp_path, pairs, tiny_model_directory):
    asked = []

    def judge(prompts, completions):
        asked.append(len(prompts))
        return np.array([len(text) for text in completions], dtype=np.float32)

    out = tmp_path / "run"
    found = preferably.evaluate(
        tiny_model_directory, against=tiny_model_directory, data=pairs, judge=judge, output=out, max_tokens=4
    )
    assert found.wins + found.ties + found.losses == len(PAIRS)
    lines = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
    assert [set(line["scores"]) for line in lines] == [{"model", "against"}] * len(PAIRS)
    assert asked == [2 * len(PAIRS)]  # to judge, and no second time for the samples that are kept


def test_what_cannot_be_ranked_is_refused(tmp_path, pairs, tiny, tiny_model_directory):
    other = tiny.write_model(tmp_path / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["zz"] = len(tokenizer["model"]["vocab"])
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ModelError, match="different tokenizers"):
        preferably.rank(tiny_model_directory, against=other, data=pairs)
    long = tmp_path / "long.jsonl"
    long.write_text(json.dumps({"prompt": "a" * 500, "chosen": "b", "rejected": "c"}) + "\n")
    with pytest.raises(DataError, match="no pair to rank"):
        preferably.rank(tiny_model_directory, against=tiny_model_directory, data=long)


def test_answers_end_where_the_context_does(tmp_path, tiny):
    """GPT-2 has a table of positions, so one step too far would be an IndexError."""
    model = preferably.load(tiny.write_model(tmp_path / "gpt2", kind="gpt2"))
    from preferably.models.sampler import Decoding, sample

    assert model.context is not None
    prompts = [[3] * (model.context - 5), [4] * 3]
    drawn = sample(model.policy, model.tokenizer, prompts, Decoding(max_tokens=10**3), stop_ids=set(), samples=2)
    assert [[len(one.tokens) for one in several] for several in drawn] == [[5, 5], [model.context - 3] * 2]
    assert not any(one.finished for several in drawn for one in several)
    with pytest.raises(ConfigError, match="below the model's context"):
        sample(model.policy, model.tokenizer, [[3] * model.context], Decoding(), stop_ids=set())
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps({"prompt": "a" * 40}) + "\n" + json.dumps({"prompt": "b" * 500}) + "\n")
    found = preferably.evaluate(model, against=model, data=prompts, judge=lambda p, c: [1.0] * len(c), max_tokens=64)
    assert found.n == 1  # the other leaves no room


def test_a_second_process_changes_nothing(tmp_path, pairs, tiny_model_directory):
    out = tmp_path / "run"
    with lock_run(out):
        RunDirectory(out).create(resume=False)
        before = (out / "run-id").read_bytes()
        with pytest.raises(CheckpointError, match="in use"):
            preferably.train("dpo", model=tiny_model_directory, data=pairs, output=out, **FEW)
        assert (out / "run-id").read_bytes() == before and not (out / "status.json").exists()


def test_checkpoints_of_another_run_are_not_passed_over(tmp_path, pairs, tiny_model_directory):
    out = tmp_path / "run"
    preferably.train("dpo", model=tiny_model_directory, data=pairs, output=out, **FEW)
    (out / "run-id").write_text("another\n")
    with pytest.raises(CheckpointError, match="can be used"):
        preferably.train("dpo", model=tiny_model_directory, data=pairs, output=out, resume=True, **FEW)


def test_a_run_of_one_step_learns(tmp_path, pairs, tiny_model_directory):
    run = preferably.train(
        "dpo", model=tiny_model_directory, data=pairs, output=tmp_path / "run", **FEW | {"max_steps": 1}
    )
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert lines[1]["learning_rate"] > 0
    assert [warning["code"] for warning in run.warnings][:1] == ["not_ready"]


@pytest.mark.parametrize(
    "options", [{"held_out": 0, "patience": 1}, {"held_out": 0, "final": "best"}, {"held_out": 1.5}]
)
def test_what_needs_held_out_data_says_so(tmp_path, pairs, tiny_model_directory, options):
    with pytest.raises(ConfigError, match="held.out"):
        preferably.train("dpo", model=tiny_model_directory, data=pairs, output=tmp_path / "run", **FEW | options)
