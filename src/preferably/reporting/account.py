"""What was trained on what, and where every row that was read went."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preferably.data.accounting import CODES
from preferably.errors import ConfigError
from preferably.methods import Method, method_named
from preferably.reporting.figures import NONE, count, duration, percent, significant
from preferably.reporting.result import fact
from preferably.reporting.run_files import Record, RunFiles, finite, interval_of, number, part, read_run, setting, text

# Settings that decide a run, in the order in which they are told.
KEY_SETTINGS = {
    "learning_rate": "learning rate",
    "schedule": "schedule",
    "batch_size": "batch size",
    "epochs": "epochs",
    "max_steps": "most steps",
    "max_length": "most tokens",
    "truncation": "longer rows",
    "reference_model": "reference model",
    "reference": "reference",
    "lora_r": "LoRA rank",
    "dtype": "dtype",
    "seed": "seed",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One run in one line."""

    name: str
    method: str
    model: str
    rows: str
    held_out: str
    steps: str
    time: str
    loss: str
    accuracy: str
    score: str  # of an online method, by what it is trained against
    win_rate: str
    interval: str
    state: str
    this: bool


@dataclass(frozen=True, slots=True)
class Account:
    """Where the rows went. `balance` is empty where read = used + deduplicated + rejected."""

    read: str
    used: str
    deduplicated: str
    rejected: str
    train: str
    held_out: str
    truncated: str
    codes: list[tuple[str, str, str, str]]  # code, rows, meaning, where first
    rejects: list[Record]
    balance: str


def stage(run: RunFiles, *, this: bool = False) -> Stage:
    """`run` as one row of the table of stages."""
    step, total = number(run.status, "step"), number(run.status, "total_steps")
    seconds = [value for record in run.timing if (value := finite(record, "seconds")) is not None]
    win_rate, interval = number(run.win_rate, "win_rate"), interval_of(run.win_rate)
    return Stage(
        name=run.name,
        method=method_of(run) or NONE,
        model=model_of(run) or NONE,
        rows=count(number(run.data, "train") if "train" in run.data else number(run.data, "used")),
        held_out=count(number(run.data, "held_out")),
        steps=count(step) if total is None or step == total else f"{count(step)} of {count(total)}",
        time=duration(sum(seconds)) if seconds else NONE,
        loss=change(run.metrics, "eval_loss"),
        accuracy=change(run.metrics, "eval_rewards/accuracies", shares=True),
        score=change(run.metrics, "eval_objective/scores"),
        win_rate=percent(win_rate),
        interval=f"{percent(interval[0])} to {percent(interval[1])}" if interval else "",
        state=text(run.status, "state") or NONE,
        this=this,
    )


def change(metrics: list[Record], key: str, *, shares: bool = False) -> str:
    """The first and the last value of `key`: `0.693 → 0.408`; the one value where there is one."""
    values = [value for record in metrics if (value := number(record, key)) is not None]
    ends = values[:1] + values[1:][-1:]
    return " → ".join(percent(value) if shares else significant(value, 3) for value in ends) or NONE


def method_of(run: RunFiles) -> str:
    """The method's name as the run's settings give it; empty where they do not."""
    found = setting(run.config, "method")
    return found if isinstance(found, str) else text(found, "name")


def model_of(run: RunFiles) -> str:
    """What the run started from."""
    found = setting(run.config, "model", "model_name_or_path")
    if isinstance(found, dict):
        found = setting(found, "name", "path", "model_name_or_path")
    return found if isinstance(found, str) else ""


def origins(run: RunFiles) -> list[RunFiles]:
    """The runs that this one came of, the first one first: those of the models that it started from, and of the reward
    models that it was trained against, as far as they are where its settings say."""
    found: list[RunFiles] = []
    _gather(run, {run.path.resolve()}, found)
    return found


def _gather(run: RunFiles, known: set[Path], found: list[RunFiles]) -> None:
    """Append what `run` came of to `found`, each after what it came of itself."""
    rewards = setting(run.config, "reward")
    for name in (model_of(run), *(rewards if isinstance(rewards, list) else ())):
        place = Path(str(name).rpartition("*")[2].strip())  # a reward may have a weight
        place = (place.parent if place.name == "model" else place).resolve()
        if name and place not in known and (place / "config.yaml").is_file():
            known.add(place)
            other = read_run(place)
            _gather(other, known, found)
            found.append(other)


def row_of(run: RunFiles) -> Method | None:
    """The facts of the run's method, a sum of methods included; None of an objective of the user's own, whose code a
    reader of reports does not run."""
    name = method_of(run)
    try:
        return None if not name or ":" in name else method_named(name)
    except ConfigError:
        return None


def data_of(run: RunFiles) -> str:
    """The files or data set that the run read."""
    found = setting(run.config, "data", "train_data", "dataset_name")
    if isinstance(found, dict):
        found = setting(found, "files", "train", "path", "name", "dataset_name")
    return fact(found) if isinstance(found, str | list) else ""


def key_settings(run: RunFiles) -> list[tuple[str, str]]:
    """The method's hyperparameters and the settings that decide a run, as far as config.yaml holds them."""
    method = row_of(run)
    wanted = {name: name.replace("_", " ") for name in (method.hyperparameters if method else ())} | KEY_SETTINGS
    found: dict[str, Any] = {}
    for name, label in wanted.items():
        value = setting(run.config, name)
        unused = name == "lora_r" and setting(run.config, "lora") is False
        if value is not None and not isinstance(value, dict) and not unused:
            found[label] = value
    return [(label, fact(value)) for label, value in found.items()]


def account(run: RunFiles) -> Account | None:
    """The accounts in data.json; `None` where there is no such file."""
    if not run.data:
        return None
    data = run.data
    by_code = part(data, "rejected")
    counted = {code: number(by_code, code) for code in by_code}
    rejected = sum(value for value in counted.values() if value is not None)
    rejects = [record for record in data.get("rejects") or [] if isinstance(record, dict)]
    read, used, deduplicated = (number(data, key) for key in ("read", "used", "deduplicated"))
    gap = None if read is None or used is None else read - used - (deduplicated or 0) - rejected
    return Account(
        read=count(read),
        used=count(used),
        deduplicated=count(deduplicated),
        rejected=count(rejected),
        train=count(number(data, "train")),
        held_out=count(number(data, "held_out")),
        truncated=count(number(data, "truncated")),
        codes=[(code, count(value), *_example(code, rejects)) for code, value in counted.items()],
        rejects=rejects[:100],
        balance=_balance(gap),
    )


def _balance(gap: float | None) -> str:
    if not gap:
        return ""
    return f"data.json does not add up: {count(abs(gap))} rows {'are lost' if gap > 0 else 'are counted twice'}."


def _example(code: str, rejects: list[Record]) -> tuple[str, str]:
    first = next((record for record in rejects if record.get("code") == code), {})
    place = f"{Path(text(first, 'file')).name}:{text(first, 'line')}" if first else NONE
    return CODES.get(code) or text(first, "reason") or NONE, place
