"""A run while it trains: what its files say at this moment, as the parts of a page that refreshes itself."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from preferably.reporting import panels, result
from preferably.reporting.account import change, row_of
from preferably.reporting.figures import NONE, count, duration, percent, significant
from preferably.reporting.page import environment, shell, specs
from preferably.reporting.report import subtitle_of, title_of, warning_of
from preferably.reporting.run_files import Record, RunFiles, finite, number, read_run, text
from preferably.reporting.samples import Answer, answer
from preferably.reporting.visible import plain

FILES = (
    "config.yaml", "environment.json", "status.json", "data.json", "metrics.jsonl", "timing.jsonl", "warnings.jsonl",
    "policy_samples.jsonl", "samples.jsonl", "evaluation/win_rate.json", "report.html",
)  # fmt: skip
PARTS = ("status", "figures", "warnings", "curves", "samples")
QUIET_STEPS, QUIET_SECONDS = 20, 60  # a run that says "running" and wrote nothing for this long may have died


@dataclass(frozen=True, slots=True)
class Read:
    """One prompt with the policy's sample at the start and at the newest evaluation."""

    prompt: Answer
    first: Answer | None
    newest: Answer


class Live:
    """The page of one run. Files are read anew when they changed, and for no more than a tenth of the time."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self._signature: object = None
        self._due = 0.0
        self._state: dict[str, Any] = {}
        self._lock = Lock()

    def page(self) -> str:
        """The page without figures: it asks for them when it is open."""
        values = shell(["draw.js", "live.js"], connect=True) | {"title": f"Live · {plain(self.run.resolve().name)}"}
        return environment().get_template("live.html.j2").render(values)

    def state(self) -> dict[str, Any]:
        """`version` (the same for the same contents), `title`, `parts` (HTML by name), `charts` (specs by slug)."""
        with self._lock:
            now = time.monotonic()
            if now >= self._due:
                age = self._age()
                signature = ([_stamp(self.run / name) for name in FILES], age)
                if signature != self._signature:
                    self._state, self._signature = state_of(self.run, age), signature
                self._due = now + min(10.0, 10 * (time.monotonic() - now))
            return self._state

    def _age(self) -> int:
        """Whole minutes since the newest line; 0 where there is none."""
        written = [stamp[0] for name in ("metrics.jsonl", "status.json") if (stamp := _stamp(self.run / name))]
        return int(max(0.0, time.time() - max(written) / 1e9) // 60) if written else 0


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def state_of(path: Path, age: int = 0) -> dict[str, Any]:
    """The run in `path` as the page shows it; also where there is nothing yet. `age` is minutes since its last line."""
    run = read_run(path, growing=True)
    charts = panels.curve_charts(run)
    method = row_of(run)
    sampled_at, samples = _samples(run.policy_samples)
    values = {
        "run": run,
        "title": plain(title_of(run)),
        "method": method,
        "subtitle": subtitle_of(replace(run, status={}, timing=[])),  # steps and time stand beside the progress
        "state": text(run.status, "state"),
        "reason": text(run.status, "reason").rstrip("."),
        "progress": _progress(run),
        "silent": _silent(run, age),
        "figures": _figures(run),
        "headline": result.headline(run),
        "warnings": [warning_of(record) for record in reversed(run.warnings)],
        "charts": charts,
        "samples": samples,
        "sampled_at": sampled_at,
        "report": path / "report.html" if (path / "report.html").exists() else None,
    }
    parts = {part: environment().get_template(f"live_{part}.html.j2").render(values) for part in PARTS}
    state = {"title": _tab(run), "parts": parts, "charts": specs(charts)}
    return {"version": sha256(repr(state).encode("utf-8", "backslashreplace")).hexdigest()[:16]} | state


def _tab(run: RunFiles) -> str:
    """What the browser's tab says: `52% · DPO · night-3` while it runs."""
    state, done = text(run.status, "state"), _share(run)
    before = percent(done, 0) if state == "running" and done is not None else state
    return plain(f"{before} · {title_of(run)}" if before else title_of(run))


def _share(run: RunFiles) -> float | None:
    step, total = _step(run), finite(run.status, "total_steps")
    return min(1.0, step / total) if step is not None and total else None


def _step(run: RunFiles) -> float | None:
    """status.json is written at the ends, metrics.jsonl at every step: the later one counts while the run goes on."""
    logged = [step for record in run.metrics[-1:] if (step := finite(record, "step")) is not None]
    told = finite(run.status, "step")
    if text(run.status, "state") == "running" and logged:
        return logged[0]
    return told if told is not None else (logged[0] if logged else None)


def _progress(run: RunFiles) -> dict[str, str]:
    """Step, total, pace and time left, in words; empty where nothing is known."""
    step, total, share = _step(run), finite(run.status, "total_steps"), _share(run)
    if step is None:
        return {}
    seconds = [value for record in run.timing if (value := finite(record, "seconds")) is not None]
    pace = sum(seconds) / len(seconds) if seconds else None
    running = text(run.status, "state") == "running"
    left = pace * (total - step) if pace is not None and total is not None and running else 0.0
    return {
        "steps": f"step {count(step)}" + (f" of {count(total)}" if total else ""),
        "done": "" if share is None else f"{100 * share:.2f}",
        "pace": "" if pace is None else f"{duration(pace)} a step",
        "taken": "" if not seconds else duration(sum(seconds)) + (" so far" if running else ""),
        "left": f"about {duration(left)} left" if left > 0 else "",
    }


def _silent(run: RunFiles, age: int) -> str:
    """For how long a run that says it goes on has written nothing, where that is too long; else empty."""
    seconds = [value for record in run.timing if (value := finite(record, "seconds")) is not None]
    usual = QUIET_STEPS * max(seconds) if seconds else 10 * QUIET_SECONDS
    if text(run.status, "state") != "running" or 60 * age < max(QUIET_SECONDS, usual):
        return ""
    return duration(60.0 * age)


def _figures(run: RunFiles) -> list[tuple[str, str]]:
    """The newest figures, and the first of those that an evaluation measures."""
    last = run.metrics[-1] if run.metrics else {}
    rows = [
        ("training loss", significant(_newest(run.metrics, "loss"), 4)),
        ("held-out loss", change(run.metrics, "eval_loss")),
        ("held-out accuracy", change(run.metrics, "eval_rewards/accuracies", shares=True)),
        ("KL (nats per sequence)", change(run.metrics, "objective/kl")),
        ("sample length (tokens)", change(run.metrics, "samples/length")),
        ("gradient norm", significant(_newest(run.metrics, "grad_norm"), 3)),
        ("learning rate", significant(number(last, "learning_rate"), 3)),
        ("epoch", significant(number(last, "epoch"), 3)),
        ("tokens", count(number(last, "num_tokens"))),
    ]
    return [(name, value) for name, value in rows if value != NONE]


def _newest(metrics: Sequence[Record], key: str) -> float | None:
    return next((value for record in reversed(metrics) if (value := number(record, key)) is not None), None)


def _samples(records: Sequence[Record]) -> tuple[str, list[Read]]:
    """The step of the newest evaluation, and its samples beside those of the first one where that is another."""
    steps = [step for record in records if (step := finite(record, "step")) is not None]
    if not steps:
        return "", []
    first, newest = ([record for record in records if finite(record, "step") == step] for step in (steps[0], steps[-1]))
    before = {text(record, "prompt"): answer(text(record, "text")) for record in first if steps[0] != steps[-1]}
    shown = [(text(record, "prompt"), text(record, "text")) for record in newest]
    return count(steps[-1]), [Read(answer(prompt), before.get(prompt), answer(said)) for prompt, said in shown]
