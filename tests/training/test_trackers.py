"""Trackers are told every line once, and nothing that goes wrong with one touches the run."""

import importlib.util
import json
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from preferably.config import settings
from preferably.errors import ConfigError
from preferably.training import trackers
from preferably.training.closing import Progress
from preferably.training.run import train
from preferably.training.run_directory import RunDirectory
from preferably.training.wandb_file import last_step, records

LETTERS = "abcdefghijklmnopqrstuvwxyz"
DRIVER = Path(__file__).with_name("killed_run.py")


class Spy:
    """A tracker that keeps what it is told, and can fail."""

    made = {}

    def __init__(self, begun, held=-1, fails=lambda step: False):
        self.begun, self.held, self.fails = begun, held, fails
        self.steps, self.warnings, self.ends, self.metrics = [], [], [], {}
        Spy.made[len(Spy.made)] = self

    def log(self, step, metrics):
        if self.fails(step):
            raise OSError("no space\nleft")
        self.steps.append(step)
        self.metrics[step] = metrics

    def warn(self, step, code, message, advice):
        self.warnings.append((step, code))

    def finish(self, ok):
        if self.fails("end"):
            raise OSError("server away")
        self.ends.append(ok)


@pytest.fixture
def spies(monkeypatch):
    """`spies(name=options)` puts spies in the place of trackers; `spies.made` are those that were started."""
    Spy.made = {}

    def use(**options):
        for name, given in options.items():
            monkeypatch.setitem(trackers.TRACKERS, name, lambda begun, given=given: Spy(begun, **given))
        return Spy.made

    return use


@pytest.fixture
def run(tmp_path):
    made = RunDirectory(tmp_path / "run")
    made.create(resume=False)
    made.write_yaml("config.yaml", {"beta": 0.1})
    return made


