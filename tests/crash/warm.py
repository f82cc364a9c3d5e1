"""Run by the tests here in a process of its own, from which runs are forked, so that torch is imported once.

Reads a request a line (JSON) and answers with a line. It trains nothing itself and has a single thread, which it checks
before each fork: then a fork is as good as a new process. Each run is waited for, but no longer than `limit`.

    train     settings of the run; resume: whether it goes on
    argv      what follows `preferably` on the command line, which is then what runs; bare: without the report
    signals   [{"after": seconds} or {"when": a path that exists, "wait": seconds}, each with "name"]; HANGUP closes the
              terminal of a run with `pty`
    fate      [point, kill|half|errno, whether it stays]: what happens at a fault point (fault_points.py)
    call      [function, n, "SIGTERM" or a path]: at its n-th call the run signals itself, or makes the file and hangs;
              with a fourth, the name of a function, only calls from within that one count
    measure   steps between looks at memory and open files

The answer: `code` (below 0: the signal that ended it; null: it was too slow), `seconds`, `said` (what it printed), and
of a run that came to its end `points`, `looks`, `calls` (how many there were of `call`).
"""

import gc
import importlib
import json
import os
import pty
import select
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

torch.set_num_threads(1)

from fault_points import FaultPoints  # noqa: E402

from preferably import api  # noqa: E402
from preferably.cli.main import main  # noqa: E402
from preferably.config import settings  # noqa: E402
from preferably.errors import PreferablyError  # noqa: E402
from preferably.models.loading import load  # noqa: E402
from preferably.training.closing import Progress  # noqa: E402
from preferably.training.run import train  # noqa: E402

LIMIT = 120  # seconds


def inside(name):
    """Whether a function called `name` is on the way to here."""
    frame = sys._getframe()
    while frame is not None and frame.f_code.co_name != name:
        frame = frame.f_back
    return frame is not None


def at_call(name, nth, what, within=None):
    """Let the n-th call of the function `name` (module.attribute) send this process a signal, or hang; the calls."""
    place, _, attribute = name.rpartition(".")
    module = importlib.import_module(place)
    real, calls = getattr(module, attribute), []

    def called(*arguments, **options):
        if within is not None and not inside(within):
            return real(*arguments, **options)
        calls.append(1)
        if len(calls) == nth and what.startswith("SIG"):
            os.kill(os.getpid(), signal.Signals[what])
        elif len(calls) == nth:
            Path(what).touch()
            while True:
                time.sleep(0.05)
        return real(*arguments, **options)

    setattr(module, attribute, called)
    return calls


def look():
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resident, len(os.listdir("/proc/self/fd"))


def child(request, log, report):
    # A fork makes torch build its thread pool anew at the next use. The threads of the first backward pass would race
    # for that, and who loses ends the process with "Invalid thread pool!"; here there is only one.
    torch.set_num_threads(1)
    if not request.get("pty"):
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
    looks, code, every = [], 99, request.get("measure")

    def step(number, metrics):
        if every and number % every == 0:
            looks.append((number, *look()))

    values = request.get("train")
    if request.get("bare"):
        api.report = lambda run: None
    calls = at_call(*request["call"]) if "call" in request else []
    points = FaultPoints(values["output"], *request.get("fate", [0]))
    try:
        if "fate" in request:
            points.arm()
        if "argv" in request:
            sys.argv = ["preferably", *request["argv"]]
            main()
            code = 0
        else:
            run = train(settings(values), resume=request.get("resume", False), progress=Progress(step=step))
            code = 128 + run.stopped_by if run.stopped_by else 0
    except PreferablyError as error:
        print(error)
        code = error.exit_code
    except SystemExit as error:
        code = error.code or 0
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        log.write_text(traceback.format_exc())
    finally:
        points.on = False
        sys.stdout.flush()
        sys.stderr.flush()
        unfinished = report.with_suffix(".part")  # a kill may come while this is written, too
        unfinished.write_text(json.dumps({"points": points.events, "looks": looks, "calls": len(calls)}))
        unfinished.rename(report)
        os._exit(code)


def attend(pid, request, master):
    """Send the signals asked for and wait for the end: the wait status, or None where it had to be killed."""
    began, plan, since, ended = time.monotonic(), list(request.get("signals", [])), None, os.pidfd_open(pid)
    limit = request.get("limit", LIMIT)
    while (now := time.monotonic() - began) < limit:
        pause = limit - now
        if plan:
            if since is None and ("after" in plan[0] or Path(plan[0]["when"]).exists()):
                since = now
            due = None if since is None else plan[0].get("after", since + plan[0].get("wait", 0))
            if due is not None and now >= due:
                name, since = plan.pop(0)["name"], None
                if name == "HANGUP":
                    os.close(master)
                    master = None
                else:
                    os.kill(pid, signal.Signals[name])
                continue
            pause = 0.002 if due is None else due - now
        ready, _, _ = select.select([ended] if master is None else [ended, master], [], [], pause)
        if ended in ready:
            break
        if master in ready:
            try:
                os.read(master, 65536)
            except OSError:  # the run has closed its side
                time.sleep(0.01)
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(ended)
    status = os.waitpid(pid, 0)[1]
    return status if now < limit else None


def alone(limit=30):
    """Wait for what read weights: transformers does not, and on a busy machine its threads are there for a while."""
    until = time.monotonic() + limit
    while len(os.listdir("/proc/self/task")) > 1:
        assert time.monotonic() < until, "a fork of many threads proves nothing"
        time.sleep(0.01)


def serve(place, model):
    # What started the tests may ignore these (nohup), and a run would respect that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    load(model)  # what transformers imports and compiles late
    gc.collect()
    gc.freeze()  # or each run would walk through all of torch
    for number, line in enumerate(iter(sys.stdin.readline, "")):
        request = json.loads(line)
        alone()
        log, report = place / f"{number}.log", place / f"{number}.json"
        began = time.monotonic()
        pid, master = pty.fork() if request.get("pty") else (os.fork(), None)
        if pid == 0:
            child(request, log, report)
        status = attend(pid, request, master)
        answer = {
            "code": None if status is None else os.waitstatus_to_exitcode(status),
            "seconds": time.monotonic() - began,
            "said": log.read_text(errors="replace") if log.exists() else "",
        }
        if report.exists():
            answer |= json.loads(report.read_text())
        print(json.dumps(answer), flush=True)
        log.unlink(missing_ok=True)
        report.unlink(missing_ok=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2])
