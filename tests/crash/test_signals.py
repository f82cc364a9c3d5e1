"""Asked to stop: saved, gone with the right code, and the resumed run is the one that was never stopped."""

import json
import os
import random
import shutil
import signal
import threading
from pathlib import Path

import pytest
from crash_runs import KILLS, LONG, OURS, command, newest, results, status
from safetensors.torch import load_file

from preferably.training.stops import listening

SOON = 30  # seconds
CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
# While what: in which function, at which call of it.
WHILE = {
    "starting": ("preferably.training.run.check_packing", 1),
    "step": ("preferably.training.offline.group_losses", 9),
    "evaluation": ("preferably.training.measure.group_losses", 6),
    "generation": ("preferably.models.sampler._step", 9),
    "save": ("preferably.training.checkpoint._write_file", 12),
    "log": ("preferably.training.run_directory._line", 18),
}


def saved(path):
    """The state in the newest checkpoint."""
    return json.loads((path / "checkpoints" / f"step-{newest(path):08d}" / "state.json").read_text())


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("during", WHILE)
def test_a_signal_saves_and_leaves_and_the_run_goes_on_the_same(job, warm, whole, name, during):
    if not (LONG or name == "SIGTERM" or during == "step"):
        pytest.skip("make crash")
    values = job("dpo", f"{name}-{during}")
    path = Path(values["output"])
    line = {"argv": command(values), "bare": True} if during in ("starting", "step") else {}
    done = warm.run(values, call=[*WHILE[during], name], limit=SOON, **line)
    assert done.code == CODES[name], done.said
    assert "Traceback" not in done.said
    assert status(path)["state"] == "stopped" and status(path)["reason"] == "asked to stop"
    if during == "starting":
        assert newest(path) is None  # nothing was trained yet
    else:
        state = saved(path)
        assert state["step"] == status(path)["step"] < 8
        assert not line or "go on with it: the same command and --resume" in done.said
        assert (path / "model" / "model.safetensors").exists()
    if during in ("evaluation", "generation"):  # it was not waited for
        assert state["line"]["step"] == state["step"] == 4
    again = warm.run(values, resume=True)
    assert again.code == 0, again.said
    assert results(path) == results(whole("dpo").path)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_a_stop_while_the_adapters_are_off_leaves_them_on(job, warm):
    """The pass that ends is the reference's."""
    values, straight = job("dpo", "lora-stopped", lora=True), job("dpo", "lora-whole", lora=True)
    path = Path(values["output"])
    done = warm.run(values, call=["preferably.training.offline.collate", 9, "SIGTERM"], limit=SOON)
    assert done.code == 143 and 0 < saved(path)["step"] < 8, done.said
    newest_one = path / "checkpoints" / f"step-{newest(path):08d}"
    assert load_file(newest_one / "weights.safetensors")
    assert warm.run(values, resume=True).code == warm.run(straight).code == 0
    assert results(path) == results(Path(straight["output"]))


@pytest.mark.parametrize("method", OURS)
def test_signals_at_random_moments(job, warm, whole, method):
    known, draw, struck = whole(method), random.Random(method), 0
    wanted = max(2, KILLS // 10)
    while struck < wanted:
        values = job(method, f"signalled-{method}")
        path = Path(values["output"])
        name = draw.choice(list(CODES))
        moment = {"after": draw.uniform(0, known.seconds), "name": name}
        done = warm.run(values, signals=[moment], limit=SOON)
        # Before the run listens the system's own way of ending it counts.
        early = -signal.Signals[name] if name != "SIGINT" else 130
        assert done.code in (CODES[name], early, 0), done.said
        struck += done.code == CODES[name]
        again = warm.run(values, resume=True)
        assert again.code == 0 and results(path) == results(known.path), again.said
        shutil.rmtree(path)
    print(f"\n{method}: {struck} signals, {struck} ends identical")


def test_a_second_interrupt_leaves_at_once(job, warm, whole, tmp_path):
    """The first finds the run in something that never ends."""
    values, reached = job("dpo", "twice"), tmp_path / "reached"
    path = Path(values["output"])
    twice = [{"when": str(reached), "name": "SIGINT"}, {"when": str(reached), "wait": 0.5, "name": "SIGINT"}]
    hang = ["preferably.training.checkpoint._write_file", 12, str(reached)]
    done = warm.run(values, argv=command(values), call=hang, signals=twice, limit=SOON)
    assert done.code == 130 and "Traceback" not in done.said
    assert status(path)["state"] == "stopped" and newest(path) is not None
    assert not [p for p in (path / "checkpoints").iterdir() if ".tmp-" in p.name]
    assert warm.run(values, resume=True).code == 0 and results(path) == results(whole("dpo").path)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_second_signal_of_another_kind_does_not_disturb_the_save(job, warm, whole, tmp_path, name):
    values = job("dpo", f"doubled-{name}")
    path = Path(values["output"])
    one = ["preferably.training.checkpoint._write_file", 12, name]
    other = {"when": str(path / "checkpoints" / "step-00000003"), "name": name}
    done = warm.run(values, call=one, signals=[other], limit=SOON)
    assert done.code == CODES[name], done.said
    assert saved(path)["step"] == status(path)["step"] and status(path)["state"] == "stopped"
    assert warm.run(values, resume=True).code == 0 and results(path) == results(whole("dpo").path)


def test_a_terminal_that_closes_stops_the_run_and_breaks_nothing(job, warm):
    values = job("dpo", "hangup", max_steps=500, eval_every=250)  # time enough for it to close
    path = Path(values["output"])
    gone = [{"when": str(path / "checkpoints" / "step-00000003"), "name": "HANGUP"}]
    done = warm.run(values, argv=command(values), pty=True, signals=gone, limit=SOON)
    assert done.code == 129
    assert status(path)["state"] == "stopped" and 3 <= saved(path)["step"] == status(path)["step"] < 500
    assert (path / "report.html").exists()  # what comes after was not broken by it either


def test_in_another_thread_nobody_listens():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work():
        with listening() as stop:
            seen.append((stop.asked(), signal.getsignal(signal.SIGTERM) == before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(SOON)
    assert seen == [(False, True)]


def test_what_was_told_to_ignore_hangups_does():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with listening() as stop:
            stop.waits = True
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.asked() and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.asked() and stop.number == signal.SIGTERM
    finally:
        signal.signal(signal.SIGHUP, before)
