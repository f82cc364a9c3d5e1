"""What `preferably train --dry-run` says of memory and time beside what the run then takes.

Llamas of 5, 19 and 52 million random weights, SFT and DPO, all weights and adapters, small and large micro-batches. The
plan and the run are each alone in a process of their own. Memory is the largest resident set of the process; seconds
are those of the library's `train`, from the call to the report.

    python bench/estimate.py            20 to 30 minutes on one thread; nothing else may run beside it
    python bench/estimate.py --smoke    a minute, proves nothing
    python bench/estimate.py --only 2   one job
"""

import argparse
import json
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from support.children import parser_of, run_child
from support.machine import facts, peak_rss_gb, table, write_result
from support.pairs import Shape, Workload, build_model, draw_pairs

SHAPES = {
    "5M": Shape(layers=4, hidden=256, intermediate=704, heads=4, kv_heads=2, words=8192),
    "19M": Shape(layers=8, hidden=384, intermediate=1024, heads=6, kv_heads=2, words=16384),
    "52M": Shape(layers=12, hidden=512, intermediate=1408, heads=8, kv_heads=4, words=32768),
    "smoke": Shape(layers=2, hidden=64, intermediate=96, heads=4, kv_heads=2, words=512),
}
CHAT = Workload("chat", 130, 100, 0.9, 0.7)
# shape, method, adapters, tokens in a micro-batch, steps of 16 groups
JOBS = [
    ("5M", "sft", False, 2048, 24), ("5M", "dpo", False, 8192, 12), ("5M", "dpo", True, 1024, 12),
    ("19M", "sft", False, 8192, 12), ("19M", "dpo", False, 2048, 8), ("19M", "dpo", True, 8192, 8),
    ("52M", "sft", False, 1024, 8), ("52M", "dpo", False, 4096, 5), ("52M", "dpo", True, 4096, 5),
    ("52M", "sft", True, 8192, 6),
]  # fmt: skip
WANTED = {"memory": (0.85, 1.25), "seconds": (1 / 1.5, 1.5)}  # estimated / measured


def arguments() -> argparse.Namespace:
    parser = parser_of(__doc__, "a tiny shape and few steps")
    parser.add_argument("--only", type=int, nargs="+", help="numbers of jobs, from 0; nothing is written")
    return parser.parse_args()


def child(job: dict[str, Any], result: Path) -> None:
    """Plan the run, or do it."""
    import preferably

    options = {key: job[key] for key in ("model", "data", "output", "lora", "tokens_per_microbatch", "max_steps")}
    options |= {"batch_size": 16, "sample_prompts": 32, "sample_tokens": 64, "max_length": 1024, "device": "cpu"}
    if job["what"] == "plan":
        plan = preferably.plan(job["method"], **options)
        if isinstance(plan.estimate, str) or plan.seconds is None:
            raise SystemExit(f"no estimate: {plan}")
        memory = plan.estimate.memory
        values = {
            "peak_gb": memory.peak / 1e9, "phase": memory.phase, "parts": memory.parts, "phases": memory.phases,
            "seconds": sum(plan.seconds.values()), "seconds_by_part": plan.seconds, "probe_seconds": plan.probe,
        }  # fmt: skip
    else:
        from preferably.training.closing import Progress

        held: list[float] = []
        began = time.perf_counter()
        preferably.train(
            job["method"], progress=Progress(step=lambda step, metrics: held.append(peak_rss_gb())), **options
        )
        spent = time.perf_counter() - began
        values = {"peak_gb": peak_rss_gb(), "peak_gb_by_step": held, "seconds": spent}
    result.write_text(json.dumps(values), encoding="utf-8")


def measured(number: int, job: tuple[str, str, bool, int, int], folder: Path) -> dict[str, Any]:
    """Estimated and measured, of one job."""
    shape, method, lora, tokens, steps = job
    model = folder / shape
    if not model.exists():
        build_model(model, SHAPES[shape])
    data = folder / f"{number}.jsonl"
    pairs = draw_pairs(CHAT, steps * 16 + 32, SHAPES[shape].words)
    rows = pairs if method != "sft" else [{"prompt": row["prompt"], "completion": row["chosen"]} for row in pairs]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    asked = {
        "method": method, "model": str(model), "data": str(data), "output": str(folder / f"run{number}"), "lora": lora,
        "tokens_per_microbatch": tokens, "max_steps": steps,
    }  # fmt: skip
    said = run_child(__file__, asked | {"what": "plan"})
    if os.path.exists(asked["output"]):
        raise SystemExit("the plan has left something on disk")
    done = run_child(__file__, asked | {"what": "run"})
    if "failed" in said or "failed" in done:
        raise SystemExit(f"job {number} failed")
    return {
        "shape": shape, "method": method, "lora": lora, "tokens_per_microbatch": tokens, "steps": steps,
        "memory": said["peak_gb"] / done["peak_gb"], "seconds": said["seconds"] / done["seconds"],
        "estimated": said, "measured": done,
    }  # fmt: skip


def main() -> None:
    options = arguments()
    if options.child:
        child(options.child, options.result)
        return
    jobs = [("smoke", "dpo", lora, 512, 3) for lora in (False, True)] if options.smoke else JOBS
    chosen = options.only if options.only is not None else range(len(jobs))
    with TemporaryDirectory() as folder:
        results = []
        for number in chosen:
            results.append(measured(number, jobs[number], Path(folder)))
            print(_line(results[-1]), flush=True)
            if options.only is not None:
                print(json.dumps(results[-1], indent=1))
    spread = {name: [min(row[name] for row in results), max(row[name] for row in results)] for name in WANTED}
    print(table([_line(row) for row in results]))
    print("estimated / measured:", {name: [round(value, 2) for value in span] for name, span in spread.items()})
    if options.only is None:
        settings = {"smoke": options.smoke, "wanted": WANTED}
        write_result("estimate", facts(), settings, {"estimated_over_measured": spread, "jobs": results})
    for name, (low, high) in WANTED.items():
        if not options.smoke and not low <= spread[name][0] <= spread[name][1] <= high:
            raise SystemExit(f"{name}: {spread[name]} is not within {low:.2f} to {high:.2f}")


def _line(row: dict[str, Any]) -> dict[str, Any]:
    said, done = row["estimated"], row["measured"]
    return {
        "shape": row["shape"], "method": row["method"], "lora": row["lora"], "tokens": row["tokens_per_microbatch"],
        "phase": said["phase"], "est. GB": said["peak_gb"], "GB": done["peak_gb"], "ratio": row["memory"],
        "est. s": said["seconds"], "s": done["seconds"], "s ratio": row["seconds"],
    }  # fmt: skip


if __name__ == "__main__":
    main()
