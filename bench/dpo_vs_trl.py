"""DPO by Preferably beside TRL's DPOTrainer: the same model, pairs, pairs per step, precision of weights and optimizer.

Three contenders on a Llama of 135 million random weights, full fine-tuning on this machine's processor, each alone in a
process of its own:

    ours         the training run itself, two epochs: the reference is computed live in the first, cached in the second
    TRL default  DPOConfig as it comes: batch 8, gradient checkpointing, bf16, a live reference
    TRL best     the fastest of batch 1, 2, 4, 8 x bf16, fp32, with gradient checkpointing off, reference log-probs
                 precomputed and pairs of like length put together inside a step

`ours, live` is held against TRL's default and `ours, cached` against TRL's best. Step k holds the same pairs for all,
so a ratio is the median over steps of (TRL's seconds / our seconds); TRL's pre-pass over the data is not in it and is
shown apart. Rates are over the timed steps together. Not swept: other allocators and huge pages (alike for both).

    python bench/dpo_vs_trl.py            an hour or more on two cores; nothing else may run beside it
    python bench/dpo_vs_trl.py --device cuda    five minutes on one GPU: 64 pairs a step, a Llama of 0.5 billion weights
    python bench/dpo_vs_trl.py --smoke    a minute, a tiny shape, proves nothing
"""

import argparse
import math
from dataclasses import asdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from support.children import parser_of, run_child
from support.contenders import child, in_our_order
from support.machine import facts, matmul_rates, table, write_result
from support.pairs import WORKLOADS, Shape, build_model, draw_pairs, padded_share

TUNED = {"checkpointing": False, "precompute": True, "sort": True}  # of TRL best, whatever batch and precision
LN2, TOLERANCE = math.log(2), 2e-3
LARGER = Shape(layers=24, hidden=896, intermediate=4864, heads=14, kv_heads=2, words=151936)  # Qwen2.5-0.5B's
TINY = Shape(layers=2, hidden=64, intermediate=96, heads=4, kv_heads=2, words=512)


def arguments() -> argparse.Namespace:
    parser = parser_of(__doc__, "a tiny shape and three steps")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of the contenders")
    parser.add_argument("--warmup", type=int, default=1, help="steps before them")
    parser.add_argument("--sweep-steps", type=int, default=2, help="timed steps of each setting in the sweep")
    parser.add_argument("--batches", type=int, nargs="+", help="TRL's batches in the sweep; on a GPU 8, 16 and 32")
    parser.add_argument("--workloads", nargs="+", default=["ultrafeedback-like", "hh-like"], choices=sorted(WORKLOADS))
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--pairs", type=int, help="pairs a step, for everybody: 8, on a GPU 64")
    options = parser.parse_args()
    options.pairs = options.pairs or (64 if options.device == "cuda" else 8)
    options.batches = options.batches or ([8, 16, 32] if options.device == "cuda" else [1, 2, 4, 8])
    return options


def measured(values: dict[str, Any], first: int, count: int, pairs: list[dict[str, str]]) -> dict[str, Any]:
    """`values` with rates over `count` steps from step `first` (0-based); `pairs` are those of these steps."""
    seconds = values["step_seconds"][first : first + count]
    tokens = sum(len(pair[side].split()) + 1 for pair in pairs for side in ("chosen", "rejected"))
    return {
        "timed_seconds": seconds,
        "median_step_seconds": median(seconds),
        "pairs_per_second": len(pairs) / sum(seconds),
        "completion_tokens_per_second": tokens / sum(seconds),
        "peak_rss_gb": values["peak_rss_gb"],
        "peak_rss_before_training_gb": values["peak_rss_before_training_gb"],
        "first_loss": values["first_loss"],
        "first_loss_is_ln2": abs(values["first_loss"] - LN2) <= TOLERANCE,
    }


def sweep(
    job: dict[str, Any], options: argparse.Namespace
) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    """Every setting for a few steps, the fastest one, and what it said."""
    rows, said = [], []
    for bf16 in (True, False) if options.device == "cpu" else (True,):
        for batch in options.batches:
            setting = {"batch": batch, "bf16": bf16}
            steps = options.warmup + options.sweep_steps
            got = run_child(__file__, job | setting | TUNED | {"steps": steps})
            seconds = None if "failed" in got else median(got["step_seconds"][options.warmup :])
            rows.append(setting | {"median_step_seconds": seconds, "failed": got.get("failed")})
            said.append(got)
            print(f"  sweep {setting}: {seconds} s a step", flush=True)
    run = [at for at, row in enumerate(rows) if row["median_step_seconds"]]
    best = min(run, key=lambda at: rows[at]["median_step_seconds"])
    return rows, rows[best], said[best]


