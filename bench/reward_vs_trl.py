"""Reward models on real comparisons, beside TRL's RewardTrainer: the same tokens, split, start, steps and arithmetic.

    rasbt    1,100 pairs of instruction data on models/stories260K
    hh       the rows of both HH-RLHF test files that fit the 256 characters of models/babyllama361

Every side is trained in a process of its own, from the same head, for 1 and 2 epochs (ours also for 4), on several
splits by prompt; pairs that are held out are scored by one and the same code. What is shown:

    equal epochs       the difference of accuracy, which should be noise
    equal wall time    at the time that TRL takes for so many epochs, the most epochs that ours had done by then

The clock runs from the loading of the model to the end of training, imports apart. Both compute in float32 without
gradient checkpointing, which is quicker than TRL's defaults on a processor.

    python bench/reward_vs_trl.py            about twenty minutes on two cores, alone
    python bench/reward_vs_trl.py --smoke    two minutes, one split, a few pairs
"""

import json
import time
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from support.children import parser_of, run_child
from support.machine import REAL, facts, peak_rss_gb, table, write_result

HH = ("data/hh-rlhf/helpful-base-test.jsonl.gz", "data/hh-rlhf/harmless-base-test.jsonl.gz")
SETS = {
    "rasbt": ("models/stories260K", ("data/rasbt/instruction-data-with-preference.json",)),
    "hh": ("models/babyllama361", HH),
}
EPOCHS = {"ours": (1, 2, 4), "trl": (1, 2)}  # 4 of ours for what fits into the time of 2
SPLITS = (0, 1, 2)
BATCH, RATE, DECAY = 16, 3e-4, 0.01
TEST = 0.3  # of the pairs, by prompt


def tokens_of(job: dict[str, Any], tokenizer: Any, context: int) -> tuple[list[Any], list[Any]]:
    """Token groups to train on and to test on."""
    from dataclasses import replace

    from preferably.data.load import load_feedback
    from preferably.data.splits import split_by_prompt
    from preferably.data.tokens import encode

    files = [REAL / name for name in SETS[job["set"]][1]]
    records = load_feedback(files, "pairs", max_rejected=1.0).groups
    found = encode(records, tokenizer, max_length=context).groups
    split = split_by_prompt([records[group.row] for group in found], TEST, job["split"])
    ranked = [replace(group, ranks=((1, 2),)) for group in found]
    train, test = [ranked[at] for at in split.train], [ranked[at] for at in split.held_out]
    return (train[:32], test[:32]) if job["smoke"] else (train, test)


def in_child(job: dict[str, Any], result: Path) -> None:
    """Train one side and score the pairs that are held out."""
    import torch
    from transformers import AutoTokenizer

    from preferably.judging.reward import score_tokens
    from preferably.models.loading import load, save

    model = REAL / SETS[job["set"]][0]
    with TemporaryDirectory() as folder:
        start = Path(folder) / "start"
        torch.manual_seed(0)
        loaded = load(str(model), axes={"reward": 1.0}, device="cpu", dtype="float32")
        save(loaded, start)
        train, test = tokens_of(job, loaded.tokenizer, loaded.context or 512)
        tokenizer = AutoTokenizer.from_pretrained(start)
        began = time.perf_counter()
        side = ours if job["side"] == "ours" else trls
        scorer = side(job, start, train, test, tokenizer, Path(folder))
        seconds = time.perf_counter() - began
        scores = score_tokens(scorer, test)
        right = [0.5 + 0.5 * float(torch.sign(one[0, 0] - one[1, 0])) for one in scores]
    told = {"seconds": round(seconds, 2), "right": right, "train": len(train), "peak_rss_gb": peak_rss_gb()}
    result.write_text(json.dumps(told), encoding="utf-8")


def ours(job: dict[str, Any], start: Path, train: list[Any], test: list[Any], tokenizer: Any, folder: Path) -> Any:
    from preferably.models.loading import load
    from support.loop import train_tokens

    loaded = load(str(start), axes={"reward": 1.0}, device="cpu", dtype="float32")
    train_tokens(
        loaded, train, test[:1], [], folder / "run", method="reward", batch_size=BATCH, learning_rate=RATE,
        epochs=job["epochs"], weight_decay=DECAY, schedule="linear", warmup=0, seed=job["split"], eval_every=10**6,
        save_every=10**6,
    )  # fmt: skip
    return loaded.policy


