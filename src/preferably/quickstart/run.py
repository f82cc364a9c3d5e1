"""The whole job in the embedded world: base, SFT, preferences, two roads (DPO; reward model and PPO), evaluation."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from preferably.api import compare_runs, report
from preferably.data.tokens import encode
from preferably.errors import ConfigError
from preferably.evaluation.preference import preference_accuracy
from preferably.evaluation.rewards import evaluate_reward
from preferably.feedback.records import Judged
from preferably.feedback.store.store import Store
from preferably.feedback.views import pairs
from preferably.models.loading import Loaded, choose_device, load
from preferably.quickstart import measures, stages
from preferably.quickstart.full import Extent, Full
from preferably.quickstart.phrasing import Prompt, sample_prompts
from preferably.quickstart.recipe import Recipe
from preferably.quickstart.record import Account, settings_of
from preferably.quickstart.watcher import Watcher
from preferably.quickstart.your_labels import QUESTIONS, SPARE, YourLabels
from preferably.training.run import Run
from preferably.training.run_directory import RunDirectory
from preferably.training.stops import leave

READY_PROMPTS = 64
STORE = "preferably.db"  # in the output: what the labelers said
KEPT = 6  # checkpoints of PPO along which it is audited
CORRECTED = ("canary", "honest", "suppressed")  # runs that are there with `full`
AUDITS = ("run", "safety", "honesty", "suppression")


def quickstart(
    output: Path, *, seed: int, watcher: Watcher, device: str = "auto", recipe: Recipe | None = None,
    yours: YourLabels | None = None, full: Extent | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Run it all under `output` (one run directory a stage) and return what `results.json` holds.

    With `yours` the user answers some questions too, and one of the answers is followed through both roads. With `full`
    come people, judges and audits (`quickstart.full`). Raises `ConfigError` if `output` already holds a quickstart.
    """
    recipe = recipe or Recipe()
    if any((output / name).exists() for name in ("results.json", "base/status.json", STORE)):
        raise ConfigError(f"{output} already holds a quickstart; give another --output or remove it.")
    began = time.perf_counter()
    account, where = Account(output), choose_device(device)
    held_out = sample_prompts(recipe.prompts, seed, split="held_out")
    base = _finished(stages.base_stage(recipe, seed, output / "base", where, watcher.training("base model")))
    account.trained(base, kind="sft", method="sft")
    unready = _store_readiness(recipe, seed, base, held_out, account)
    sft = _finished(stages.sft_stage(recipe, seed, base.loaded, output / "sft", watcher.training("sft")))
    account.trained(sft, kind="sft", method="sft", needs=["base"])
    ready = _store_readiness(recipe, seed, sft, held_out, account, unready)
    with Store(output / STORE) as store:
        told = watcher.counting("compare samples", recipe.asked)
        judged, said = stages.collect(recipe, seed, sft.loaded, store, told)
        account.done("labels", "judge", folder=".", needs=["sft"], figures=said)
        if yours is not None:
            yours.collect(recipe, seed, sft.loaded, store, watcher.counting("your questions", SPARE * QUESTIONS))
            account.done("your-labels", "judge", folder=".", needs=["sft"], waited=yours.waited)
            judged = store.judged()
    dpo, reward, ppo = _train(recipe, seed, sft, judged, watcher, account, yours, keep=KEPT if full else 2)
    models = {"sft": (start := load(sft.model, device=device)), "dpo": dpo.loaded, "ppo": ppo.loaded}
    measured = _measure(recipe, seed, models, output, held_out, watcher)
    account.done("answers", "sample", folder="ppo", needs=["sft", "dpo", "ppo"])
    for run in (dpo, ppo):
        RunDirectory(run.path).write_json("evaluation/readiness.json", ready)
        account.evaluated(run.path.name, measured[run.path.name])
    _store_accuracy(dpo, start)
    _store_worth(reward, judged)
    traced = _trace(yours, recipe, start, dpo, reward)
    beyond = {}
    if full is None:
        account.labelers(STORE, seed)
    else:
        more = Full(recipe, seed, account, watcher, full, models, reward, lambda: load(base.model, device=device))
        beyond = {"full": more.all(STORE)}
    for path in (*(run.path for run in (base, sft, reward, dpo, ppo)), *(output / name for name in CORRECTED if full)):
        report(path)
    compare_runs([dpo.path, ppo.path], output=output / "comparison.html")
    measured["ppo"]["entropy"] = _entropy(ppo)
    roads = {"dpo": "sft", "ppo": "sft"} | beyond.get("full", {}).get("roads", {})
    account.write(settings_of(recipe, seed, AUDITS if full else ()), roads)
    seconds = time.perf_counter() - began - (yours.waited if yours else 0.0)
    results = {
        "seed": seed, "seconds": round(seconds, 1), "recipe": asdict(recipe),
        "readiness": {"base": unready["verdict"], "sft": ready["verdict"]}, "labels": said,
        **measured, **traced, **beyond,
        "warnings": {run.path.name: run.state.alarms for run in (base, sft, reward, dpo, ppo)},
    }  # fmt: skip
    RunDirectory(output).write_json("results.json", results)
    return results


