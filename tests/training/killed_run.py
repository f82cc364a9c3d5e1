"""Run by test_trackers.py in a process of its own: `killed_run.py SETTINGS.json STEP SIGNAL` trains and signals itself.

At step STEP, after its metrics are written and before its checkpoint could be, the process sends itself SIGNAL.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch

torch.set_num_threads(1)

from preferably.config import settings  # noqa: E402
from preferably.training.closing import Progress  # noqa: E402
from preferably.training.run import train  # noqa: E402

values = json.loads(Path(sys.argv[1]).read_text())
at, number = int(sys.argv[2]), signal.Signals[sys.argv[3]]


def step(done, metrics):
    if done == at:
        os.kill(os.getpid(), number)


train(settings(values), progress=Progress(step=step))
