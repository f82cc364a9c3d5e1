"""The whole job in the embedded world: base, SFT, preferences, DPO, evaluation, report."""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from preferably.api import report
from preferably.data.tokens import encode
from preferably.errors import ConfigError
from preferably.evaluation.compare import measure_kl, store
from preferably.evaluation.preference import preference_accuracy
from preferably.models.loading import Loaded, choose_device, load
from preferably.quickstart import stages
from preferably.quickstart.phrasing import Prompt, sample_prompts
from preferably.quickstart.recipe import Recipe
from preferably.quickstart.truth import score
from preferably.training.closing import Progress
from preferably.training.run import Run
from preferably.training.run_directory import RunDirectory
from preferably.training.stops import leave

READY_PROMPTS = 64
KL_PROMPTS = 250


class Watcher(Protocol):
    """Who is told how the job goes."""

    def training(self, name: str) -> Progress:
        """A training stage begins."""

    def counting(self, name: str, total: int) -> Callable[[int], None]:
        """A stage of `total` prompts begins; what is returned is told of each batch done."""


def quickstart(
    output: Path, *, seed: int, watcher: Watcher, device: str = "auto", recipe: Recipe | None = None
) -> dict[str, Any]:
    """Run it all under `output` (one run directory a stage) and return what `results.json` holds.

    Raises `ConfigError` if `output` already holds a quickstart.
    """
    recipe = recipe or Recipe()
    if (output / "results.json").exists() or (output / "base" / "status.json").exists():
        raise ConfigError(f"{output} already holds a quickstart; give another --output or remove it.")
    began = time.perf_counter()
    where = choose_device(device)
    held_out = sample_prompts(recipe.prompts, seed, split="held_out")
    base = _finished(stages.base_stage(recipe, seed, output / "base", where, watcher.training("base model")))
    unready = _store_readiness(recipe, seed, base, held_out)
    sft = _finished(stages.sft_stage(recipe, seed, base.loaded, output / "sft", watcher.training("sft")))
    ready = _store_readiness(recipe, seed, sft, held_out)
    pairs, said = stages.collect(recipe, seed, sft.loaded, watcher.counting("compare samples", recipe.asked))
    dpo = _finished(stages.dpo_stage(recipe, seed, sft.loaded, pairs, output / "dpo", watcher.training("dpo")))
    start = load(sft.model, device=device)
    headline, by_temperature, axes = _evaluate(recipe, seed, dpo, start, held_out, watcher)
    RunDirectory(dpo.path).write_json("evaluation/readiness.json", ready)
    _store_accuracy(dpo, start)
    for stage in (base, sft):
        report(stage.path)
    report(dpo.path, stages=[base.path, sft.path])
    results = {
        "seed": seed, "seconds": round(time.perf_counter() - began, 1), "recipe": asdict(recipe),
        "readiness": {"base": unready["verdict"], "sft": ready["verdict"]},
        "labels": said, "dpo": headline, "decodings": by_temperature, "axes": axes,
        "warnings": {stage.path.name: stage.state.alarms for stage in (base, sft, dpo)},
    }  # fmt: skip
    RunDirectory(output).write_json("results.json", results)
    return results


def _finished(run: Run) -> Run:
    """The run, unless it was asked to stop: then the job stops too."""
    if run.stopped_by is not None:
        leave(run.stopped_by)
    return run


def _store_readiness(recipe: Recipe, seed: int, run: Run, prompts: list[Prompt]) -> dict[str, Any]:
    found = stages.check_readiness(recipe, seed, run.loaded, prompts[:READY_PROMPTS]).as_json()
    RunDirectory(run.path).write_json("evaluation/readiness.json", found)
    return found


def _evaluate(
    recipe: Recipe, seed: int, dpo: Run, start: Loaded, held_out: list[Prompt], watcher: Watcher
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Win rates at three decodings; the headline is at the recipe's temperature, with KL and every axis beside it."""
    some = stages.asked(held_out[:KL_PROMPTS])
    kl = measure_kl(dpo.loaded, start, some, max_tokens=recipe.max_tokens, seed=seed)
    decodings: dict[str, Any] = {}
    headline: dict[str, Any] = {}
    axes: dict[str, Any] = {}
    for temperature, samples in ((recipe.temperature, recipe.samples), (1.0, 1), (0.0, 1)):
        tell = watcher.counting(f"evaluate at T = {temperature:g}", 2 * len(held_out))
        result = stages.judge_at(
            recipe, seed, dpo.loaded, start, held_out, temperature=temperature, samples=samples, progress=tell
        )
        first = temperature == recipe.temperature
        name = "win_rate" if first else f"win_rate@{temperature:g}"
        stored = store(
            result, dpo.path, judge=stages.JUDGE, model="dpo", against="sft", kl=kl if first else None, name=name,
            scores=score,
        )  # fmt: skip
        sides = {"model": stages.axes_of(held_out, result.model), "against": stages.axes_of(held_out, result.against)}
        table = {axis: {side: values[axis] for side, values in sides.items()} for axis in sides["model"]}
        decodings[f"{temperature:g}"] = {"win_rate": stored["win_rate"], "interval": stored["interval"], "axes": table}
        if first:
            headline, axes = stored, table
            RunDirectory(dpo.path).write_json("evaluation/axes.json", table)
            for kind in ("phrasing", "combination"):
                values = [
                    v for v, p in zip(result.result.values, held_out, strict=True) if p.kind == kind and v is not None
                ]
                headline[f"win_rate_{kind}"] = sum(values) / len(values)
    return headline, decodings, axes


def _store_accuracy(dpo: Run, start: Loaded) -> None:
    pairs = encode(dpo.held_out, start.tokenizer, max_length=start.context or 256).groups
    found = preference_accuracy(dpo.loaded.policy, start.policy, pairs)
    RunDirectory(dpo.path).write_json("evaluation/preference_accuracy.json", found.as_json())
