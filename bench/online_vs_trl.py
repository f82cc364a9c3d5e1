"""GRPO and RLOO beside TRL's trainers: the same openings, rollouts, steps and reward; what is reached, and how fast.

The reward is the number of quotation marks in a continuation by models/stories260K, so nothing but the trainers
differs. Both draw as many completions as the other in every step, with the same settings where both have them; neither
pays for a completion without an end. Each run is a process of its own; the clock runs from the loading of the model to
the end of training, ours with its report. The difference of what is reached, and of the KL, is over seeds.

    python bench/online_vs_trl.py                  about twenty minutes on two cores, alone
    python bench/online_vs_trl.py --methods rloo   takes the rows of other methods over from the stored file
    python bench/online_vs_trl.py --smoke          two minutes, three steps
"""

import json
import time
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from support.children import parser_of, run_child
from support.machine import REAL, RESULTS, facts, peak_rss_gb, table, write_result

METHODS, SIDES, SEEDS = ("grpo", "rloo"), ("ours", "trl"), (0, 1, 2, 3, 4)
STEPS, PROMPTS, SAMPLES, TOKENS, RATE = 60, 16, 4, 64, 1e-4
# At 0.05 RLOO, whose rewards are not divided by their spread, goes to 150 nats, where two seeds of one trainer lie 27
# marks apart.
KL = {"grpo": 0.05, "rloo": 0.2}
UNSEEN = 300


def in_child(job: dict[str, Any], result: Path) -> None:
    """Train one side, then look at what it writes to openings that training never saw."""
    from preferably.evaluation.compare import answers
    from preferably.feedback.records import Group, Message
    from preferably.models.loading import load
    from preferably.models.sampler import Decoding
    from preferably.training.measure import kl_of_samples
    from support.stories import MODEL, openings, rule

    start = load(str(MODEL), device="cpu", dtype="float32")
    train_on, unseen = openings(start.tokenizer, 24 if job["smoke"] else UNSEEN, 0)
    texts = [[start.tokenizer.decode(ids, skip_special_tokens=True) for ids in part] for part in (train_on, unseen)]
    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        side = ours if job["side"] == "ours" else trls
        model = side(job, texts[0][: job["steps"] * PROMPTS], str(MODEL), Path(folder))
        seconds = time.perf_counter() - began
    prompts = [Group((Message("text", text),)) for text in texts[1]]
    drawn = answers(model, prompts, Decoding(1.0, max_tokens=TOKENS), samples=2, seed=1)
    rewards = [fmean(rule([], [one.text for one in several])) for several in drawn]
    kl = kl_of_samples(model.policy, start.policy, unseen, drawn)
    told = {"seconds": round(seconds, 2), "rewards": rewards, "kl": fmean(kl), "peak_rss_gb": peak_rss_gb()}
    result.write_text(json.dumps(told), encoding="utf-8")


def ours(job: dict[str, Any], prompts: list[str], model: str, folder: Path) -> Any:
    import preferably
    from preferably.feedback.records import Group, Message

    where = {"kl_in": "loss", "kl_estimator": "k3"} if job["method"] == "grpo" else {}
    rule = f"{Path(__file__).parent / 'support' / 'stories.py'}:rule"
    run = preferably.train(
        job["method"], model=model, data=[Group((Message("text", text),)) for text in prompts], output=folder / "run",
        reward=(rule,), max_steps=job["steps"], batch_size=PROMPTS, samples_per_prompt=SAMPLES, sample_tokens=TOKENS,
        learning_rate=RATE, kl_coef=KL[job["method"]], schedule="linear", warmup=0, held_out=0, missing_eos_penalty=0.0,
        seed=job["seed"], device="cpu", dtype="float32", **where,
    )  # fmt: skip
    return run.loaded


