"""A run that was stopped, kindly or not, and went on is the run that was never stopped: to the last bit."""

import json
import os
from pathlib import Path

import pytest
import torch
import yaml
from crash_runs import command, digest, results, status, steps

from preferably.config import settings
from preferably.errors import CheckpointError, ConfigError
from preferably.training.alarms import Warning
from preferably.training.checkpoint import lock_run
from preferably.training.closing import Progress
from preferably.training.run import train


class Pulled(Exception):
    """The plug."""


def pulled(values, at):
    """Train until step `at` has been logged, and no further."""

    def step(number, metrics):
        if number == at:
            raise Pulled

    with pytest.raises(Pulled):
        train(settings(values), progress=Progress(step=step))


def test_what_was_logged_after_the_checkpoint_is_logged_once(job, whole):
    values = job("dpo", "pulled")
    pulled(values, 5)
    path = Path(values["output"])
    assert not (path / "model").exists() and status(path)["state"] == "failed"
    assert steps(path) == [0, 1, 2, 3, 4, 5]  # step 5 is in the log and in no checkpoint
    assert int(max(p.name for p in (path / "checkpoints").iterdir())[-8:]) in (3, 4)
    train(settings(values), resume=True)
    expected = whole("dpo").path
    assert steps(path) == steps(expected) == list(range(9))
    assert results(path) == results(expected)
    assert steps(path, "timing.jsonl") == list(range(1, 9)) and status(path)["state"] == "finished"
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    losses = [line["eval_loss"] for line in lines if "eval_loss" in line]
    assert losses[-1] < 0.9 * losses[0]  # it learnt: the sameness is not that of runs that do nothing


def test_what_was_warned_of_at_the_start_outlives_a_death_before_the_first_checkpoint(job):
    def before(loaded, held_out):
        return [Warning(0, "not_ready", "it cannot", "teach it")]

    values = job("dpo", "early", max_steps=1)

    def die(step, metrics):
        raise Pulled

    with pytest.raises(Pulled):
        train(settings(values), progress=Progress(step=die), before=before)
    path = Path(values["output"])
    assert not (path / "checkpoints").exists() and steps(path) == [0]
    train(settings(values), resume=True, before=before)
    assert [json.loads(line)["code"] for line in (path / "warnings.jsonl").read_text().splitlines()] == ["not_ready"]
    assert steps(path) == [0, 1]


def test_a_broken_newest_checkpoint_costs_steps_but_no_bits(job, whole):
    values = job("dpo", "broken")
    pulled(values, 7)
    path = Path(values["output"])
    newest = max((path / "checkpoints").iterdir())
    data = bytearray((newest / "weights.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (newest / "weights.safetensors").write_bytes(data)
    told = []
    train(settings(values), resume=True, progress=Progress(warn=lambda *words: told.append(words)))
    assert [words[1] for words in told if words[0] == "checkpoint_refused" and newest.name in words[1]]
    assert results(path) == results(whole("dpo").path)


def test_the_same_settings_twice_are_the_same_run(job, whole):
    values = job("dpo", "again")
    train(settings(values))
    assert results(Path(values["output"])) == results(whole("dpo").path)


def test_another_seed_is_another_run(job, whole):
    """The teeth of the tests above."""
    values = job("dpo", "other-seed", seed=1)
    train(settings(values))
    assert results(Path(values["output"])) != results(whole("dpo").path)


def test_resuming_a_finished_run_changes_nothing(job):
    values = job("sft", "finished")
    path = train(settings(values)).path
    before = results(path)
    train(settings(values), resume=True)
    assert results(path) == before and steps(path, "timing.jsonl") == list(range(1, 9))


def test_resuming_where_nothing_ran_is_a_run(job, whole):
    values = job("sft", "from-nothing")
    train(settings(values), resume=True)
    assert results(Path(values["output"])) == results(whole("sft").path)


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_a_run_that_looks_at_nothing_can_be_resumed_too(job, method):
    """Nothing held out and nothing sampled: there is no evaluation at the start to remember."""
    bare = {"held_out": 0, "sample_prompts": 0}
    one, two = job(method, f"bare-{method}", **bare), job(method, f"bare-resumed-{method}", **bare)
    train(settings(one))
    pulled(two, 5)
    train(settings(two), resume=True)
    assert results(Path(two["output"])) == results(Path(one["output"]))


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_a_run_of_adapters_can_be_resumed_too(job):
    one, two = job("dpo", "lora", lora=True), job("dpo", "lora-resumed", lora=True)
    train(settings(one))
    pulled(two, 5)
    train(settings(two), resume=True)
    assert results(Path(two["output"])) == results(Path(one["output"]))


# What is refused


@pytest.fixture
def ran(job, request):
    values = job("dpo", f"ran-{request.node.name}", max_steps=2, save_every=1, sample_prompts=0, held_out=4)
    train(settings(values))
    return values


def files(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"learning_rate": 2e-2}, "settings.learning_rate: 0.01 then, 0.02 now"),
        ({"beta": 0.5}, "settings.beta: None then, 0.5 now"),
        ({"seed": 3, "batch_size": 2}, "settings.batch_size: 4 then, 2 now; settings.seed: 0 then, 3 now"),
        ({"method": "ipo"}, "settings.method: 'dpo' then, 'ipo' now"),
    ],
)
def test_changed_settings_are_refused_and_listed(ran, changes, said):
    with pytest.raises(CheckpointError) as caught:
        train(settings(ran | changes), resume=True)
    assert said in str(caught.value)


