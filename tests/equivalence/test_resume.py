"""A run that was stopped, kindly or not, and went on is the run that was never stopped: to the last bit."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from preferably.config import settings
from preferably.errors import CheckpointError, ConfigError
from preferably.training.offline import Progress
from preferably.training.run import train

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs signals")

DRIVER = Path(__file__).with_name("run_driver.py")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def rows(method):
    """40 rows that say something: the right answer is the prompt's next letters, the wrong one the letters before."""
    out = []
    for i in range(40):
        prompt = f"q{i:02d} {LETTERS[i % 20]}"
        right, wrong = LETTERS[i % 20 + 1 : i % 20 + 3 + i % 4], LETTERS[i % 20 :: -1][: 2 + i % 3] or "z"
        row = {"prompt": prompt}
        row |= {"completion": right} if method == "sft" else {"chosen": right, "rejected": "?" + wrong}
        out.append(row)
    return out


@pytest.fixture(scope="module")
def job(tiny, tmp_path_factory):
    """`job(method, **changes)`: settings of a run of 8 steps, checkpoints at 3 and 6 and evaluations at 4 and 8."""
    place = tmp_path_factory.mktemp("job")
    model = tiny.write_model(place / "model")

    def make(method, name, **changes):
        data = place / f"{method}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows(method)))
        return {
            "method": method, "model": str(model), "data": str(data), "output": str(place / name), "held_out": 8,
            "batch_size": 4, "learning_rate": 1e-2, "save_every": 3, "eval_every": 4, "sample_prompts": 4,
            "sample_tokens": 6, "tokens_per_microbatch": 40, "device": "cpu", "dtype": "float32",
        } | changes  # fmt: skip

    return make


@pytest.fixture(scope="module")
def whole(job):
    """Runs that nothing interrupted, by method: made once."""
    made = {}

    def run(method):
        if method not in made:
            values = job(method, f"whole-{method}")
            made[method] = train(settings(values)).path
        return made[method]

    return run


def interrupted(values, step, number, tmp_path):
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(values))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(DRIVER), str(file), str(step), number]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def results(path):
    """What must be the same: the model, and every number that was logged."""
    return digest(path / "model" / "model.safetensors"), digest(path / "metrics.jsonl")


def steps(path, name="metrics.jsonl"):
    return [json.loads(line)["step"] for line in (path / name).read_text().splitlines()]


def status(path):
    return json.loads((path / "status.json").read_text())


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_killed_in_the_middle_and_resumed_it_is_the_same_run(job, whole, tmp_path, method):
    values = job(method, f"killed-{method}")
    done = interrupted(values, 5, "SIGKILL", tmp_path)
    path = Path(values["output"])
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (path / "model").exists() and status(path)["state"] == "running"
    assert steps(path) == [0, 1, 2, 3, 4, 5]  # step 5 is in the log and in no checkpoint
    assert int(max(p.name for p in (path / "checkpoints").iterdir())[-8:]) in (3, 4)
    train(settings(values), resume=True)
    expected = whole(method)
    assert steps(path) == steps(expected) == list(range(9))
    assert results(path) == results(expected)
    assert steps(path, "timing.jsonl") == list(range(1, 9)) and status(path)["state"] == "finished"
    losses = [
        json.loads(line)["eval_loss"]
        for line in (path / "metrics.jsonl").read_text().splitlines()
        if "eval_loss" in line
    ]
    assert losses[-1] < 0.9 * losses[0]  # it learnt: the sameness is not that of runs that do nothing


def test_stopped_by_sigterm_it_saves_says_so_and_goes_on_to_the_same_end(job, whole, tmp_path):
    values = job("dpo", "stopped")
    done = interrupted(values, 1, "SIGTERM", tmp_path)
    path = Path(values["output"])
    assert done.returncode == 0, done.stderr
    assert status(path)["state"] == "stopped" and status(path)["reason"]
    assert status(path)["step"] == steps(path)[-1] == 2  # the signal came as step 1 was told: step 2 was in hand
    assert (path / "checkpoints" / "step-00000002").is_dir() and (path / "model" / "model.safetensors").exists()
    train(settings(values), resume=True)
    assert status(path) == {"schema": 1, "state": "finished", "step": 8, "total_steps": 8, "reason": ""}
    assert results(path) == results(whole("dpo"))


def test_a_broken_newest_checkpoint_costs_steps_but_no_bits(job, whole, tmp_path):
    values = job("dpo", "broken")
    interrupted(values, 7, "SIGKILL", tmp_path)
    path = Path(values["output"])
    newest = max((path / "checkpoints").iterdir())
    data = bytearray((newest / "weights.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (newest / "weights.safetensors").write_bytes(data)
    told = []
    train(settings(values), resume=True, progress=Progress(warn=lambda *words: told.append(words)))
    assert [words[1] for words in told if words[0] == "checkpoint_refused" and newest.name in words[1]]
    assert results(path) == results(whole("dpo"))


def test_the_same_settings_twice_are_the_same_run(job, whole):
    values = job("dpo", "again")
    train(settings(values))
    assert results(Path(values["output"])) == results(whole("dpo"))


def test_another_seed_is_another_run(job, whole):
    """The teeth of the tests above."""
    values = job("dpo", "other-seed", seed=1)
    train(settings(values))
    assert results(Path(values["output"])) != results(whole("dpo"))


def test_resuming_a_finished_run_changes_nothing(job):
    values = job("sft", "finished")
    path = train(settings(values)).path
    before = results(path)
    train(settings(values), resume=True)
    assert results(path) == before and steps(path, "timing.jsonl") == list(range(1, 9))


def test_resuming_where_nothing_ran_is_a_run(job, whole):
    values = job("sft", "from-nothing")
    train(settings(values), resume=True)
    assert results(Path(values["output"])) == results(whole("sft"))


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_a_run_that_looks_at_nothing_can_be_resumed_too(job, method):
    """Nothing held out and nothing sampled: there is no evaluation at the start to remember."""
    bare = {"held_out": 0, "sample_prompts": 0}
    one, two = job(method, f"bare-{method}", **bare), job(method, f"bare-resumed-{method}", **bare)
    train(settings(one))

    class Pulled(Exception):
        pass

    def pull(step, metrics):
        if step == 5:
            raise Pulled

    with pytest.raises(Pulled):
        train(settings(two), progress=Progress(step=pull))
    train(settings(two), resume=True)
    assert results(Path(two["output"])) == results(Path(one["output"]))


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_a_run_of_adapters_can_be_resumed_too(job):
    one, two = job("dpo", "lora", lora=True), job("dpo", "lora-resumed", lora=True)
    train(settings(one))

    class Pulled(Exception):
        pass

    def pull(step, metrics):
        if step == 5:
            raise Pulled

    with pytest.raises(Pulled):
        train(settings(two), progress=Progress(step=pull))
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
    with pytest.raises(CheckpointError, match=r"data: '\w+' then, '\w+' now"):
        train(settings(ran | {"data": str(data)}), resume=True)
    model = tiny.write_model(tmp_path / "model", seed=1)
    with pytest.raises(CheckpointError, match=r"start_weights: '\w+' then, '\w+' now"):
        train(settings(ran | {"model": str(model)}), resume=True)


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