def _train(
    recipe: Recipe, seed: int, sft: Run, judged: Sequence[Judged], watcher: Watcher, account: Account,
    yours: YourLabels | None, keep: int,
) -> tuple[Run, Run, Run]:  # fmt: skip
    """DPO; the reward model; PPO. Both roads begin at the same model and learn from the same comparisons."""
    root = account.root
    dpo = _finished(stages.dpo_stage(recipe, seed, sft.loaded, pairs(judged), root / "dpo", watcher.training("dpo")))
    account.trained(dpo, road="dpo", method="dpo", needs=["sft", "labels"])
    reward = _finished(
        stages.reward_stage(
            recipe, seed, sft.model, judged, root / "reward", watcher.training("reward model"),
            yours.look if yours else None,
        )
    )  # fmt: skip
    account.trained(reward, road="ppo", method="reward", needs=["sft", "labels"])
    ppo = _finished(stages.ppo_stage(recipe, seed, sft.model, reward.path, root / "ppo", watcher.training("ppo"), keep))
    account.trained(ppo, road="ppo", method="ppo", needs=["sft", "reward"])
    return dpo, reward, ppo


def _trace(yours: YourLabels | None, recipe: Recipe, start: Loaded, dpo: Run, reward: Run) -> dict[str, Any]:
    """What became of the user's answers, for the pages of both roads and for the results."""
    if yours is None:
        return {}
    held_out = [*dpo.held_out, *reward.held_out]
    told = yours.trace(start, dpo.loaded, reward.loaded, recipe.beta, held_out)
    for run in (dpo, reward):
        if told:
            RunDirectory(run.path).write_json("evaluation/your_label.json", told)
    return {"your_labels": told}


def _finished(run: Run) -> Run:
    """The run, unless it was asked to stop: then the job stops too."""
    if run.stopped_by is not None:
        leave(run.stopped_by)
    return run


def _store_readiness(
    recipe: Recipe, seed: int, run: Run, prompts: list[Prompt], account: Account, start: dict[str, Any] | None = None
) -> dict[str, Any]:  # fmt: skip
    """Whether a model that was just trained can do the task; its run tells that of its `start`, where that is known."""
    found = stages.check_readiness(recipe, seed, run.loaded, prompts[:READY_PROMPTS]).as_json()
    name = f"ready-{run.path.name}"
    place = RunDirectory(account.root / name)
    place.make()
    place.write_json("readiness.json", found)
    if start is not None:
        RunDirectory(run.path).write_json("evaluation/readiness.json", start)
    account.done(name, "ready", needs=[run.path.name],
                 figures={one: found[one] for one in ("ready", "verdict", "prompts")})  # fmt: skip
    return found


def _measure(
    recipe: Recipe, seed: int, models: dict[str, Loaded], output: Path, held_out: list[Prompt], watcher: Watcher
) -> dict[str, Any]:
    """The reward model by the labelers' chances; both roads against their start and each other, at three decodings, the
    headline at the recipe's temperature with KL and every axis beside it."""
    some = held_out[: recipe.best_of_prompts]
    start, trained = models["sft"], {name: models[name] for name in ("dpo", "ppo")}
    tell = watcher.counting("best of n", len(some))
    many = measures.replies(
        recipe, seed, {"sft": start}, some, temperature=1.0, samples=recipe.best_of, progress=tell
    )["sft"]  # fmt: skip
    scores = measures.reward_scores(output / "reward", some, many)
    kl = measures.ways(recipe, seed, trained, start, output / "reward", some, many, scores, output / "ppo")
    headlines: dict[str, Any] = {}
    decodings: dict[str, dict[str, Any]] = {name: {} for name in trained}
    axes: dict[str, Any] = {}
    few = held_out[: len(held_out) // 4]  # for what stands beside the headline
    for temperature, samples, asked in ((recipe.temperature, recipe.samples, held_out), (1.0, 1, few), (0.0, 1, few)):
        first = temperature == recipe.temperature
        tell = watcher.counting(f"evaluate at T = {temperature:g}", len(models) * len(asked))
        drawn = measures.replies(recipe, seed, models, asked, temperature=temperature, samples=samples, progress=tell)
        name = "win_rate" if first else f"win_rate@{temperature:g}"
        for model in trained:
            stored = measures.hold_against(
                recipe, seed, drawn, asked, model, "sft", output / model,
                temperature=temperature, name=name, kl=kl[model] if first else None,
            )  # fmt: skip
            decodings[model][f"{temperature:g}"] = {key: stored[key] for key in ("win_rate", "interval")}
            if first:
                headlines[model] = stored
        if first:
            headlines["ppo_over_dpo"] = measures.hold_against(
                recipe, seed, drawn, asked, "ppo", "dpo", output / "ppo", temperature=temperature, name="win_rate@dpo"
            )
            axes = measures.by_axis(drawn, asked)
            for model in trained:
                sides = {axis: {"model": row[model], "against": row["sft"]} for axis, row in axes.items()}
                RunDirectory(output / model).write_json("evaluation/axes.json", sides)
    worth = measures.reward_worth(some, many, scores)
    return {"reward_model": worth} | headlines | {"decodings": decodings, "axes": axes}


def _store_worth(reward: Run, judged: Sequence[Judged]) -> None:
    """The reward model on the comparisons that it was not trained on, labeler by labeler."""
    prompts = {group.prompt for group in reward.held_out}
    found = evaluate_reward(reward.loaded, [one for one in judged if one.group.prompt in prompts])
    RunDirectory(reward.path).write_json("evaluation/reward_model.json", found.as_json())


def _entropy(ppo: Run) -> list[float]:
    """Nats per completion in the first and the last iteration."""
    found = [line["objective/entropy"] for line in RunDirectory(ppo.path).lines("metrics.jsonl") if line["step"]]
    return [found[0], found[-1]]


def _store_accuracy(dpo: Run, start: Loaded) -> None:
    pairs = encode(dpo.held_out, start.tokenizer, max_length=start.context or 256).groups
    found = preference_accuracy(dpo.loaded.policy, start.policy, pairs)
    RunDirectory(dpo.path).write_json("evaluation/preference_accuracy.json", found.as_json())
