"""A job in a process of its own: nothing of the one before it is left in memory, and its peak is its own."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

QUIET = {
    "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1",
}  # fmt: skip


def parser_of(told: str | None, smoke: str) -> argparse.ArgumentParser:
    """The options of a script that `run_child` calls again; `smoke` says what is small in a smoke run."""
    parser = argparse.ArgumentParser(description=told, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help=smoke)
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    return parser


def run_child(script: str, job: dict[str, Any]) -> dict[str, Any]:
    """Run `script --child` with `job`; what it reported, or `failed` with the end of what it said."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        environment = os.environ | QUIET | {"HF_DATASETS_CACHE": folder}
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, script, "--child", json.dumps(job), "--result", str(result)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        seconds = round(time.perf_counter() - began, 1)
        if done.returncode or not result.exists():
            said = (done.stderr or done.stdout)[-2000:]
            print(f"{script} failed on {job}:\n{said}", file=sys.stderr)
            return {"failed": said, "process_seconds": seconds}
        return json.loads(result.read_text(encoding="utf-8")) | {"process_seconds": seconds}
