"""What the tests of this folder share: rows, the warm process, and what must be the same of two runs."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from preferably.methods import METHODS

KILLS = int(os.environ.get("PREFERABLY_KILLS", "20"))  # a method; `make crash` asks for 200
LONG = "PREFERABLY_KILLS" in os.environ
OURS = [method for method in ("sft", "dpo", "kto") if method in METHODS]
EVERY = 3  # steps between checkpoints
# Line by line; all but wall time.
SAME = (
    "metrics.jsonl", "warnings.jsonl", "policy_samples.jsonl", "start_samples.jsonl", "rollouts.jsonl",
    "held_out.jsonl",
)  # fmt: skip
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def rows(method):
    """40 rows that say something: the right answer is the prompt's next letters, the wrong one the letters before."""
    out = []
    for i in range(40):
        prompt = f"q{i:02d} {LETTERS[i % 20]}"
        right, wrong = LETTERS[i % 20 + 1 : i % 20 + 3 + i % 4], LETTERS[i % 20 :: -1][: 2 + i % 3] or "z"
        if method == "sft":
            said = {"completion": right}
        elif method == "ppo":
            said = {}
        elif method == "kto":
            said = {"completion": [right, "?" + wrong][i % 2], "label": i % 2 == 0}
        else:
            said = {"chosen": right, "rejected": "?" + wrong}
        out.append({"prompt": prompt} | said)
    return out


def _listens():
    """Signals that a background job or nohup ignores are the subject here."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Warm:
    """The process of `warm.py`."""

    def __init__(self, place, model):
        command = [sys.executable, str(Path(__file__).with_name("warm.py")), str(place), str(model)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, preexec_fn=_listens
        )

    def run(self, values=None, **request):
        """Do what the request says (warm.py); what came of it."""
        if values is not None:
            request["train"] = values
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the warm process died"
        return SimpleNamespace(**json.loads(answer))

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(timeout=60) == 0


def command(values, *more):
    """The settings as a command line."""
    rest = [f"--set={name}={value}" for name, value in values.items() if name not in ("method", "data")]
    return ["train", values["method"], "--data", values["data"], *rest, *more]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def status(path):
    return json.loads((path / "status.json").read_text())


def steps(path, name="metrics.jsonl"):
    """The steps of the whole lines of a log."""
    file = path / name
    return [json.loads(line)["step"] for line in file.read_text().split("\n")[:-1]] if file.exists() else []


def newest(path):
    """The step of the newest checkpoint, by name; None without one."""
    names = [p.name for p in (path / "checkpoints").glob("step-*") if "." not in p.name]
    return int(max(names)[5:]) if names else None


def results(path):
    """What must be the same: the model, and every number that was logged."""
    return digest(path / "model" / "model.safetensors"), digest(path / "metrics.jsonl")


def final(path):
    """What must be the same to the bit, wall time apart: the model, the last checkpoint and the logs."""
    last = path / "checkpoints" / f"step-{newest(path):08d}"
    state = json.loads((last / "state.json").read_text())
    del state["logs"]["timing.jsonl"]  # bytes, of which wall time takes more or fewer
    files = [*sorted((path / "model").iterdir()), *sorted(last.glob("*.safetensors"))]
    files += [path / name for name in SAME if (path / name).exists()]
    found = {str(file.relative_to(path)): digest(file) for file in files}
    return found | {"state": state, "status": status(path), "timed": steps(path, "timing.jsonl")}
