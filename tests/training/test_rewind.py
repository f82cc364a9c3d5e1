import errno
import io
import json
import math
import os
from functools import partial
from pathlib import Path

import pytest

from preferably.errors import ConfigError
from preferably.training.disk import NoSpaceError
from preferably.training.run_directory import RunDirectory


def steps(run, name="metrics.jsonl"):
    return [line["step"] for line in run.lines(name)]


@pytest.fixture
def run(tmp_path):
    made = RunDirectory(tmp_path / "run")
    made.create(resume=False)
    return made


def test_what_came_after_the_mark_is_forgotten_to_the_byte(run):
    for step in range(4):
        run.append("metrics.jsonl", {"step": step, "loss": 0.1 + 0.2, "text": "ü"})
    before, mark = (run.path / "metrics.jsonl").read_bytes(), run.mark()
    for step in range(4, 7):
        run.append("metrics.jsonl", {"step": step})
        run.append("timing.jsonl", {"step": step, "seconds": 1.0})
        run.append("warnings.jsonl", {"step": step, "code": "x"})
        run.append("samples.jsonl", {"prompt": "not about steps"})
    run.rewind(mark)
    assert (run.path / "metrics.jsonl").read_bytes() == before
    assert steps(run, "timing.jsonl") == steps(run, "warnings.jsonl") == []
    assert len(list(run.lines("samples.jsonl"))) == 3


def test_a_half_written_line_is_no_line_and_is_forgotten(run):
    run.append("metrics.jsonl", {"step": 1})
    run.append("metrics.jsonl", {"step": 2})
    mark = run.mark()
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    assert steps(run) == [1, 2]
    run.rewind(mark)
    assert (run.path / "metrics.jsonl").read_text() == '{"step": 1}\n{"step": 2}\n'
    run.append("metrics.jsonl", {"step": 3})
    assert steps(run) == [1, 2, 3]


def test_what_a_power_cut_leaves_is_forgotten(run):
    run.append("metrics.jsonl", {"step": 1})
    mark = run.mark()
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(bytes(64))  # length was recorded, contents were not
    run.rewind(mark)
    assert steps(run) == [1]


def test_a_log_that_is_shorter_than_it_was_is_left_as_it_is(run):
    run.append("metrics.jsonl", {"step": 1})
    mark = run.mark()
    (run.path / "metrics.jsonl").write_text("")
    run.rewind(mark)
    assert (run.path / "metrics.jsonl").read_bytes() == b""


def test_rewinding_to_the_beginning_leaves_nothing_and_makes_no_files(run):
    run.append("metrics.jsonl", {"step": 0})
    run.rewind({})
    assert steps(run) == [] and not (run.path / "timing.jsonl").exists()


def test_lines_that_a_full_disk_does_not_take_wait_for_room(run, monkeypatch):
    run.append("metrics.jsonl", {"step": 1})
    before = (run.path / "metrics.jsonl").read_bytes()
    room = [5]

    class Small(io.FileIO):
        def __init__(self, path):
            super().__init__(path, "ab")

        def write(self, data):
            if not room[0]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = data[: room[0]]
            room[0] -= len(data)
            return super().write(data)

    real = Path.open
    with monkeypatch.context() as patch:
        kinds = {"ab": Small, "rb": partial(real, mode="rb")}
        patch.setattr(Path, "open", lambda path, mode, **more: kinds[mode](path))
        for step in (2, 3):
            run.append("metrics.jsonl", {"step": step})
            assert (run.path / "metrics.jsonl").read_bytes() == before  # no half of a line
        with pytest.raises(NoSpaceError, match="metrics.jsonl was not written: the disk is full"):
            run.mark()
        with pytest.raises(NoSpaceError):
            run.append("samples.jsonl", {"prompt": "nobody would ask for it again"})
    run.append("metrics.jsonl", {"step": 4})
    assert steps(run) == [1, 2, 3, 4]
    assert run.mark()["metrics.jsonl"] == len((run.path / "metrics.jsonl").read_bytes())


def test_numbers_that_json_has_no_word_for_become_null(run):
    run.append("metrics.jsonl", {"step": 1, "loss": math.nan, "deep": {"more": [math.inf, 1.5]}})
    assert list(run.lines("metrics.jsonl")) == [{"step": 1, "loss": None, "deep": {"more": [None, 1.5]}}]


def test_a_used_directory_is_refused_unless_the_run_goes_on(run):
    run.status("failed", 0, 0, "no such model")
    run.create(resume=False)  # nothing has run in it yet
    run.status("finished", 3, 3)
    run.append("metrics.jsonl", {"step": 0})
    before = (run.path / "status.json").read_bytes()
    with pytest.raises(ConfigError, match="already holds a run.*--resume"):
        run.create(resume=False)
    run.create(resume=True)
    assert (run.path / "status.json").read_bytes() == before
    assert json.loads(before) == {"schema": 1, "state": "finished", "step": 3, "total_steps": 3, "reason": ""}


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(ConfigError, match="Cannot make the run directory"):
        RunDirectory(tmp_path / "run").create(resume=False)