def test_changed_data_and_another_model_are_refused(ran, tiny, tmp_path):
    data = tmp_path / "other.jsonl"
    lines = Path(ran["data"]).read_text().splitlines()
    data.write_text("\n".join([*lines[:-1], lines[-1].replace("q39", "q38x")]) + "\n")
    with pytest.raises(CheckpointError, match="data: the tokens to train on are not the same") as caught:
        train(settings(ran | {"data": str(data)}), resume=True)
    assert "model" not in str(caught.value).partition("new one: ")[2]
    data.write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(CheckpointError, match=r"data.train.groups: 36 then, 35 now"):
        train(settings(ran | {"data": str(data)}), resume=True)
    model = tiny.write_model(tmp_path / "model", seed=1)
    with pytest.raises(CheckpointError, match="model: its weights are not those that the run started from"):
        train(settings(ran | {"model": str(model)}), resume=True)


def test_another_number_of_threads_is_refused_and_named(ran):
    before = torch.get_num_threads()
    try:
        with pytest.raises(CheckpointError, match=rf"environment.threads: {before} then, {before + 1} now"):
            train(settings(ran | {"threads": before + 1}), resume=True)
    finally:
        torch.set_num_threads(before)


def test_a_second_process_is_refused_in_words(ran, warm):
    path = Path(ran["output"])
    with lock_run(path):
        before = files(path)
        done = warm.run(argv=command(ran, "--resume"), train=ran)
        assert done.code == 6 and done.said.count("error:") == 1 and "Traceback" not in done.said
        assert f"is in use by process {os.getpid()} on" in " ".join(done.said.split())
        assert files(path) == before


def test_the_same_data_under_another_name_is_no_change(ran, tmp_path):
    data = tmp_path / "same.jsonl"
    data.write_text(Path(ran["data"]).read_text())
    before = digest(Path(ran["output"]) / "metrics.jsonl")
    train(settings(ran | {"data": str(data), "keep": 5}), resume=True)
    assert digest(Path(ran["output"]) / "metrics.jsonl") == before


def test_a_refused_resume_leaves_what_the_run_wrote(ran):
    """The settings, the model and the status on disk are those of the run that was, not of the one that was refused."""
    path = Path(ran["output"])
    before = files(path)
    with pytest.raises(CheckpointError):
        train(settings(ran | {"learning_rate": 2e-2, "held_out": 5}), resume=True)
    after = files(path)
    assert yaml.safe_load(before["config.yaml"])["learning_rate"] == 0.01
    assert sorted(name for name in before if before[name] != after.get(name)) == []


def test_a_used_directory_is_refused_and_left_as_it_is(ran):
    path = Path(ran["output"])
    before = files(path)
    with pytest.raises(ConfigError, match="already holds a run.*--resume"):
        train(settings(ran))
    assert files(path) == before


def test_warnings_of_the_start_are_written_once(job):
    """A resumed run does not say again at step 0 what the first said there."""
    values = job("sft", "warned", max_steps=2, max_length=6, truncation="keep_start", max_rejected=1.0, held_out=4)
    path = train(settings(values)).path
    assert '"no_eos"' in (path / "warnings.jsonl").read_text()
    before = (path / "warnings.jsonl").read_bytes()
    train(settings(values), resume=True)
    assert (path / "warnings.jsonl").read_bytes() == before
