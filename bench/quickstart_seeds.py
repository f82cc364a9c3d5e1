"""The quickstart's headline over several seeds, each in a fresh process, one after another.

Goals for the published seeds 0 to 4 (the recipe was tuned on others): every win rate at T = 0.7 at least 0.75, the
lower bound of its interval at least 0.72, their mean at least 0.80, correctness never down by more than two points from
SFT to DPO, and each seed done within 300 seconds on two cores.

    python bench/quickstart_seeds.py                    about 25 minutes on two cores
    python bench/quickstart_seeds.py --seeds 0 1 2
    python bench/quickstart_seeds.py --smoke            a minute or two, a tiny recipe, proves nothing
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from support.children import run_child
from support.machine import facts, matmul_rates, peak_rss_gb, table, write_result
from support.quickstart import TINY, Quiet

EACH, LOWER, MEAN, FALL, SECONDS = 0.75, 0.72, 0.80, 0.02, 300.0


def one_seed(job: dict[str, Any], result: Path) -> None:
    """In the child: the whole quickstart, then what its results.json holds."""
    from preferably.quickstart.recipe import Recipe
    from preferably.quickstart.run import quickstart

    recipe = replace(Recipe(), **TINY) if job["smoke"] else Recipe()
    with TemporaryDirectory() as folder:
        quickstart(Path(folder) / "run", seed=job["seed"], watcher=Quiet(), recipe=recipe)
        values = json.loads((Path(folder) / "run" / "results.json").read_text(encoding="utf-8"))
        values["exactly_right"] = exactly_right(Path(folder) / "run" / "dpo" / "samples.jsonl")
    result.write_text(json.dumps(values | {"peak_rss_gb": peak_rss_gb()}), encoding="utf-8")


def exactly_right(samples: Path) -> dict[str, float]:
    """The share of replies that are right without any reserve, in the samples that a run keeps (one a prompt)."""
    from preferably.quickstart.stages import correctness

    lines = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    prompts = [line["prompt"] for line in lines]
    sides = {side: correctness(prompts, [line[side] for line in lines]) for side in ("model", "against")}
    return {side: fmean(value == 1.0 for value in values) for side, values in sides.items()} | {"n": len(lines)}


def summary(values: dict[str, Any]) -> dict[str, Any]:
    """The figures of one seed: DPO (`model`) beside its SFT start (`against`)."""
    headline, axes, decodings = values["dpo"], values["axes"], values["decodings"]
    correct = axes["correctness"]
    return {
        "seed": values["seed"],
        "win_rate": headline["win_rate"],
        "interval": headline["interval"],
        "n": headline["n"],
        "win_rate_phrasing": headline.get("win_rate_phrasing"),
        "win_rate_combination": headline.get("win_rate_combination"),
        "correct_before": correct["against"],  # the mean of the axis; a needless "not sure" earns 0.2
        "correct_after": correct["model"],
        "exactly_right": values["exactly_right"],
        "at_temperature_1": decodings["1"]["win_rate"],
        "greedy": decodings["0"]["win_rate"],
        "kl": headline["kl"]["mean"] if headline["kl"] else None,
        "malformed_words": axes["malformed_words"],
        "words": axes["words"],
        "axes": axes,
        "labels": values["labels"],
        "readiness": values.get("readiness"),
        "warnings": values["warnings"],
        "seconds": values["seconds"],
        "process_seconds": values["process_seconds"],
        "peak_rss_gb": values["peak_rss_gb"],
    }


def goals(rows: list[dict[str, Any]]) -> dict[str, bool]:
    wins = [row["win_rate"] for row in rows]
    falls = [row["correct_before"] - row["correct_after"] for row in rows]
    return {
        f"every win rate >= {EACH}": min(wins) >= EACH,
        f"every lower bound >= {LOWER}": min(row["interval"][0] for row in rows) >= LOWER,
        f"mean win rate >= {MEAN}": fmean(wins) >= MEAN,
        f"correctness falls by at most {FALL}": max(falls) <= FALL,
        f"every seed within {SECONDS:.0f} s": max(row["process_seconds"] for row in rows) < SECONDS,
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--smoke", action="store_true", help="a tiny recipe, one seed")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.child:
        one_seed(json.loads(options.child), options.result)
        return
    from preferably.quickstart.recipe import Recipe

    environment = facts() | {"matmul_gflops": matmul_rates()}
    seeds = options.seeds[:1] if options.smoke else options.seeds
    rows, failed = [], {}
    for seed in seeds:
        values = run_child(__file__, {"seed": seed, "smoke": options.smoke})
        if "failed" in values:
            failed[str(seed)] = values["failed"]
            continue
        rows.append(summary(values))
        row = rows[-1]
        print(f"seed {seed}: {row['win_rate']:.3f} {row['interval']}, {row['process_seconds']} s", flush=True)
    if not rows:
        raise SystemExit("every seed failed")
    wins = [row["win_rate"] for row in rows]
    checks = {"no seed failed": not failed} | goals(rows)
    settings = {"smoke": options.smoke, "seeds": seeds, "recipe": asdict(Recipe())}
    write_result("quickstart", environment, settings, {
        "best": max(wins), "worst": min(wins), "mean": fmean(wins), "goals": checks, "seeds": rows, "failed": failed,
    })  # fmt: skip
    shown = (
        "seed", "win_rate", "at_temperature_1", "greedy", "kl", "correct_before", "correct_after", "process_seconds",
        "peak_rss_gb",
    )  # fmt: skip
    print("\n" + table([{key: row[key] for key in shown} for row in rows]))
    print(f"best {max(wins):.3f}  worst {min(wins):.3f}  mean {fmean(wins):.3f}")
    for what, held in checks.items():
        print(f"  {'yes' if held else 'NO '}  {what}")
    if not all(checks.values()) and not options.smoke:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