def trls(job: dict[str, Any], start: Path, train: list[Any], test: list[Any], tokenizer: Any, folder: Path) -> Any:
    import datasets
    import torch
    import trl
    from transformers import AutoModelForSequenceClassification

    from preferably.models.loading import load

    names = ("chosen_ids", "rejected_ids")
    rows = [
        {name: [*group.prompt.tolist(), *one.tolist()] for name, one in zip(names, group.completions, strict=True)}
        for group in train
    ]
    steps = max(1, -(-round(job["epochs"] * len(train)) // BATCH))
    arguments = trl.RewardConfig(
        output_dir=str(folder / "trl"), max_steps=steps, per_device_train_batch_size=BATCH, learning_rate=RATE,
        lr_scheduler_type="linear", warmup_steps=0, max_grad_norm=1.0, weight_decay=DECAY, bf16=False, max_length=None,
        gradient_checkpointing=False, report_to=[], use_cpu=True, disable_tqdm=True, save_strategy="no",
        logging_steps=10**6, disable_dropout=True, seed=job["split"],
    )  # fmt: skip
    model = AutoModelForSequenceClassification.from_pretrained(start, dtype=torch.float32)
    trainer = trl.RewardTrainer(
        model=model, args=arguments, train_dataset=datasets.Dataset.from_list(rows), processing_class=tokenizer
    )
    trainer.train()
    trainer.save_model(str(folder / "trl-model"))
    return load(str(folder / "trl-model"), axes={"reward": 1.0}, device="cpu", dtype="float32").policy


def compare(
    name: str, found: dict[tuple[str, float, int], dict[str, Any]], splits: tuple[int, ...]
) -> list[dict[str, Any]]:
    """For each number of epochs: both accuracies over all splits, their difference with its interval, and what ours had
    reached when TRL was done."""
    rows = []
    for epochs in EPOCHS["trl"]:
        both = {side: [found[side, epochs, split] for split in splits] for side in ("ours", "trl")}
        seconds = {side: fmean(one["seconds"] for one in done) for side, done in both.items()}
        times = {more: fmean(found["ours", more, split]["seconds"] for split in splits) for more in EPOCHS["ours"]}
        within = max((more for more in EPOCHS["ours"] if times[more] <= seconds["trl"]), default=None)
        row: dict[str, Any] = {"set": name, "epochs": epochs, "train": both["ours"][0]["train"]}
        row |= {side: share(done) for side, done in both.items()}
        row["difference"] = paired(both["ours"], both["trl"])
        row |= {"seconds": seconds, "ratio": seconds["trl"] / seconds["ours"], "ours_epochs_in_trls_time": within}
        if within is not None:
            then = [found["ours", within, split] for split in splits]
            row["at_equal_time"] = share(then) | {"difference": paired(then, both["trl"])}
        rows.append(row)
    return rows


def share(done: list[dict[str, Any]]) -> dict[str, Any]:
    from preferably.statistics.intervals import wilson

    right = [value for one in done for value in one["right"]]
    interval = wilson(sum(right), len(right))
    return {"accuracy": fmean(right), "n": len(right), "interval": [interval.low, interval.high]}


def paired(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean difference over the same pairs."""
    from preferably.statistics.intervals import mean_interval

    gaps = [
        a - b
        for mine, theirs in zip(one, other, strict=True)
        for a, b in zip(mine["right"], theirs["right"], strict=True)
    ]
    interval = mean_interval(gaps)
    return {"value": fmean(gaps), "interval": [interval.low, interval.high]}


def main() -> None:
    options = parser_of(__doc__, "one split, a few pairs").parse_args()
    if options.child:
        in_child(options.child, options.result)
        return
    if not REAL.is_dir():
        return print(f"not measured: {REAL} is not there, and this benchmark needs its models and comparisons")
    environment, splits = facts(), SPLITS[:1] if options.smoke else SPLITS
    rows: list[dict[str, Any]] = []
    for name in SETS:
        found: dict[tuple[str, float, int], dict[str, Any]] = {}
        for split in splits:
            for side, most in EPOCHS.items():
                for epochs in most:
                    job = {"set": name, "side": side, "epochs": epochs, "split": split, "smoke": options.smoke}
                    done = run_child(__file__, job)
                    if "failed" in done:
                        raise SystemExit(1)
                    found[side, epochs, split] = done
        rows += compare(name, found, splits)
        shown = [
            {"set": row["set"], "epochs": row["epochs"], "ours": row["ours"]["accuracy"], "trl": row["trl"]["accuracy"],
             "difference": row["difference"]["value"], "seconds ratio": row["ratio"],
             "at equal time": row.get("at_equal_time", {}).get("accuracy")}
            for row in rows
        ]  # fmt: skip
        print("\n" + table(shown), flush=True)
    settings = {
        "smoke": options.smoke,
        "splits": splits,
        "batch_size": BATCH,
        "learning_rate": RATE,
        "weight_decay": DECAY,
    }
    alike = all(row["difference"]["interval"][0] <= 0 <= row["difference"]["interval"][1] for row in rows)
    goals = {"no difference at equal epochs": alike}
    write_result("reward_vs_trl", environment, settings, {"goals": goals, "rows": rows})


if __name__ == "__main__":
    main()
