"""The same training at several settings, and what each is worth: win rate against KL."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from preferably import api
from preferably.config import ALIASES, settings
from preferably.errors import ConfigError, PreferablyError, TrainingError
from preferably.judging.judge import ScoreFunction
from preferably.judging.settings import is_judge_file
from preferably.models.loading import load
from preferably.pipeline.contents import of_file, of_function, of_judge, of_model
from preferably.pipeline.frontier import Point, Recommendation, frontier, recommend
from preferably.reporting.sweep import render_sweep
from preferably.training.closing import STOPPED, Progress
from preferably.training.disk import NoSpaceError
from preferably.training.run_directory import RunDirectory

NOT_SWEPT = {"method", "model", "data", "output", "held_out_data", "held_out", "seed", "device", "threads"}
DECIDE_PROMPTS = {"half", "max_length", "truncation", "max_rejected"}  # which rows are used, and so which are held out
FILE = "sweep.json"


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep as far as it went."""

    path: Path
    points: list[Point]
    recommendation: Recommendation
    stopped_by: int | None = None  # the signal that ended it early, where one did

    @property
    def finished(self) -> bool:
        """False where it was asked to stop."""
        return self.stopped_by is None

    @property
    def frontier(self) -> list[Point]:
        """The points that no other beats, by KL."""
        return frontier(self.points)


def sweep(
    method: str,
    *,
    model: str | Path,
    data: str | Path | Sequence[str | Path],
    output: str | Path,
    grid: Mapping[str, Sequence[Any]],
    judge: str | ScoreFunction,
    prompts: str | Path | None = None,
    samples: int = 4,
    temperature: float = 0.7,
    max_tokens: int = 256,
    limit: int | None = None,
    progress: Callable[[str], Progress] | None = None,
    **options: Any,
) -> Sweep:
    """Train at every combination of `grid` and set each against the starting model, in a run directory each.

    `grid`: setting -> values. `prompts`: a file of prompts to judge on, else those that the runs hold out (the same for
    all: the split depends on data and seed). `options` are settings of all runs. What is there already is not done
    again: after a kill the same call goes on, and a larger grid adds points. A run that fails is a point of its own and
    stops nothing, but for a full disk, and for the first one that fails by anything but its training: what is wrong
    there is wrong for all. `ConfigError` for settings that cannot be used, before any run, and for an `output` that
    holds a sweep of other settings or other contents of the files that it names.
    """
    root = Path(output)
    swept = {ALIASES.get(key, key): list(dict.fromkeys(values)) for key, values in grid.items()}
    if len(swept) < len(grid):
        raise ConfigError(f"The grid names a setting twice ({', '.join(grid)}); give all of its values under one name.")
    combinations = _checked(method, model, data, root, swept, options)
    how: dict[str, Any] = {"samples": samples, "temperature": temperature, "max_tokens": max_tokens, "limit": limit}
    job = _job(method, model, data, judge, options, {"prompts": None if prompts is None else str(prompts)} | how)
    _same_job(root, job)
    start = load(api.model_directory(model), device=options.get("device", "auto"), dtype=options.get("dtype", "auto"))
    points: list[Point] = []
    stopped_by = None
    for chosen in combinations:
        path = root / "runs" / _name(chosen)
        watch = progress(Point(chosen, "", "finished").name) if progress is not None else None
        try:
            stopped_by = _trained(method, model, data, path, options | chosen, watch)
            if stopped_by is not None:
                break
            if not (path / "evaluation" / "win_rate.json").exists():
                asked = prompts or path / "held_out.jsonl"
                api.evaluate(path, against=start, data=asked, judge=judge, output=path, **how)
        except PreferablyError as error:
            if isinstance(error, NoSpaceError) or not (points or isinstance(error, TrainingError)):
                raise
            points.append(Point(chosen, str(path), "failed", str(error)))
        else:
            points.append(_point(chosen, path))
    made = Sweep(root, points, recommend(points, swept), stopped_by)
    _store(made, job, swept)
    return made