def compare(name: str, model: str, words: int, options: argparse.Namespace) -> dict[str, Any]:
    """All contenders on one workload."""
    steps = options.warmup + options.steps
    pairs = draw_pairs(WORKLOADS[name], steps * options.pairs, words)
    timed = slice(options.warmup * options.pairs, steps * options.pairs)
    live_pairs, cached_pairs = (
        in_our_order(pairs, epoch, sort, options.pairs)[timed] for epoch, sort in ((0, False), (1, True))
    )
    about = {"device": options.device, "pairs": options.pairs}
    job = about | {"workload": name, "model": model, "words": words, "total": steps}
    ours = run_child(__file__, job | {"contender": "ours"})
    print(f"{name}: ours {ours.get('step_seconds')}", flush=True)
    trl = job | {"contender": "trl", "steps": steps, "batch": 8, "bf16": True}
    default = run_child(__file__, trl | {"checkpointing": True, "precompute": False, "sort": False})
    print(f"{name}: TRL default {default.get('step_seconds')}", flush=True)
    tried, best, fastest = sweep(trl, options)
    chosen = {"batch": best["batch"], "bf16": best["bf16"]} | TUNED
    if options.sweep_steps != options.steps:
        fastest = run_child(__file__, trl | chosen)
    print(f"{name}: TRL best {best} {fastest.get('step_seconds')}", flush=True)
    if any("failed" in one for one in (ours, default, fastest)):
        return {"failed": [one.get("failed") for one in (ours, default, fastest)]}
    contenders = {
        "ours, live": measured(ours, options.warmup, options.steps, live_pairs),
        "ours, cached": measured(ours, steps + options.warmup, options.steps, cached_pairs),
        "TRL default": measured(default, options.warmup, options.steps, live_pairs),
        "TRL best": measured(fastest, options.warmup, options.steps, cached_pairs),
    }
    before = fastest["precompute_seconds"] / fastest["precompute_pairs"]
    return {
        "workload": asdict(WORKLOADS[name]),
        "contenders": contenders,
        "same_tokens": ours["tokens"] == default["tokens"] == fastest["tokens"],
        "trl_best_setting": chosen,
        "trl_best_precompute_seconds_per_pair": before,
        "sweep": tried,
        "tokens_in_padded_batch": {
            str(b): padded_share(in_our_order(pairs, 0, False, options.pairs), b) for b in (1, 8)
        },
        "ratios": ratios(contenders, before),
        "ours": {key: ours[key] for key in ("compute", "packed", "threads", "losses")},
        "trl": {key: default[key] for key in ("weights", "optimizer", "threads")},
    }


def ratios(contenders: dict[str, Any], precompute: float) -> dict[str, float]:
    """How many times faster we are, step by step on the same pairs."""

    def over(ours: str, theirs: str) -> float:
        both = zip(contenders[ours]["timed_seconds"], contenders[theirs]["timed_seconds"], strict=True)
        return median(b / a for a, b in both)

    def memory(who: str) -> float:
        return contenders[who]["peak_rss_gb"]

    one_epoch = precompute + 1 / contenders["TRL best"]["pairs_per_second"]
    return {
        "ours live / TRL default": over("ours, live", "TRL default"),
        "ours cached / TRL best": over("ours, cached", "TRL best"),
        "ours live / TRL best with its pre-pass, one epoch": one_epoch * contenders["ours, live"]["pairs_per_second"],
        "memory, TRL default / ours": memory("TRL default") / memory("ours, live"),
        "memory, TRL best / ours": memory("TRL best") / memory("ours, cached"),
    }


def main() -> None:
    options = arguments()
    if options.child:
        child(options.child, options.result)
        return
    if options.smoke:
        options.steps, options.workloads, options.batches = 2, ["smoke"], [1, 8]
    shape = TINY if options.smoke else LARGER if options.device == "cuda" else Shape()
    environment = facts() | {"matmul_gflops": matmul_rates()}
    with TemporaryDirectory() as folder:
        model = build_model(Path(folder), shape)
        results = {name: compare(name, folder, shape.words, options) for name in options.workloads}
    environment["matmul_gflops_after"] = matmul_rates()
    given = {key: value for key, value in vars(options).items() if key not in ("child", "result")}
    name = "dpo_vs_trl" if options.device == "cpu" else "dpo_vs_trl_gpu"
    write_result(name, environment, given | {"pairs_per_step": options.pairs, "model": model}, {"workloads": results})
    for name, result in results.items():
        if "failed" in result:
            raise SystemExit(f"{name}: a contender failed")
        shown = ("median_step_seconds", "pairs_per_second", "completion_tokens_per_second", "peak_rss_gb", "first_loss")
        rows = [{"": who} | {key: row[key] for key in shown} for who, row in result["contenders"].items()]
        print(f"\n{name} (TRL best: {result['trl_best_setting']})\n{table(rows)}")
        for what, ratio in result["ratios"].items():
            print(f"  {what}: {ratio:.2f}")
        exact = all(row["first_loss_is_ln2"] for row in result["contenders"].values())
        print(f"  first loss is ln 2 within {TOLERANCE} for all: {exact}; same tokens: {result['same_tokens']}")


if __name__ == "__main__":
    main()