def trls(job: dict[str, Any], prompts: list[str], model: str, folder: Path) -> Any:
    import datasets
    import torch
    import trl
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from preferably.models.loading import load
    from support.stories import rule

    def reward(prompts: list[str], completions: list[str], **more: Any) -> list[float | None]:
        return rule(prompts, completions)

    common: dict[str, Any] = {
        "output_dir": str(folder / "trl"), "max_steps": job["steps"], "per_device_train_batch_size": PROMPTS * SAMPLES,
        "num_generations": SAMPLES, "max_completion_length": TOKENS, "learning_rate": RATE, "beta": KL[job["method"]],
        "lr_scheduler_type": "linear", "warmup_steps": 0, "max_grad_norm": 1.0, "weight_decay": 0.0, "bf16": False,
        "gradient_checkpointing": False, "report_to": [], "use_cpu": True, "disable_tqdm": True, "save_strategy": "no",
        "logging_steps": 10**6, "disable_dropout": True, "seed": job["seed"], "temperature": 1.0,
    }  # fmt: skip
    if job["method"] == "grpo":
        arguments = trl.GRPOConfig(**common, loss_type="grpo", scale_rewards="group", num_iterations=1)
        trainer_of = trl.GRPOTrainer
    else:
        arguments = trl.RLOOConfig(**common, num_iterations=1)
        trainer_of = trl.RLOOTrainer
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    trainer = trainer_of(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), reward_funcs=reward, args=arguments,
        train_dataset=datasets.Dataset.from_list([{"prompt": text} for text in prompts]), processing_class=tokenizer,
    )  # fmt: skip
    trainer.train()
    trainer.save_model(str(folder / "model"))
    return load(str(folder / "model"), device="cpu", dtype="float32")


def compare(method: str, found: dict[tuple[str, int], dict[str, Any]], seeds: tuple[int, ...]) -> dict[str, Any]:
    from preferably.statistics.intervals import mean_interval

    row: dict[str, Any] = {"method": method}
    for side in SIDES:
        runs = [found[side, seed] for seed in seeds]
        row[side] = {name: fmean(run[name] for run in runs) for name in ("seconds", "kl", "peak_rss_gb")}
        row[side]["rewards"] = [fmean(run["rewards"]) for run in runs]
    for what, of in (("difference", lambda run: fmean(run["rewards"])), ("kl_difference", lambda run: run["kl"])):
        by_seed = [of(found["ours", seed]) - of(found["trl", seed]) for seed in seeds]
        interval = mean_interval(by_seed)
        span = None if interval is None else [interval.low, interval.high]
        row[what] = {"value": fmean(by_seed), "interval": span, "by_seed": by_seed}
    return row | {"seconds_ratio": row["trl"]["seconds"] / row["ours"]["seconds"]}


def main() -> None:
    parser = parser_of(__doc__, "one seed, three steps")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    options = parser.parse_args()
    if options.child:
        in_child(options.child, options.result)
        return
    if not REAL.is_dir():
        return print(f"not measured: {REAL} is not there, and this benchmark needs its model and text")
    environment, seeds = facts(), SEEDS[:1] if options.smoke else SEEDS
    rows = []
    for method in METHODS:
        if method not in options.methods:
            stored = json.loads((RESULTS / "online_vs_trl.json").read_text(encoding="utf-8"))
            rows += [row for row in stored["rows"] if row["method"] == method]
            continue
        found: dict[tuple[str, int], dict[str, Any]] = {}
        for seed in seeds:
            for side in SIDES:
                job = {"method": method, "side": side, "seed": seed, "smoke": options.smoke}
                done = run_child(__file__, job | {"steps": 3 if options.smoke else STEPS})
                if "failed" in done:
                    raise SystemExit(1)
                found[side, seed] = done
        rows.append(compare(method, found, seeds) | {"commit": environment["commit"], "kl_coef": KL[method]})
        shown = [
            {"method": row["method"], "seconds ratio": row["seconds_ratio"], "difference": row["difference"]["value"]}
            | {f"{side} reward": fmean(row[side]["rewards"]) for side in SIDES}
            | {f"{side} kl": row[side]["kl"] for side in SIDES}
            for row in rows
        ]  # fmt: skip
        print("\n" + table(shown), flush=True)
    settings = {
        "smoke": options.smoke, "seeds": seeds, "steps": STEPS, "prompts": PROMPTS, "samples": SAMPLES,
        "tokens": TOKENS, "learning_rate": RATE, "kl_coef": KL,
    }  # fmt: skip
    spans = [row["difference"]["interval"] for row in rows]
    alike = all(span is not None and span[0] <= 0 <= span[1] for span in spans)
    write_result(
        "online_vs_trl", environment, settings, {"goals": {"the same reward within noise": alike}, "rows": rows}
    )


if __name__ == "__main__":
    main()
