"""A disk that is full for a while, for good, and for real."""

import errno
import json
import os
import subprocess
from pathlib import Path

import pytest
from crash_runs import command, final, newest, results, status

from preferably.config import settings
from preferably.training.closing import Progress
from preferably.training.disk import NoSpaceError
from preferably.training.run import train


class Shim:
    """A full disk for the tests that may not mount one: nothing can be synced."""

    def __init__(self, monkeypatch):
        self.full, self.real = False, os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, descriptor):
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.real(descriptor)

    def fill(self):
        self.full = True

    def free(self):
        self.full = False


class Small:
    """A disk of 16 MB, filled to the last byte."""

    def __init__(self, place):
        self.ballast = place / "ballast"

    def fill(self):
        with self.ballast.open("ab", buffering=0) as file:
            size = 1 << 20
            while size:
                try:
                    file.write(bytes(size))
                except OSError:
                    size //= 2

    def free(self):
        self.ballast.unlink()


@pytest.fixture(params=["shim", "tmpfs"])
def disk(request, monkeypatch, tmp_path):
    """(the disk, a folder on it)"""
    if request.param == "shim":
        yield Shim(monkeypatch), tmp_path
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(tmp_path)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    yield Small(tmp_path), tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def run(values, disk, full, resume=False):
    """Train with a disk that is full from one step to another; what was warned of."""
    told = []

    def step(number, metrics):
        if number == full[0]:
            disk.fill()
        if number == full[1]:
            disk.free()

    progress = Progress(step=step, warn=lambda *words: told.append(words))
    train(settings(values), resume=resume, progress=progress)
    return [words for words in told if words[0] == "disk_full"]


def test_training_goes_on_and_tries_again_at_the_next_interval(job, whole, disk):
    disk, place = disk
    values = job("dpo", "none", output=str(place / "run"), save_every=1, keep=1)
    told = run(values, disk, (2, 4))
    assert len(told) == 2 and all("disk is full" in words[1] and "make room" in words[2] for words in told)
    assert results(place / "run") == results(whole("dpo").path)
    assert status(place / "run")["state"] == "finished"


def test_three_failures_in_a_row_end_it_and_the_checkpoint_before_them_is_there(job, whole, disk):
    disk, place = disk
    values = job("dpo", "none", output=str(place / "run"), save_every=1)
    with pytest.raises(NoSpaceError, match="stops at step 4; its newest checkpoint is step 1.*--resume") as caught:
        run(values, disk, (2, None))
    assert caught.value.exit_code == 75
    assert newest(place / "run") == 1
    disk.free()
    train(settings(values), resume=True)
    assert results(place / "run") == results(whole("dpo").path)


def test_the_last_checkpoint_has_no_other_time(job, whole, disk):
    disk, place = disk
    values = job("dpo", "none", output=str(place / "run"))
    with pytest.raises(NoSpaceError, match="stops at step 8; .* step 6"):
        run(values, disk, (8, None))
    assert newest(place / "run") == 6 and not (place / "run" / "model").exists()
    disk.free()
    train(settings(values), resume=True)
    assert final(place / "run") == whole("dpo").final


def test_the_best_weights_that_are_wanted_have_no_other_time_either(job, disk):
    disk, place = disk
    values = job("dpo", "none", output=str(place / "run"), final="best")
    with pytest.raises(NoSpaceError, match="stops at step 4"):
        run(values, disk, (4, None))
    disk.free()
    train(settings(values), resume=True)
    state = json.loads((place / "run" / "checkpoints" / "step-00000008" / "state.json").read_text())
    assert (place / "run" / "checkpoints" / f"step-{state['best_step']:08d}").is_dir()


def test_the_command_warns_twice_and_ends_with_75(job, warm, whole):
    values = job("dpo", "full")
    path = Path(values["output"])
    done = warm.run(values, argv=command(values), fate=["step-00000003.tmp", "ENOSPC", True])
    assert done.code == 75, done.said
    said = " ".join(done.said.split())
    assert said.count("warning (disk_full)") == 2 and said.count("error:") == 1 and "Traceback" not in said
    assert "its newest checkpoint is step 0" in said and newest(path) == 0
    again = warm.run(values, resume=True)
    assert again.code == 0 and results(path) == results(whole("dpo").path)
