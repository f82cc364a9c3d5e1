import json
import math

import pytest

from preferably.errors import ConfigError
from preferably.training.run_directory import RunDirectory


def steps(run, name="metrics.jsonl"):
    return [line["step"] for line in run.lines(name)]


@pytest.fixture
def run(tmp_path):
    made = RunDirectory(tmp_path / "run")
    made.create(resume=False)
    return made


def test_what_came_after_the_step_is_forgotten_to_the_byte(run):
    for step in range(4):
        run.append("metrics.jsonl", {"step": step, "loss": 0.1 + 0.2, "text": "ü"})
    before = (run.path / "metrics.jsonl").read_bytes()
    for step in range(4, 7):
        run.append("metrics.jsonl", {"step": step})
        run.append("timing.jsonl", {"step": step, "seconds": 1.0})
        run.append("warnings.jsonl", {"step": step, "code": "x"})
        run.append("samples.jsonl", {"prompt": "not about steps"})
    run.rewind(3)
    assert (run.path / "metrics.jsonl").read_bytes() == before
    assert steps(run, "timing.jsonl") == steps(run, "warnings.jsonl") == []
    assert len(list(run.lines("samples.jsonl"))) == 3


def test_several_lines_of_one_step_stay_together(run):
    for step in (0, 1, 1, 2):
        run.append("warnings.jsonl", {"step": step})
    run.rewind(1)
    assert steps(run, "warnings.jsonl") == [0, 1, 1]


def test_a_half_written_line_is_forgotten(run):
    run.append("metrics.jsonl", {"step": 1})
    run.append("metrics.jsonl", {"step": 2})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    run.rewind(2)
    assert (run.path / "metrics.jsonl").read_text() == '{"step": 1}\n{"step": 2}\n'
    run.append("metrics.jsonl", {"step": 3})
    assert steps(run) == [1, 2, 3]


def test_what_a_power_cut_leaves_is_forgotten(run):
    run.append("metrics.jsonl", {"step": 1})
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(bytes(64))  # length was recorded, contents were not
    run.rewind(1)
    assert steps(run) == [1]


def test_rewinding_before_the_first_step_leaves_nothing_and_makes_no_files(run):
    run.append("metrics.jsonl", {"step": 0})
    run.rewind(-1)
    assert steps(run) == [] and not (run.path / "timing.jsonl").exists()


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
