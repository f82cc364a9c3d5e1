"""A real run with a tracker on, watched by a real browser from before it begins to after it was stopped."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

# A shell that starts the tests in the background hands down an ignored SIGINT: the command would not hear Ctrl-C.
COMMAND = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from preferably.cli.main import main\nmain()"
)
PAIRS = [
    {"prompt": f"{letter} {number}? ", "chosen": "yes", "rejected": "no no"}
    for letter in "abcdef"
    for number in range(8)
]


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Any]:
    """`command(*arguments)` starts `preferably` in a process of its own, which ends with the test."""
    with ExitStack() as started:

        def start(*arguments: object) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", COMMAND, *map(str, arguments)], cwd=tmp_path, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"},
            )  # fmt: skip
            started.callback(process.communicate)
            started.callback(process.kill)
            return process

        yield start


def test_a_run_is_watched_while_it_trains(
    command: Any, browser: Any, tiny_model_directory: Path, tmp_path: Path
) -> None:
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard: preferably[track]"
    )
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    watching = command("report", "run", "--watch")
    address = watching.stdout.readline().split()[0]
    assert address.startswith("http://127.0.0.1:")
    window = browser()
    window.open(address)
    window.wait("document.body.innerText.includes('There is no run in run yet')")
    training = command(
        "train", "dpo", "--model", tiny_model_directory, "--data", "pairs.jsonl", "--output", "run",
        "--max-steps", 10**6, "--eval-every", 50, "--save-every", 10**6, "--batch-size", 4, "--sample-tokens", 6,
        "--sample-prompts", 3, "--track", "tensorboard", "--learning-rate", 1e-4,
    )  # fmt: skip
    step = "Number((document.body.innerText.match(/step ([0-9,]+) of 1,000,000/) ?? ['', '0'])[1].replaceAll(',', ''))"
    window.wait(f"{step} > 0", seconds=180)
    first = window.value(step)
    window.wait(f"{step} > {first}")
    assert window.value("document.body.innerText").count("Running.") == 1
    window.wait("document.querySelectorAll('[data-drawn]').length === 8")
    window.wait(
        "document.querySelectorAll('article').length === 3 && document.body.innerText.includes('before training')"
    )
    training.send_signal(signal.SIGINT)
    said, errors = training.communicate(timeout=120)
    assert training.returncode == 130, errors
    window.wait("document.body.innerText.includes('Stopped: asked to stop.')")
    window.wait("document.body.innerText.includes('run/report.html')")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    ended = json.loads((tmp_path / "run" / "status.json").read_text())["step"]
    window.wait(f"{step} === {ended}")
    assert ended - lines[-1]["step"] in (0, 1)  # of a step that was stopped in its evaluation the line is yet to come
    logged = reader.EventAccumulator(str(tmp_path / "run" / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    assert [event.step for event in logged.Scalars("loss")] == [line["step"] for line in lines if "loss" in line]
    watching.send_signal(signal.SIGINT)
    said, errors = watching.communicate(timeout=60)
    assert (watching.returncode, said, errors) == (0, "", "")
    assert window.console == []
