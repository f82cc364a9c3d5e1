"""Advice as an `align.yaml` that does it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import yaml

from preferably.data.formats import Feedback
from preferably.errors import ConfigError
from preferably.feedback.store.naming import is_store
from preferably.pipeline.advice import Advice
from preferably.pipeline.plan import align_settings
from preferably.pipeline.roads import ROADS
from preferably.pipeline.rules import basis
from preferably.training.disk import write_whole

ROUNDS = 2  # of a road on own answers
SAMPLES = 4  # of these, a prompt
WIDTH = 118


def road_values(
    advice: Advice, model: str, paths: Mapping[Feedback, Sequence[str]], *,
    prompts: str | None = None, judge: str | None = None, checker: str | None = None, output: str = "runs/align",
) -> dict[str, Any]:  # fmt: skip
    """The keys of the file. `paths` are files by kind of feedback, `prompts` the held-out ones, `judge` whoever judges
    new answers. Raises `ConfigError` where the road has no job of its own, or lacks a file."""
    if advice.road in ("collect", "best-of-n"):
        raise ConfigError(f"There is nothing to write yet: {ROADS[advice.road].does} first.")
    values: dict[str, Any] = {"model": model, "output": output}
    if prompts:
        values["prompts"] = prompts
    trainings, shown = advice.trainings(), list(paths.get("demonstrations", ()))
    if "sft" in trainings:
        values["sft"] = {"data": shown or list(paths["pairs"])} | trainings.pop("sft")
    if prompts:
        values["ready"] = {"checker": checker} if checker else {}
    if advice.road == "sft":
        return values
    own = asked_anew(paths)
    values["preferences"] = _sources(advice.road, paths, own, judge)
    road = _road(advice.road, trainings, own, judge)
    values["train"] = [road | {"guard": {}} if advice.guarded and isinstance(road.get("reward"), dict) else road]
    if prompts and judge:
        values["evaluate"] = {"judge": judge}
    if advice.road == "dpo-own":
        values["iterate"] = ROUNDS
    return {name: value for name, value in values.items() if value != []}


def asked_anew(paths: Mapping[Feedback, Sequence[str]]) -> Sequence[str]:
    """The files whose prompts the model answers, where it is to answer some."""
    kinds: tuple[Feedback, ...] = ("prompts", "pairs", "labels", "demonstrations")
    return next((list(paths[kind]) for kind in kinds if paths.get(kind)), [])


def _sources(
    road: str, paths: Mapping[Feedback, Sequence[str]], own: Sequence[str], judge: str | None
) -> list[dict[str, Any]]:
    if road in ("ppo", "rloo"):
        return []
    found: list[dict[str, Any]] = []
    kind: Feedback = "labels" if road == "kto" else "pairs"
    plain = [path for path in paths.get(kind, ()) if not is_store(path)]
    found += [{"files": plain}] if plain else []
    found += [{"store": path} for path in paths.get(kind, ()) if is_store(path)]
    if road in ("dpo-own", "rlaif"):
        if all(map(is_store, own)):
            raise ConfigError("This road has the model answer prompts anew: give a file of prompts as --data too.")
        found += [{"judge": judge, "prompts": path, "samples": SAMPLES} for path in own if not is_store(path)]
    return found


def _road(
    road: str, trainings: dict[str, dict[str, Any]], own: Sequence[str], judge: str | None
) -> dict[str, Any]:  # fmt: skip
    [*methods] = trainings
    last = trainings[methods[-1]]
    if len(methods) == 2:
        online = dict(last) if road == "rlaif" else dict(last) | {"data": list(own)}
        return {"name": road, "reward": trainings["reward"], methods[-1]: online}
    if road in ("ppo", "rloo"):
        return {"method": road, "reward": judge, "data": list(own)} | last
    return {"method": methods[-1]} | last


def _stops(advice: Advice, values: Mapping[str, Any]) -> Iterator[str]:
    """Why `preferably align` would stop before anything of the road is trained."""
    yield from advice.situation.stops
    yield from advice.situation.refused
    if advice.situation.ready is False and "ready" in values and "sft" not in values:
        yield (
            f"The model is not ready ({advice.situation.told('ready') or 'as was said'}), and you need demonstrations "
            "to fine-tune it on (--data)."
        )


def write_road(file: str | Path, advice: Advice, values: Mapping[str, Any]) -> Path:
    """Write the file, with the reasons as comments; `values` as `preferably align` would read them. `ConfigError`
    where the file is there already, the values could not be used, or the job is known to stop before it trains."""
    target = Path(file)
    if target.exists():
        raise ConfigError(f"{target} exists already, and nothing is overwritten; name another place.")
    align_settings(values, str(target))
    if told := " ".join(_stops(advice, values)):
        raise ConfigError(
            f"{target} was not written, as its job would stop. {told} Mend that and ask again, or begin with "
            "`preferably init` and say in the file what is to be done with such rows (truncation, max_length, "
            "max_rejected) or with the gates."
        )
    lines = [f"{ROADS[advice.road].does[0].upper()}{ROADS[advice.road].does[1:]}."]
    reasons = (advice.decided, *advice.settings)
    lines += [f"{rule.name} ({basis(rule, advice.situation)}): {rule.why}" for rule in reasons]
    lines += [f"First: {rule.then}" for rule in advice.first]
    if "prompts" not in values:
        lines.append(
            "Held-out prompts are missing: without them nothing tells whether it helped (prompts:, evaluate:)."
        )
    lines.append("Look at what it would do: preferably align --dry-run. docs/align.md has every key.")
    head = "\n".join(f"# {part}" for line in lines for part in wrap(line, WIDTH, subsequent_indent="  "))
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, f"{head}\n\n{yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)}".encode())
    return target