def _checked(
    method: str, model: Any, data: Any, root: Path, grid: Mapping[str, Sequence[Any]], options: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Every combination, each valid by itself."""
    if not grid or not all(grid.values()):
        raise ConfigError("A sweep needs values to go over; for example: --grid beta=0.05,0.1,0.2.")
    for name in grid:
        if name in NOT_SWEPT:
            raise ConfigError(f"{name} cannot be swept: all runs share it, or they could not be compared.")
        if name in DECIDE_PROMPTS:
            raise ConfigError(
                f"{name} cannot be swept: which prompts are held out depends on it, so the points could not be "
                f"compared. Set it once for all runs: --{name.replace('_', '-')}."
            )
        if name in options:
            raise ConfigError(f"{name} is swept and also set to {options[name]!r}; give it once.")
    combinations = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    parsed = []
    for chosen in combinations:
        made = settings({"method": method, "model": model, "data": data, "output": root} | dict(options) | chosen)
        # "0.1" of a command line is 0.1 in every file.
        known = made.model_dump() | {f"objective.{name}": value for name, value in made.objective.items()}
        parsed.append({name: known[name] for name in chosen})
    return parsed


def _job(
    method: str,
    model: str | Path,
    data: str | Path | Sequence[str | Path],
    judge: str | ScoreFunction,
    options: dict[str, Any],
    evaluation: dict[str, Any],
) -> dict[str, Any]:
    """What all points share: by name, and by the digests of what could change under its name."""
    named = [options.get(name, ()) for name in ("held_out_data", "ptx_data")]
    files = [file for several in (data, *named, evaluation["prompts"] or ()) for file in _listed(several)]
    return {
        "method": method, "model": str(model), "data": _listed(data),
        "judge": judge if isinstance(judge, str) else getattr(judge, "__name__", "function"), "options": options,
        "evaluation": evaluation, "contents": dict(_contents(model, files, judge)) | dict(_named_in(options)),
    }  # fmt: skip


def _listed(files: str | Path | Sequence[str | Path]) -> list[str]:
    return [str(files)] if isinstance(files, str | Path) else [str(file) for file in files]


def _contents(model: str | Path, files: Sequence[str], judge: str | ScoreFunction) -> Iterator[tuple[str, str]]:
    """(name, SHA-256) of the files and weights that are on this machine, and of the judge."""
    for named in map(Path, files):
        for file in [named] if named.is_file() else sorted(named.rglob("*")):
            if file.is_file():
                yield str(file), of_file(file)
    for file in sorted(Path(api.model_directory(model)).glob("*.safetensors")):
        yield str(file), of_file(file)
    if isinstance(judge, str) and is_judge_file(judge):
        yield "the judge", of_file(Path(judge))
        return
    yield "the source of the judge", of_function(judge)


def _named_in(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The same of what the options of all points name: rewards, a guard, a reference, a critic."""
    for option in ("reward", "guard"):
        for name in _listed(options.get(option) or ()):
            yield f"{option} {name}", of_judge(name)
    for option in ("reference_model", "critic"):
        for name in _listed(options.get(option) or ()):
            yield f"{option} {name}", of_model(name)


def _same_job(root: Path, job: dict[str, Any]) -> None:
    """Note what is swept; `ConfigError` with what differs where another sweep is there and has begun a run."""
    known = root / FILE
    plain = json.loads(json.dumps(job))
    if known.exists() and any(root.glob("runs/*/checkpoints")):
        before = json.loads(known.read_text(encoding="utf-8"))
        then, now = before.get("contents", {}), plain["contents"]
        differs = [
            f"{key}: {before.get(key)!r} then, {plain[key]!r} now"
            for key in plain
            if key != "contents" and before.get(key) != plain[key]
        ] or [f"{name} has changed" for name in sorted(then | now) if then.get(name) != now.get(name)]
        if differs:
            raise ConfigError(f"{root} holds a sweep of other settings ({'; '.join(differs)}); give another --output.")
        return
    RunDirectory(root).make()
    RunDirectory(root).write_json(FILE, plain)


def _trained(
    method: str, model: Any, data: Any, path: Path, options: dict[str, Any], watch: Progress | None
) -> int | None:
    """Train, or go on training, unless it is done; the signal by which the run was asked to stop, if it was."""
    status = path / "status.json"
    state = json.loads(status.read_text(encoding="utf-8")) if status.exists() else {}
    if state.get("state") == "finished" or (state.get("state") == "stopped" and state.get("reason") != STOPPED):
        return None
    begun = (path / "checkpoints").exists()
    return api.train(method, model=model, data=data, output=path, resume=begun, progress=watch, **options).stopped_by


def _point(chosen: dict[str, Any], path: Path) -> Point:
    record = json.loads((path / "evaluation" / "win_rate.json").read_text(encoding="utf-8"))
    kl = record.get("kl") or {}
    interval = record.get("interval")
    ours, starts = (
        tuple(flag["kind"] for flag in record.get("flags", []) if flag["warning"] and flag["side"] == side)
        for side in ("model", "against")
    )
    return Point(
        chosen, str(path), "finished", win_rate=record.get("win_rate"),
        interval=(interval[0], interval[1]) if interval else None, kl=kl.get("mean"), kl_se=kl.get("se"),
        warnings=tuple(line["code"] for line in RunDirectory(path).lines("warnings.jsonl")),
        flags=ours, start_flags=starts,
    )  # fmt: skip


def _store(made: Sweep, job: dict[str, Any], grid: Mapping[str, Sequence[Any]]) -> None:
    found = made.recommendation
    record = job | {
        "grid": dict(grid), "points": [asdict(point) for point in made.points],
        "frontier": [point.path for point in made.frontier],
        "recommendation": {
            "path": found.point.path if found.point else None, "reason": found.reason, "hints": found.hints,
        },
    }  # fmt: skip
    RunDirectory(made.path).write_json(FILE, record)
    render_sweep(made.path, json.loads((made.path / FILE).read_text(encoding="utf-8")))


def _name(chosen: Mapping[str, Any]) -> str:
    """A directory's name: `beta=0.1,learning_rate=5e-06`."""
    text = ",".join(f"{key}={value}" for key, value in chosen.items())
    return "".join(c if c.isalnum() or c in "=,._+-" else "_" for c in text)