@pytest.fixture
def given(tiny, tmp_path):
    """Settings of a run of 6 steps with evaluations at 0, 3 and 6."""
    rows = [{"prompt": f"q{i:02d}", "chosen": LETTERS[i % 20 :][:4], "rejected": "?" * (1 + i % 3)} for i in range(30)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {
        "method": "dpo", "model": str(tiny.write_model(tmp_path / "model")), "data": str(tmp_path / "pairs.jsonl"),
        "output": str(tmp_path / "run"), "held_out": 6, "batch_size": 4, "learning_rate": 1e-2, "sample_prompts": 3,
        "sample_tokens": 4, "device": "cpu", "eval_every": 3, "save_every": 2,
    }  # fmt: skip


def lines(path, name="metrics.jsonl"):
    return [json.loads(line) for line in (path / name).read_text().splitlines()]


def numbers(path):
    """What a tracker should have: step -> the finite numbers of its line."""
    return {
        line["step"]: {
            key: value for key, value in line.items() if isinstance(value, int | float) and key != "step"
        }
        for line in lines(path)
    }  # fmt: skip


# What is told


def test_settings_once_every_line_and_the_end(run, spies):
    made = spies(tensorboard={}, wandb={})
    with trackers.tracked(run, ["tensorboard", "wandb"], lambda *words: None):
        run.append("metrics.jsonl", {"step": 0, "epoch": 0.0})
        run.append("warnings.jsonl", {"step": 1, "code": "x", "message": "m", "advice": "a"})
        run.append("metrics.jsonl", {"step": 1, "loss": 0.5, "grad_norm": float("nan"), "skipped": "why", "odd": True})
        run.append("timing.jsonl", {"step": 1, "seconds": 1.0})
    run.append("metrics.jsonl", {"step": 2})
    for spy in made.values():
        assert spy.begun.settings == {"beta": 0.1} and (spy.begun.id, spy.begun.name) == (run.id, "run")
        assert spy.metrics == {0: {"epoch": 0.0}, 1: {"loss": 0.5}}
        assert spy.warnings == [(1, "x")] and spy.ends == [True]
    assert json.loads((run.path / "tracking.json").read_text())["trackers"] == {
        "tensorboard": {"calls": 4, "failed": 0}, "wandb": {"calls": 4, "failed": 0},
    }  # fmt: skip


def test_none_is_none(run):
    with trackers.tracked(run, [], lambda *words: None):
        run.append("metrics.jsonl", {"step": 0})
    assert not (run.path / "tracking.json").exists() and run.listeners == []


def test_a_run_that_fails_ends_as_failed(run, spies):
    made = spies(wandb={})
    with pytest.raises(ZeroDivisionError), trackers.tracked(run, ["wandb"], lambda *words: None):
        raise ZeroDivisionError
    assert made[0].ends == [False]


# What goes wrong


def test_what_fails_is_warned_of_once_and_counted_and_the_others_go_on(run, spies):
    made = spies(tensorboard={"fails": lambda step: step in (2, 3, "end")}, trackio={})
    told = []
    with trackers.tracked(run, ["tensorboard", "trackio"], lambda *words: told.append(words)):
        for step in range(5):
            run.append("metrics.jsonl", {"step": step, "loss": 0.5})
    assert made[0].steps == [0, 1, 4] and made[1].steps == [0, 1, 2, 3, 4]
    (warning,) = lines(run.path, "warnings.jsonl")
    assert (warning["step"], warning["code"]) == (2, "tracker_failed")
    assert warning["message"] == "tensorboard could not be written at step 2: no space left"
    assert [words[0] for words in told] == ["tracker_failed", "note"]
    assert told[1][1] == "3 of 6 writes to tensorboard failed"
    assert json.loads((run.path / "tracking.json").read_text())["trackers"] == {
        "tensorboard": {"calls": 6, "failed": 3}, "trackio": {"calls": 6, "failed": 0},
    }  # fmt: skip


def test_a_tracker_that_cannot_start_is_an_error_and_the_others_are_closed(run, spies, monkeypatch):
    made = spies(tensorboard={})

    def broken(begun):
        raise RuntimeError("log in first")

    monkeypatch.setitem(trackers.TRACKERS, "wandb", broken)
    told = "wandb cannot be started: log in first; mend that, or leave it out of track"
    with pytest.raises(ConfigError, match=told), trackers.tracked(run, ["tensorboard", "wandb"], lambda *words: None):
        pytest.fail("training began")
    assert made[0].ends == [False]


def test_a_missing_package_is_an_error_before_anything_is_made(given, monkeypatch, tmp_path):
    honest = importlib.util.find_spec
    monkeypatch.setattr(trackers, "find_spec", lambda name: None if name == "wandb" else honest(name))
    with pytest.raises(ConfigError, match=r"asks for wandb, which is not installed: pip install 'preferably\[track\]'"):
        train(settings(given | {"track": "wandb"}))
    assert not (tmp_path / "run").exists()


def test_a_folder_called_wandb_is_no_package(monkeypatch, tmp_path):
    """Offline runs leave one where they are started, and Python imports folders."""
    (tmp_path / "wandb").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    with pytest.raises(ConfigError, match="not installed"):
        trackers.require(["wandb"])


# Resuming


def begun_again(run, done, rewound_to):
    """A run that logged `done` steps, was stopped, and is taken up from an earlier checkpoint."""
    for step in range(done + 1):
        run.append("metrics.jsonl", {"step": step, "loss": step / 2})
        if step == rewound_to:
            saved = run.mark()
            (run.path / "checkpoints" / f"step-{step:08d}").mkdir(parents=True)
    run.append("warnings.jsonl", {"step": done, "code": "x", "message": "m", "advice": "a"})
    again = RunDirectory(run.path)
    again.create(resume=True)
    return again, lambda: again.rewind(saved)


def test_no_step_is_told_twice(run, spies):
    made = spies(wandb={"held": 5})
    again, rewind = begun_again(run, 5, 3)
    with trackers.tracked(again, ["wandb"], lambda *words: None):
        rewind()
        for step in range(4, 8):
            if step == 5:
                again.append("warnings.jsonl", {"step": 5, "code": "x", "message": "m", "advice": "a"})
            again.append("metrics.jsonl", {"step": step, "loss": step / 2})
    assert made[0].steps == [6, 7] and made[0].warnings == []
    assert made[0].begun.id == run.id


def test_what_a_store_lost_or_never_had_is_told_at_the_start(run, spies):
    made = spies(wandb={"held": 2}, trackio={})
    again, rewind = begun_again(run, 5, 3)
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')
    with trackers.tracked(again, ["wandb", "trackio"], lambda *words: None):
        rewind()
        for step in range(4, 8):
            again.append("metrics.jsonl", {"step": step, "loss": step / 2})
    assert made[0].steps == [3, 4, 5, 6, 7] and made[1].steps == list(range(8))
    assert made[0].warnings == made[1].warnings == [(5, "x")]


# The real ones, in real runs


def needs(name):
    return pytest.mark.skipif(
        importlib.util.find_spec(name) is None, reason=f"needs {name}: pip install 'preferably[track]'"
    )


def interrupted(values, tmp_path):
    """The run, killed at step 5 in a process of its own; its last checkpoint is that of step 4 or 3."""
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(values))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment.pop("WANDB_SERVICE", None)  # a process of its own, as a user's is, not that of the tests before
    command = [sys.executable, str(DRIVER), str(file), "5", "SIGKILL"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr


@needs("tensorboard")
@pytest.mark.parametrize("killed", [False, True, b"\0" * 80, b"\n\xff\0{\n"])
def test_tensorboard_reads_back_what_was_logged(given, tmp_path, killed):
    """Also after a kill, and after a power cut that left bytes that nobody wrote behind the last checkpoint."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    values, torn = given | {"track": "tensorboard"}, killed if isinstance(killed, bytes) else b""
    if killed:
        interrupted(values, tmp_path)
    if torn:
        log = tmp_path / "run" / "metrics.jsonl"
        newest = max((tmp_path / "run" / "checkpoints").glob("step-*"))
        saved = json.loads((newest / "state.json").read_text())["logs"]["metrics.jsonl"]
        assert log.stat().st_size > saved  # a step was told after it
        log.write_bytes(log.read_bytes()[:saved] + torn + b"\n")
    killed = bool(killed)
    path = train(settings(values), resume=killed).path
    found, texts, steps = {}, [], []
    for file in sorted((path / "tensorboard").iterdir()):
        for event in EventFileLoader(str(file)).Load():
            steps += [event.step] if event.summary.value[1:] else []
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "text":
                    texts.append((event.step, value.tag, value.tensor.string_val[0].decode()))
                else:
                    assert (event.step, value.tag) not in found  # not even hidden duplicates
                    found[event.step, value.tag] = value.tensor.float_val[0]
    expected = {(step, key): value for step, values in numbers(path).items() for key, value in values.items()}
    assert found == {place: pytest.approx(value, rel=1e-6) for place, value in expected.items()}
    assert len(steps) == len(set(steps))  # all numbers of a step in one record: no kill can part them
    assert [tag for _, tag, _ in texts].count("settings/text_summary") == 1
    assert any("method: dpo" in text for _, _, text in texts)
    assert json.loads((path / "tracking.json").read_text())["trackers"]["tensorboard"]["failed"] == 0


@needs("tensorboard")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of its writing thread
def test_a_disk_that_fills_up_under_tensorboard_does_not_stop_the_run(given, monkeypatch):
    from tensorboard.summary.writer.record_writer import RecordWriter

    honest, written = RecordWriter.write, []

    def write(self, data):
        written.append(data)
        if len(written) > 4:
            raise OSError(28, "No space left on device")
        honest(self, data)

    monkeypatch.setattr(RecordWriter, "write", write)
    told = []
    done = train(settings(given | {"track": "tensorboard"}), progress=Progress(warn=lambda *words: told.append(words)))
    assert json.loads((done.path / "status.json").read_text())["state"] == "finished" and done.model.exists()
    (warning,) = [line for line in lines(done.path, "warnings.jsonl") if line["code"] == "tracker_failed"]
    assert "No space left on device" in warning["message"]
    counted = json.loads((done.path / "tracking.json").read_text())["trackers"]["tensorboard"]
    alarms = [line for line in lines(done.path, "warnings.jsonl") if line["code"] != "tracker_failed"]
    assert 0 < counted["failed"] < counted["calls"] == len(lines(done.path)) + len(alarms) + 1  # and the end
    codes = [words[0] for words in told]
    assert codes[-1] == "note" and codes.count("tracker_failed") == 1


@needs("wandb")
@pytest.mark.parametrize("cut", [0, 3, 7, 50, 20_000, 33_000])
def test_a_wandb_file_that_ends_early_is_read_as_far_as_it_goes(tmp_path, cut):
    """Records of 9,000 bytes, so that some go over the end of a block; written here by the rules of LevelDB's log."""
    from wandb.proto.wandb_internal_pb2 import HistoryRecord, HistoryStep, Record

    data, ends = b":W&B" + bytes(3), []
    for step in range(12):
        history = HistoryRecord(step=HistoryStep(num=step), item=[{"key": "a", "value_json": "1" * 9000}])
        rest, first = Record(history=history).SerializeToString(), True
        while rest:
            room = 32768 - len(data) % 32768
            if room < 7:
                data += bytes(room)
                room = 32768
            piece, rest = rest[: room - 7], rest[room - 7 :]
            kind = (2 if rest else 1) if first else (3 if rest else 4)  # first, whole, middle, last
            data += struct.pack("<IHB", 0, len(piece), kind) + piece
            first = False
        ends.append(len(data))
    file = tmp_path / "run.wandb"
    file.write_bytes(data[: len(data) - cut])
    expected = [step for step, end in enumerate(ends) if end <= len(data) - cut]
    assert [record.history.step.num for record in records(file)] == expected and len(expected) > 6
    assert last_step(iter([file])) == expected[-1] and last_step(iter([])) == -1


@needs("wandb")
@pytest.mark.parametrize("killed", [False, True])
def test_wandb_offline_reads_back_what_was_logged(given, tmp_path, monkeypatch, killed):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_ERROR_REPORTING", raising=False)
    values = given | {"track": "wandb"}
    if killed:
        interrupted(values, tmp_path)
    path = train(settings(values), resume=killed).path
    files = sorted((path / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 1 + killed and {file.stem for file in files} == {
        f"run-{(path / 'run-id').read_text().strip()}"
    }
    until = time.monotonic() + 60
    while last_step(iter(files)) < 6 and time.monotonic() < until:
        time.sleep(0.1)  # W&B's process may write the end of its file after it said that it has finished
    found, names, configured = {}, set(), {}
    for record in (record for file in files for record in records(file)):
        if record.HasField("run"):
            names.add((record.run.project, record.run.display_name))
            configured |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        if record.HasField("history"):
            row = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            step = row.pop("_step")
            assert step not in found
            found[step] = {key: value for key, value in row.items() if not key.startswith("_")}
    assert found == numbers(path)
    assert names == {("preferably", "run")} and configured["method"] == "dpo" and configured["batch_size"] == 4
    assert json.loads((path / "tracking.json").read_text())["trackers"]["wandb"]["failed"] == 0


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """trackio's folder: it takes the name from the environment once, when it is imported."""
    assert "trackio" not in sys.modules
    folder = tmp_path_factory.mktemp("trackio")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACKIO_DIR", str(folder))
        yield folder


@needs("trackio")
@pytest.mark.parametrize("killed", [False, True])
def test_trackio_reads_back_what_was_logged(given, tmp_path, store, killed):
    values = given | {"track": "trackio"}
    if killed:
        interrupted(values, tmp_path)
    path = train(settings(values), resume=killed).path
    name = f"run-{(path / 'run-id').read_text()[:8]}"
    with sqlite3.connect(store / "preferably.db") as database:
        rows = database.execute("SELECT step, metrics FROM metrics WHERE run_name = ?", [name]).fetchall()
        configured = database.execute("SELECT config FROM configs WHERE run_name = ?", [name]).fetchall()
    assert len(rows) == len({step for step, _ in rows})
    assert {step: json.loads(metrics) for step, metrics in rows} == numbers(path)
    assert {json.loads(row[0])["method"] for row in configured} == {"dpo"}
    assert json.loads((path / "tracking.json").read_text())["trackers"]["trackio"]["failed"] == 0


@needs("trackio")
def test_trackio_asks_nobody_for_the_users_name(run, store, monkeypatch):
    """It would, of the Hugging Face hub, for anyone who is logged in there."""
    from huggingface_hub import constants

    asked = []
    monkeypatch.setenv("HF_TOKEN", "hf_not_a_token")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *words, **options: asked.append(words) or [])
    with trackers.tracked(run, ["trackio"], lambda *words: None):
        run.append("metrics.jsonl", {"step": 0, "loss": 0.5})
    assert asked == [] and constants.HF_HUB_OFFLINE is False
