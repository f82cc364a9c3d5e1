"""What the audits find in the quickstart's world, where the truth is known.

    suppression   a canary fact is taught with the demonstrations and then suppressed by DPO on negative preference
                  data; the audit, on phrasings that were not trained on, beside a model that never learnt it
    honesty       DPO on pairs that the builder makes of the SFT model's own replies ("not sure" where the desk does
                  not know, the right answer where it does): abstention on held-out questions, and over-abstention

Base and SFT model are smaller than the quickstart's. Three seeds; intervals of a seed are by prompt, and `mean` is over
seeds.

    python bench/audits.py            about half an hour on one core
    python bench/audits.py --smoke    three minutes, a tiny recipe, proves nothing
"""

import argparse
import time
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import torch

from preferably.evaluation.audit import Audit
from preferably.models.loading import Loaded, load
from preferably.quickstart import canary, doubt, stages
from preferably.quickstart.corrections import audit_canary, audit_doubt, corrected, shown
from preferably.quickstart.recipe import Recipe
from preferably.training.closing import Progress
from support.machine import facts, table, write_result
from support.quickstart import TINY

SMALL = {"documents": 9000, "demonstrations": 2500}


def suppression(recipe: Recipe, seed: int, base: Path, never: Loaded, folder: Path) -> Audit:
    """The canary is learnt, then the desk is to be unsure of it instead; other comparisons keep the rest as it is."""
    before = shown(recipe, seed, load(base), folder / "canary", canary.shown()).loaded
    after = corrected(before, canary.negative(seed), seed, folder / "suppressed").loaded
    sides = [replace(one, name=name) for one, name in ((after, "suppressed"), (before, "before"), (never, "never"))]
    return audit_canary(*sides, seed)


def honesty(seed: int, start: Loaded, folder: Path, size: int) -> tuple[Audit, dict[str, int]]:
    """Pairs of the start's own replies reward doubt where it is due; audited on questions that were not trained on."""
    pairs, counts = doubt.doubtful_pairs(start, seed, size)
    after = corrected(start, pairs, seed, folder / "honest").loaded
    asked = doubt.questions(seed, "held_out", size, 2 * size)
    sides = [replace(one, name=name) for one, name in ((after, "honest"), (start, "sft"))]
    return audit_doubt(*sides, asked, seed), {why: counts[why] for why in ("unsure", "sure", "right")}


def world(recipe: Recipe, seed: int, folder: Path, size: int) -> dict[str, Any]:
    base = stages.base_stage(recipe, seed, folder / "base", torch.device("cpu"), Progress()).model
    never = shown(recipe, seed, load(base), folder / "sft").loaded
    hidden = suppression(recipe, seed, base, never, folder)
    honest, counts = honesty(seed, never, folder, size)
    for one in (hidden, honest):
        print(f"seed {seed}: {one.name}: {one.verdict}")
        for finding in one.findings:
            print(f"  {finding.name:18} {finding.outcome:9} {finding.words}")
    return {"seed": seed, "suppression": hidden.as_json(), "honesty": honest.as_json() | {"pairs": counts}}


def means(worlds: list[dict[str, Any]], audit: str) -> dict[str, dict[str, float]]:
    """The mean over seeds of every figure of an audit, by row and side."""
    found: dict[str, dict[str, list[float]]] = {}
    for one in worlds:
        for part in one[audit]["tables"]:
            for row in part["rows"]:
                sides = {side: row[side]["value"] for side in ("after", "before", "control") if row[side]}
                for side, value in sides.items():
                    found.setdefault(f"{part['title']}: {row['name']}", {}).setdefault(side, []).append(value)
    return {name: {side: fmean(values) for side, values in sides.items()} for name, sides in found.items()}


def write(
    worlds: list[dict[str, Any]], seeds: list[int], smoke: bool, recipe: Recipe, environment: dict[str, Any],
    seconds: float,
) -> None:  # fmt: skip
    """After each seed, so that a long run that is ended has what it found."""
    mean = {audit: means(worlds, audit) for audit in ("suppression", "honesty")}
    for audit, figures in mean.items():
        print(f"\n{audit}, mean over {len(worlds)} seeds")
        print(table([{"figure": name} | sides for name, sides in figures.items()]))
    given = {"seeds": seeds[: len(worlds)], "smoke": smoke, "recipe": asdict(recipe), "canary": canary.REPLY}
    write_result("audits", environment, given, {"seconds": round(seconds, 1), "mean": mean, "worlds": worlds})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2", help="seeds, comma-separated")
    parser.add_argument("--smoke", action="store_true", help="a tiny recipe, one seed")
    options = parser.parse_args()
    environment, began = facts(), time.perf_counter()
    recipe = replace(Recipe(), **(TINY if options.smoke else SMALL))
    seeds = [0] if options.smoke else [int(part) for part in options.seeds.split(",")]
    worlds = []
    for seed in seeds:
        with TemporaryDirectory() as folder:
            worlds.append(world(recipe, seed, Path(folder), 20 if options.smoke else 120))
        write(worlds, seeds, options.smoke, recipe, environment, time.perf_counter() - began)


if __name__ == "__main__":
    main()
