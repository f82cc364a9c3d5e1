import errno
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preferably.errors import CheckpointError
from preferably.training import checkpoint
from preferably.training.checkpoint import (
    environment_facts,
    lock_run,
    name_of,
    newest_valid,
    prune,
    verify,
    write_checkpoint,
)
from preferably.training.disk import NoSpaceError


def put(data):
    return lambda path: path.write_bytes(data)


def write(folder, step, run_id="a", **more):
    files = {"weights.bin": put(bytes(range(256)) * 4 + bytes([step])), "state.json": put(b"%d" % step)}
    return write_checkpoint(folder, step, files, {"lr": 0.1}, run_id=run_id, **more)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def steps(folder):
    return sorted(path.name for path in folder.iterdir())


# What is pruned


def test_the_newest_stay_and_the_best_stays(tmp_path):
    for step in range(1, 6):
        write(tmp_path, step)
    assert [path.name for path in prune(tmp_path, 2, run_id="a", best=1)] == ["step-00000003", "step-00000002"]
    assert steps(tmp_path) == ["step-00000001", "step-00000004", "step-00000005"]
    assert prune(tmp_path, 2, run_id="a", best=1) == []


def test_writing_prunes_after_it_has_verified(tmp_path):
    for step in range(1, 6):
        write(tmp_path, step, keep=2, best=2)
    assert steps(tmp_path) == ["step-00000002", "step-00000004", "step-00000005"]


def test_a_disk_that_spoils_what_was_written_is_noticed_and_nothing_is_pruned(tmp_path, monkeypatch):
    write(tmp_path, 1)
    real = os.rename

    def spoiling(source, target):
        real(source, target)
        flip(target / "weights.bin")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", spoiling)
        with pytest.raises(CheckpointError, match="weights.bin: its content is not what was written"):
            write(tmp_path, 2, keep=1)
    assert newest_valid(tmp_path, "a").manifest.step == 1


def test_only_those_that_verify_count_as_kept_and_broken_ones_are_left(tmp_path):
    for step in range(1, 6):
        write(tmp_path, step)
    flip(tmp_path / "step-00000005" / "weights.bin")
    flip(tmp_path / "step-00000003" / "weights.bin")
    prune(tmp_path, 2, run_id="a")
    assert steps(tmp_path) == [name_of(step) for step in (2, 3, 4, 5)]
    assert newest_valid(tmp_path, "a").manifest.step == 4
    assert verify(tmp_path / "step-00000002")


def test_another_runs_checkpoints_are_never_pruned_nor_counted(tmp_path):
    for step in range(1, 5):
        write(tmp_path, step, run_id="ab"[step % 2])
    prune(tmp_path, 1, run_id="a")
    assert steps(tmp_path) == ["step-00000001", "step-00000003", "step-00000004"]


def test_what_was_written_just_now_stays_even_where_later_steps_exist(tmp_path):
    write(tmp_path, 80)
    write(tmp_path, 50, keep=1)
    assert steps(tmp_path) == ["step-00000050", "step-00000080"]


def test_keeping_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1"):
        prune(tmp_path, 0, run_id="a")


@settings(max_examples=25, deadline=None)
@given(
    plan=st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), min_size=1, max_size=6),
    keep=st.integers(1, 3),
    best=st.none() | st.integers(1, 6),
)
def test_pruning_never_loses_what_it_must_keep(tmp_path_factory, plan, keep, best):
    folder = tmp_path_factory.mktemp("prune")
    for step, (run, whole) in enumerate(plan, 1):
        path = write(folder, step, run_id=run)
        if not whole:
            flip(path / "weights.bin")
    verified = [step for step, (run, whole) in enumerate(plan, 1) if run == "a" and whole]
    prune(folder, keep, run_id="a", best=best)
    left = {int(name[5:]) for name in steps(folder)}
    assert set(verified[-keep:]) <= left
    assert {step for step, (run, _) in enumerate(plan, 1) if run == "b"} <= left
    assert best is None or best > len(plan) or best in left
    gone = set(range(1, len(plan) + 1)) - left
    assert not gone or max(gone) < verified[-keep]  # nothing newer than the last one kept goes


# What a full disk does


def full(path):
    path.write_bytes(b"half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def broken_in_words(path):
    raise RuntimeError("Error while serializing: I/O error: Input/output error (os error 5)")


def full_in_words(path):
    raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize("writer", [full, full_in_words])
def test_a_full_disk_leaves_the_previous_checkpoint_and_nothing_else(tmp_path, writer):
    write(tmp_path, 1)
    with pytest.raises(NoSpaceError, match="disk is full"):
        write_checkpoint(tmp_path, 2, {"a": put(b"x"), "b": writer}, {}, run_id="a", keep=1)
    assert steps(tmp_path) == ["step-00000001"] and verify(tmp_path / "step-00000001")
    write(tmp_path, 2, keep=1)  # once there is room again
    assert steps(tmp_path) == ["step-00000002"]


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.EROFS, errno.ENAMETOOLONG])
def test_other_errors_of_the_system_are_told_as_they_are(tmp_path, code):
    def fail(path):
        raise OSError(code, os.strerror(code), str(path))

    write(tmp_path, 1)
    with pytest.raises(CheckpointError, match=os.strerror(code)) as caught:
        write_checkpoint(tmp_path, 2, {"a": fail}, {}, run_id="a")
    assert not isinstance(caught.value, NoSpaceError) and steps(tmp_path) == ["step-00000001"]


