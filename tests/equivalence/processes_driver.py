"""Run under torchrun by test_processes.py, with faults made on one of the processes.

`processes_driver.py JOBS.json` trains each job, {"values": settings, "fault": null or [what, process, step]}, in turn.
`processes_driver.py what,process,step ARGUMENT...` is the command `preferably ARGUMENT...`.

What: `kill` (SIGKILL), `term` (SIGTERM), `raise` (an error of ours that nobody expects), `nan` (in the loss).
"""

import json
import math
import os
import signal
import sys
from pathlib import Path

from preferably.cli.main import main
from preferably.config import settings
from preferably.training import offline as loop
from preferably.training import parallel
from preferably.training.run import train

HONEST = loop.batch_indices, loop.group_losses


def inject(what, where, when):
    now = 0

    def batch_indices(step, *arguments):
        nonlocal now
        now = step + 1
        if (parallel.rank(), now) == (where, when):
            if what == "raise":
                raise ValueError("made up")
            if what != "nan":
                os.kill(os.getpid(), {"kill": signal.SIGKILL, "term": signal.SIGTERM}[what])
        return HONEST[0](step, *arguments)

    def group_losses(*arguments):
        losses, metrics = HONEST[1](*arguments)
        return losses * (math.nan if (what, parallel.rank(), now) == ("nan", where, when) else 1.0), metrics

    loop.batch_indices, loop.group_losses = batch_indices, group_losses


if sys.argv[1].endswith(".json"):
    with parallel.together():
        for job in json.loads(Path(sys.argv[1]).read_text()):
            loop.batch_indices, loop.group_losses = HONEST
            if job["fault"]:
                inject(*job["fault"])
            train(settings(job["values"]))
else:
    kind, process, at = sys.argv[1].split(",")
    inject(kind, int(process), int(at))
    sys.argv = ["preferably", *sys.argv[2:]]
    main()
