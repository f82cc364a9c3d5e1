"""Would the quickstart also show an improvement where there is none? Would it say so when something goes wrong?

    shuffled    DPO on labels at random wins 0.45 to 0.55 against its start, on every seed
    planted     learning rate x 100, beta / 100, training labels flipped, demonstrations without their end: each raises
                its own warning, and the run as it is raises none
    fair        on pairs of the SFT model's own samples no single feature agrees with the truth on more than 0.70; right
                and wrong replies are equally fluent; degenerate policies lose
    ready       the base model is told to be fine-tuned first, the SFT model is ready

Base and SFT model are made once a seed and used by all controls. Planted failures and fairness are for the first seed.

    python bench/quickstart_controls.py            about 25 minutes on two cores
    python bench/quickstart_controls.py --smoke    two minutes, a tiny recipe, proves nothing
"""

import argparse
import time
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from preferably.evaluation.compare import compare
from preferably.feedback import views
from preferably.feedback.store.store import Store
from preferably.judging.judge import judge_by_score
from preferably.models.loading import choose_device, load
from preferably.models.sampler import Decoding
from preferably.quickstart import stages
from preferably.quickstart.phrasing import Prompt, sample_prompts
from preferably.quickstart.recipe import Recipe
from preferably.quickstart.truth import score
from preferably.training.closing import Progress
from support.fairness import fairness
from support.machine import facts, table, write_result
from support.planted import FAILURES, World, try_out
from support.quickstart import TINY

LOW, HIGH = 0.45, 0.55  # where the win rate of shuffled labels must lie
READY_PROMPTS = 64


def prepare(recipe: Recipe, seed: int, folder: Path, prompts: list[Prompt]) -> tuple[Path, Path, dict[str, Any]]:
    """Train base and SFT model; where they are, and what readiness says of each."""
    device = choose_device("cpu")
    base = stages.base_stage(recipe, seed, folder / "base", device, Progress())
    verdicts = {"base": stages.check_readiness(recipe, seed, base.loaded, prompts[:READY_PROMPTS]).as_json()}
    sft = stages.sft_stage(recipe, seed, base.loaded, folder / "sft", Progress())
    verdicts["sft"] = stages.check_readiness(recipe, seed, sft.loaded, prompts[:READY_PROMPTS]).as_json()
    return base.model, sft.model, verdicts


def shuffled(recipe: Recipe, seed: int, sft: Path, folder: Path, prompts: list[Prompt]) -> dict[str, Any]:
    """DPO on the same comparisons with labels at random."""
    chance = replace(recipe, shuffled=True)
    with Store(folder / "shuffled.db") as store:
        judged, said = stages.collect(chance, seed, load(sft), store, lambda done: None)
    pairs = views.pairs(judged)
    run = stages.dpo_stage(chance, seed, load(sft), pairs, folder / "shuffled", Progress())
    result = compare(
        run.loaded, load(sft), stages.asked(prompts), judge_by_score(score),
        Decoding(temperature=recipe.temperature, max_tokens=recipe.max_tokens), samples=recipe.samples, seed=seed,
    )  # fmt: skip
    sides = {"model": stages.axes_of(prompts, result.model), "against": stages.axes_of(prompts, result.against)}
    interval = result.result.interval
    return {
        "seed": seed, "win_rate": result.result.win_rate, "interval": [interval.low, interval.high],
        "n": result.result.n, "pairs": len(pairs), "labels": said, "axes": sides, "warnings": run.state.alarms,
    }  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--smoke", action="store_true", help="a tiny recipe, one seed")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    began, environment = time.perf_counter(), facts()
    recipe = replace(Recipe(), **TINY) if options.smoke else replace(Recipe(), prompts=500)
    seeds = options.seeds[:1] if options.smoke else options.seeds
    by_seed: list[dict[str, Any]] = []
    readiness: dict[str, Any] = {}
    planted: list[dict[str, Any]] = []
    fair: dict[str, Any] = {}
    for seed in seeds:
        with TemporaryDirectory() as name:
            folder = Path(name)
            prompts = sample_prompts(recipe.prompts, seed, "held_out")
            base, sft, readiness[str(seed)] = prepare(recipe, seed, folder, prompts)
            by_seed.append(shuffled(recipe, seed, sft, folder, prompts))
            print(f"seed {seed}: shuffled labels win {by_seed[-1]['win_rate']:.3f}", flush=True)
            if seed != seeds[0]:
                continue
            fair = fairness(recipe, seed, load(sft), prompts=60 if options.smoke else 1000)
            with Store(folder / "preferably.db") as store:
                judged, _ = stages.collect(recipe, seed, load(sft), store, lambda done: None)
            pairs = views.pairs(judged)
            world = World(recipe, seed, base, sft, pairs)
            for number, failure in enumerate(FAILURES):
                planted.append(try_out(failure, world, folder / f"planted{number}"))
                print(f"{failure.name}: {[w['code'] for w in planted[-1]['raised']]}", flush=True)
    checks = {
        f"shuffled labels win {LOW} to {HIGH} on every seed": all(LOW <= row["win_rate"] <= HIGH for row in by_seed),
        "every planted failure raises its own warning": all(row["passed"] for row in planted[1:]),
        "the run as it is raises none": planted[0]["passed"],
        "no single feature is a shortcut": fair["no_shortcut"],
        "degenerate policies never pay": fair["degenerate_never_pays"],
        "base is not ready, SFT is": all(not v["base"]["ready"] and v["sft"]["ready"] for v in readiness.values()),
    }
    settings = {"smoke": options.smoke, "seeds": seeds, "recipe": asdict(recipe)}
    write_result("quickstart_controls", environment, settings, {
        "checks": checks, "shuffled": by_seed, "planted": planted, "fair": fair, "readiness": readiness,
        "seconds": round(time.perf_counter() - began, 1),
    })  # fmt: skip
    report(by_seed, planted, fair, checks)
    if not all(checks.values()) and not options.smoke:
        raise SystemExit(1)


def report(
    by_seed: list[dict[str, Any]], planted: list[dict[str, Any]], fair: dict[str, Any], checks: dict[str, bool]
) -> None:
    print("\n" + table([{key: row[key] for key in ("seed", "win_rate", "n", "pairs")} for row in by_seed]))
    rows = [
        {
            "planted": row["failure"],
            "raised": " ".join(w["code"] for w in row["raised"]) or "-",
            "passed": row["passed"],
        }
        for row in planted
    ]
    print("\n" + table(rows))
    print("\n" + table([{"replies": which} | row for which, row in fair["by_correctness"].items()]))
    print("\n" + table([{"feature": name, "agreement": value} for name, value in fair["feature_agreement"].items()]))
    print("\n" + table([{"policy": name} | row for name, row in fair["degenerate_policies"].items()]))
    for what, held in checks.items():
        print(f"  {'yes' if held else 'NO '}  {what}")


if __name__ == "__main__":
    main()