def test_an_error_of_the_system_that_safetensors_tells_in_words_is_one(tmp_path):
    with pytest.raises(CheckpointError, match="Input/output error") as caught:
        write_checkpoint(tmp_path, 2, {"a": broken_in_words}, {}, run_id="a")
    assert not isinstance(caught.value, NoSpaceError) and steps(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, MemoryError])
def test_any_other_error_of_a_writer_passes_through_and_leaves_nothing(tmp_path, error):
    def fail(path):
        path.write_bytes(b"half")
        raise error

    with pytest.raises(error):
        write_checkpoint(tmp_path, 2, {"a": fail}, {}, run_id="a")
    assert steps(tmp_path) == []


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_full_disk_noticed_late_is_the_same(tmp_path, monkeypatch, call):
    write(tmp_path, 1)
    real, calls = getattr(os, call), []

    def fail(*arguments):
        calls.append(arguments)
        if len(calls) == (2 if call == "fsync" else 1):
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(NoSpaceError):
            write(tmp_path, 2)
    assert steps(tmp_path) == ["step-00000001"]


def test_too_little_room_is_seen_before_anything_is_written(tmp_path, monkeypatch):
    path = write(tmp_path, 1)
    size = sum((path / name).stat().st_size for name in ("weights.bin", "state.json"))
    write(tmp_path, 2, run_id="b")
    called = []
    for free, fits in ((int(1.3 * size) - 1, False), (int(1.3 * size), True)):
        monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda where, free=free: SimpleNamespace(free=free))
        if fits:
            write(tmp_path, 3)
        else:
            with pytest.raises(NoSpaceError, match="MB free"):
                write_checkpoint(tmp_path, 3, {"a": called.append}, {}, run_id="a")
    assert not called


def test_a_writer_that_writes_nothing_or_more_than_its_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="a: its writer wrote no file"):
        write_checkpoint(tmp_path, 1, {"a": lambda path: None}, {}, run_id="a")
    with pytest.raises(CheckpointError, match="also left b"):
        write_checkpoint(tmp_path, 1, {"a": lambda path: [path.touch(), path.with_name("b").touch()]}, {}, run_id="a")
    assert steps(tmp_path) == []


# Who may write

HOLD = """
import sys, time
from pathlib import Path
from preferably.training.checkpoint import lock_run
with lock_run(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
TRY = """
import sys
from pathlib import Path
from preferably.errors import CheckpointError
from preferably.training.checkpoint import lock_run
try:
    with lock_run(Path(sys.argv[1])):
        print("taken")
except CheckpointError as error:
    print(error)
"""


def python(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_second_process_is_refused_with_the_name_of_the_first(tmp_path):
    with lock_run(tmp_path / "run"):
        said = python(TRY, tmp_path / "run")
        assert f"process {os.getpid()}" in said and "in use" in said and "another output directory" in said
        with pytest.raises(CheckpointError, match="in use"), lock_run(tmp_path / "run"):
            pass
    assert python(TRY, tmp_path / "run") == "taken"


def test_a_killed_holder_leaves_the_run_free(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline().strip() == "held"
        with pytest.raises(CheckpointError, match=f"process {holder.pid} "), lock_run(tmp_path):
            pass
        holder.kill()
        holder.wait()
        with lock_run(tmp_path) as lock:
            assert lock.is_locked
    assert not lock.is_locked


def test_leftovers_are_removed_by_the_holder_of_the_lock_only(tmp_path):
    checkpoints = tmp_path / "checkpoints"
    for name in ("step-00000001.tmp-99-aa", "step-00000001.refused-aa", "mine.tmp-1"):
        (checkpoints / name).mkdir(parents=True)
    write(checkpoints, 1)
    assert "step-00000001.tmp-99-aa" in steps(checkpoints)
    with lock_run(tmp_path) as lock:
        write(checkpoints, 2, lock=lock)
    assert steps(checkpoints) == ["mine.tmp-1", "step-00000001", "step-00000001.refused-aa", "step-00000002"]
    (checkpoints / "step-00000009.tmp-99-aa").mkdir()
    write(checkpoints, 3, lock=lock)  # released: its holder is nobody
    assert "step-00000009.tmp-99-aa" in steps(checkpoints)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EIO])
def test_a_directory_that_cannot_be_locked_is_named(tmp_path, monkeypatch, code):
    def fail(self, *arguments, **options):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(checkpoint.FileLock, "acquire", fail)
    with pytest.raises(CheckpointError, match=rf"\.lock was not written: .*{os.strerror(code)}"), lock_run(tmp_path):
        pass


def test_the_module_needs_no_torch():
    code = "import sys; sys.modules['torch'] = None; import preferably.training.checkpoint; print('fine')"
    assert python(code) == "fine"


def test_environment_facts_are_what_was_given_and_the_versions_installed():
    import numpy

    facts = environment_facts(device="cpu", dtype="float32", threads=3)
    assert (facts["device"], facts["dtype"], facts["threads"]) == ("cpu", "float32", 3)
    assert facts["versions"]["numpy"] == numpy.__version__
    assert facts["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert json.loads(json.dumps(facts)) == facts
