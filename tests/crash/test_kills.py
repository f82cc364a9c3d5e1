"""kill -9 at random moments of a run: what goes on is the run that was never killed, to the last bit."""

import random
import shutil
import signal
from pathlib import Path

import pytest
from crash_runs import EVERY, KILLS, OURS, final, newest, steps

LOGGING = "preferably.training.run_directory._line"
CHAINS, LINKS = max(1, KILLS // 20), 5
RESUMES = max(2, KILLS // 10)


def kill(after):
    return [{"after": after, "name": "SIGKILL"}]


def lost(path):
    """Steps that were logged and are in no checkpoint."""
    logged = steps(path)
    return logged[-1] - (newest(path) or 0) if logged else 0


def finish(warm, values):
    done = warm.run(values, resume=True)
    assert done.code == 0, done.said
    return final(Path(values["output"]))


@pytest.mark.parametrize("method", OURS)
def test_killed_at_any_moment_of_a_run(job, warm, whole, method):
    known, draw, struck, began = whole(method), random.Random(method), 0, 0
    while struck < KILLS:
        values = job(method, f"killed-{method}")
        path = Path(values["output"])
        # Every other one comes after the start, which is most of so short a run.
        done = warm.run(values, signals=kill(draw.uniform(known.startup if struck % 2 else 0, known.seconds)))
        assert done.code in (0, -signal.SIGKILL), done.said
        struck += done.code != 0  # one that was too quick is compared, but not counted
        began += done.code != 0 and bool(steps(path))
        assert lost(path) <= EVERY
        assert finish(warm, values) == known.final
        shutil.rmtree(path)
    assert began  # some struck runs that had got somewhere
    print(f"\n{method}: {struck} kills, {began} of them after step 0, {struck} ends identical")


@pytest.mark.parametrize("method", OURS)
def test_killed_again_and_again(job, warm, whole, method):
    """Each attempt comes about a fifth of the run further, if it gets as far as a checkpoint at all."""
    known, draw = whole(method), random.Random(method)
    share = known.startup + (known.seconds - known.startup) / LINKS
    done = 0
    while done < CHAINS:
        values = job(method, f"chain-{method}")
        codes = [warm.run(values, resume=True, signals=kill(draw.uniform(0, share))).code for _ in range(LINKS)]
        assert finish(warm, values) == known.final
        assert set(codes) <= {0, -signal.SIGKILL}
        done += codes == [-signal.SIGKILL] * LINKS
        if 0 in codes:  # the machine is quicker now than when the run was timed
            share *= 0.8
        shutil.rmtree(values["output"])
    print(f"\n{method}: {done} chains of {LINKS} kills, {done} ends identical")


@pytest.mark.parametrize("method", OURS)
def test_killed_while_it_is_taken_up_again(job, warm, whole, method):
    known, draw, done = whole(method), random.Random(method), 0
    values = job(method, f"stopped-{method}")
    start = Path(values["output"])
    ended = warm.run(values, call=[LOGGING, 20, "SIGKILL"])
    assert ended.code == -signal.SIGKILL and newest(start) is not None, ended.said
    while done < RESUMES:
        values = job(method, f"resumed-{method}")
        path = Path(values["output"])
        shutil.copytree(start, path)
        code = warm.run(values, resume=True, signals=kill(draw.uniform(0, known.startup))).code
        done += code == -signal.SIGKILL
        assert finish(warm, values) == known.final
        shutil.rmtree(path)
    print(f"\n{method}: {done} kills while resuming, {done} ends identical")
