"""Two processes are one: the same weights and figures, whatever falls to each; and they end together."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from preferably.config import settings
from preferably.errors import CheckpointError, ConfigError
from preferably.training import offline as loop
from preferably.training.checkpoint import lock_run
from preferably.training.run import train

pytestmark = [
    pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without distributed"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]

DRIVER = Path(__file__).with_name("processes_driver.py")
BOUND = 300  # seconds for what takes about ten on a machine that does nothing else
WORDS = ["a", "bb", "ccc d", "eeeeeeeeee fff", "gg hh ii jj kk ll mm nn", "o"]


def rows(method):
    """40 rows of very different lengths: 31 to train on, so that the last of steps of 5 has one."""
    out = []
    for i in range(40):
        right, wrong = WORDS[i % 6] * (1 + i % 2), WORDS[(i * i + 2) % 6] + "?"
        row = {"prompt": f"{i} " + "pq"[: i % 3] * (i % 5)}
        out.append(row | ({"completion": right} if method == "sft" else {"chosen": right, "rejected": wrong}))
    return out


@pytest.fixture(scope="module")
def job(tiny, tmp_path_factory):
    """`job(method, name, **changes)`: settings of a run of 7 steps, with checkpoints at 3, 4, 6 and 7."""
    place = tmp_path_factory.mktemp("processes")

    def make(method, name, kind="llama", **changes):
        model, data = place / kind, place / f"{method}.jsonl"
        if not model.exists():
            tiny.write_model(model, kind)
        data.write_text("".join(json.dumps(row) + "\n" for row in rows(method)))
        return {
            "method": method, "model": str(model), "data": str(data), "output": str(place / name), "held_out": 9,
            "batch_size": 5, "learning_rate": 1e-3, "warmup": 0, "clip": 0.5, "save_every": 3, "eval_every": 4,
            "sample_prompts": 4, "sample_tokens": 6, "tokens_per_microbatch": 60, "device": "cpu", "dtype": "float32",
        } | changes  # fmt: skip

    return make


LAUNCH = "import sys; from preferably.cli.launching import launch; sys.exit(launch(2, sys.argv[1:]))"


def finished(command):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
    if sys.platform == "linux":
        environment["GLOO_SOCKET_IFNAME"] = "lo"
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=BOUND, env=environment
    )


def flags(values):
    """Settings as arguments of the command."""
    return [f"--{name}={value}" for name, value in values.items() if name != "method"]


# Where attention has key biases their gradient is 0, and AdamW would make steps of its rounding: `eps` is above that.
JOBS = {
    "sft": ("sft", {"epochs": 2}, None),
    "cache": ("dpo", {"epochs": 2}, None),
    "live": ("dpo", {"reference": "live"}, None),
    "lora": ("dpo", {"lora": True, "lora_r": 4, "nll_weight": 0.1}, None),
    "tied": ("ipo", {"kind": "gpt2", "beta": 0.5, "eps": 1e-4}, None),
    "padded": ("sft", {"kind": "bloom", "max_steps": 3, "eps": 1e-4}, None),
    "nan": ("dpo", {}, ["nan", 1, 3]),
    "term": ("dpo", {}, ["term", 1, 4]),
}


@pytest.fixture(scope="module")
def two(job):
    """The directory of every job that two processes did."""
    jobs = [
        {"values": job(method, f"two-{name}", **changes), "fault": fault}
        for name, (method, changes, fault) in JOBS.items()
    ]
    file = Path(jobs[0]["values"]["output"]).with_name("jobs.json")
    file.write_text(json.dumps(jobs))
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = finished([sys.executable, *start, DRIVER, file])
    assert done.returncode == 0, done.stderr[-4000:]
    return {name: Path(made["values"]["output"]) for name, made in zip(JOBS, jobs, strict=True)}


def metrics(path):
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def status(path):
    return json.loads((path / "status.json").read_text())


def weights(path):
    return load_file(path / "model" / "model.safetensors")


def largest_difference(one, other):
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def assert_same(path, other):
    """Weights and figures within 1e-6; differences of log-probs within that share of the log-probs."""
    assert largest_difference(weights(path), weights(other)) <= 1e-6
    assert len(metrics(path)) == len(metrics(other)) > 3
    for ours, theirs in zip(metrics(path), metrics(other), strict=True):
        nats = max(abs(value) for key, value in theirs.items() if "logps" in key or key == "step")
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-6 * max(1.0, nats))


@pytest.mark.parametrize("name", ["sft", "cache", "live", "lora", "tied", "padded"])
def test_two_processes_end_at_the_weights_and_figures_of_one(job, two, name):
    method, changes, _ = JOBS[name]
    values = job(method, f"one-{name}", **changes)
    one = train(settings(values)).path
    assert_same(two[name], one)
    lines = metrics(one)
    assert sum(line.get("grad_norm", 0) > values["clip"] for line in lines) >= 2  # the clipping was at work
    start = load_file(Path(values["model"]) / "model.safetensors")
    assert largest_difference(weights(one), {key: start[key] for key in weights(one)}) > 1e-3


def test_what_is_written_is_written_once(two):
    for name in ("cache", "padded"):
        assert [line["step"] for line in metrics(two[name])] == list(range(len(metrics(two[name]))))
        assert status(two[name])["state"] == "finished"
    assert "processes: 2" in (two["cache"] / "config.yaml").read_text().splitlines()
    notes = [json.loads(line) for line in (two["cache"] / "held_out.jsonl").read_text().splitlines()]
    assert len(notes) == 9


def test_one_process_with_nan_makes_all_skip_the_step(job, two, monkeypatch):
    values = job("dpo", "one-nan")
    honest, calls = loop.batch_indices, []
    losses = loop.group_losses
    monkeypatch.setattr(loop, "batch_indices", lambda step, *rest: (calls.append(step), honest(step, *rest))[1])

    def spoil(*arguments):
        got, figures = losses(*arguments)
        return got * (float("nan") if calls[-1] == 2 else 1.0), figures

    monkeypatch.setattr(loop, "group_losses", spoil)
    one = train(settings(values)).path
    assert largest_difference(weights(two["nan"]), weights(one)) <= 1e-6
    assert [line["step"] for line in metrics(two["nan"]) if "skipped" in line] == [3]
    moments = load_file(two["nan"] / "checkpoints" / "step-00000007" / "optimizer.safetensors")
    assert {float(value) for key, value in moments.items() if key.endswith("/step")} == {6.0}


def test_one_process_that_is_asked_to_stop_stops_all_after_the_step(two):
    assert (status(two["term"])["state"], status(two["term"])["step"]) == ("stopped", 4)
    assert (two["term"] / "checkpoints" / "step-00000004").is_dir()


def test_a_killed_process_ends_the_other_and_the_resumed_run_is_the_same_to_the_bit(job, two):
    values = job("dpo", "killed", epochs=2)
    path = Path(values["output"])
    done = finished([sys.executable, "-c", LAUNCH, DRIVER, "kill,1,9", "train", "dpo", *flags(values)])
    assert done.returncode == 128 + 9
    assert done.stderr.count("Another process of this run ended without a word") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "ended without a word" in status(path)["reason"] and status(path)["state"] == "failed"
    assert [line["step"] for line in metrics(path)] == list(range(9))

    with pytest.raises(CheckpointError, match="settings.processes: 2 then, 1 now"):
        train(settings(values), resume=True)

    command = [sys.executable, "-m", "preferably", "train", "dpo", *flags(values), "--processes", 2, "--resume"]
    done = finished(command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "finished after 13 steps" and done.stdout.count("model ") == 1
    for name in ("metrics.jsonl", "model/model.safetensors"):
        assert (path / name).read_bytes() == (two["cache"] / name).read_bytes()
    assert (path / "report.html").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of Unix")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_the_launcher_leaves_with_the_code_of_its_signal(tmp_path, name):
    script = tmp_path / "waits.py"
    script.write_text(
        "import os, pathlib, time\n"
        "pathlib.Path(__file__).with_name('ready-' + os.environ['RANK']).touch()\n"
        f"time.sleep({BOUND})\n"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    running = subprocess.Popen([sys.executable, "-c", LAUNCH, str(script)], env=environment, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + BOUND
        while len(list(tmp_path.glob("ready-*"))) < 2 and time.monotonic() < until:
            assert running.poll() is None
            time.sleep(0.05)
        running.send_signal(getattr(signal, name))
        assert running.wait(BOUND) == 128 + getattr(signal, name)
    finally:
        running.kill()


def test_a_dry_run_of_two_processes_is_told_once_and_refuses_nothing(job):
    values = job("sft", "planned", memory_limit=0.001)
    command = [sys.executable, "-m", "preferably", "train", "sft", *flags(values), "--processes", "2", "--dry-run"]
    done = finished(command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("rows:") == 1 and "these figures are of one process" in done.stdout, done.stdout
    assert "does not fit in one process" in done.stdout and not Path(values["output"]).exists()
    alone = finished([*command[:-3], "--dry-run"])
    assert alone.returncode == ConfigError.exit_code and "of one process" not in alone.stdout


def test_an_error_on_one_process_is_told_once(job):
    values = job("sft", "raised")
    done = finished([sys.executable, "-c", LAUNCH, DRIVER, "raise,1,2", "train", "sft", *flags(values)])
    assert done.returncode != 0
    assert done.stderr.count("ValueError: made up") == 1 == done.stderr.count("Traceback"), done.stderr
    assert "error:" not in done.stderr
    assert status(Path(values["output"])) == status(Path(values["output"])) | {"state": "failed", "reason": "made up"}


def test_a_second_run_is_refused_in_one_line(job):
    values = job("sft", "locked")
    Path(values["output"]).mkdir()
    with lock_run(Path(values["output"])):
        done = finished([sys.executable, "-m", "preferably", "train", "sft", *flags(values), "--processes", "2"])
    assert done.returncode == CheckpointError.exit_code
    (line,) = done.stderr.strip().splitlines()[-1:]
    assert line.startswith("error:") and f"is in use by process {os.getpid()}" in line
    assert done.stderr.count("error:") == 1 and "Traceback" not in done.stderr
    assert not (Path(values["output"]) / "metrics.jsonl").exists()


def test_a_program_that_runs_as_one_cannot_be_asked_for_two(job):
    values = job("sft", "alone", processes=2)
    with pytest.raises(ConfigError, match="torchrun --nproc-per-node 2"):
        train(settings(values))
