"""Every open, write, sync, rename and removal: killed there, or refused by the disk there."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import pytest
from crash_runs import EVERY, LONG, final, newest, status, steps

DRIVER = Path(__file__).with_name("fault_points.py")
CODES = {"ENOSPC": 75, "EIO": 6, "EACCES": 6, "EROFS": 6}


def every_point(tmp_path, fate):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(DRIVER), str(tmp_path), fate], capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert len(seen) > 30 and seen[-1]["end"] == "over" and seen[-1]["step"] == 3
    for row in seen:
        assert row["right"] and row["step"] in (2, 3) and row["refused"] == 0 and row["clean"], row
    assert {row["step"] for row in seen} == {2, 3}
    return seen[:-1]


@pytest.mark.parametrize("fate", ["kill", "half"])
def test_killed_at_any_point_of_a_write_it_leaves_a_whole_checkpoint(tmp_path, fate):
    seen = every_point(tmp_path, fate)
    assert all(row["end"] == "killed" for row in seen)
    assert [row["step"] for row in seen] == sorted(row["step"] for row in seen)  # once it is there it stays
    assert any(row["leftovers"] for row in seen)


@pytest.mark.parametrize("fate", CODES)
def test_refused_at_any_point_of_a_write_it_says_so_and_keeps_what_was_there(tmp_path, fate):
    seen = every_point(tmp_path, fate)
    ends = [row["end"] for row in seen]
    expected = "full" if fate == "ENOSPC" else "told"
    assert set(ends) == {expected, "written"}  # what only tidies up may fail
    assert ends.count(expected) > 15
    assert all(row["step"] == 3 for row in seen if row["end"] == "written")


# The same in a whole run


@pytest.fixture(scope="module")
def points(job, warm, whole):
    """The fault points of a run of DPO, in their order."""
    values = job("dpo", "points")
    done = warm.run(values, fate=[0])
    assert done.code == 0 and final(Path(values["output"])) == whole("dpo").final, done.said
    shutil.rmtree(values["output"])
    return [tuple(point) for point in done.points]


def chosen(points, wanted, seed):
    """Numbers of points, from 1: all, or at random `wanted`, of as many kinds as there are."""
    numbers = list(range(1, len(points) + 1))
    if wanted is None:
        return numbers
    kinds = {}
    for number in random.Random(seed).sample(numbers, len(numbers)):
        event, path = points[number - 1]
        kinds.setdefault((event, "checkpoints" in path, "/" in path[1:]), []).append(number)
    rounds = [several for turn in zip_longest(*kinds.values()) for several in turn if several is not None]
    return rounds[:wanted]


def test_the_points_are_those_of_every_kind_of_write(points):
    events = [event for event, _ in points]
    assert len(points) > 100
    assert {"open", "fsync", "os.mkdir", "os.rename", "os.remove", "os.rmdir"} <= set(events)
    named = " ".join(path for _, path in points)
    for name in ("metrics.jsonl", "status.json", "run-id", "MANIFEST.json", "weights.safetensors", "model.tmp"):
        assert name in named


@pytest.mark.parametrize("fate", ["kill", "half"])
def test_a_run_that_is_killed_at_a_point_ends_the_same(job, warm, whole, points, fate):
    """Pruning among them: the removals of old checkpoints."""
    known, tried = whole("dpo"), 0
    cut = [number for number in chosen(points, None, fate) if fate == "kill" or points[number - 1][0] == "fsync"]
    for number in cut if LONG else [cut[i - 1] for i in chosen([points[n - 1] for n in cut], 6, fate)]:
        values = job("dpo", f"{fate}-{number}")
        path = Path(values["output"])
        done = warm.run(values, fate=[number, fate])
        assert done.code == -signal.SIGKILL, (points[number - 1], done.said)
        logged = steps(path)
        assert not logged or logged[-1] - (newest(path) or 0) <= EVERY
        again = warm.run(values, resume=True)
        assert again.code == 0 and final(path) == known.final, (points[number - 1], again.said)
        shutil.rmtree(path)
        tried += 1
    print(f"\n{fate} at {tried} of {len(points)} fault points of a run: {tried} ends identical")
    assert tried


@pytest.mark.parametrize("code", CODES)
def test_a_run_whose_disk_fails_says_so_and_loses_nothing(job, warm, whole, points, code):
    """From some point on every write fails; later the disk is well again."""
    known, tried = whole("dpo"), 0
    first = next(i for i, (event, path) in enumerate(points, 1) if event == "os.rename" and "step-00000000" in path)
    later = points[first:]
    for number in [first + n for n in chosen(later, len(later) // 5 if LONG else 2, code)]:
        values = job("dpo", f"{code}-{number}")
        path = Path(values["output"])
        done = warm.run(values, fate=[number, code, True])
        assert done.code in (0, CODES[code]), (points[number - 1], done.said)
        assert newest(path) is not None
        again = warm.run(values, resume=True)
        assert again.code == 0, (points[number - 1], again.said)
        assert final(path) == known.final and status(path)["state"] == "finished", points[number - 1]
        shutil.rmtree(path)
        tried += 1
    print(f"\n{code} from {tried} of {len(later)} fault points of a run on: {tried} ends identical")
    assert tried
