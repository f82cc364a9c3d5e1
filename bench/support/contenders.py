"""The contenders of dpo_vs_trl.py. Each runs alone in a process and reports seconds, tokens, losses and memory."""

import json
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from support.machine import peak_rss_gb
from support.pairs import WORKLOADS, draw_pairs

RATE, BETA = 1e-6, 0.1  # the defaults of both


def job_pairs(job: dict[str, Any]) -> list[dict[str, str]]:
    """The pairs of a job: as many for every contender of a workload; a shorter job uses the first steps' only."""
    return draw_pairs(WORKLOADS[job["workload"]], job["total"] * job["pairs"], job["words"])


def peak_gb(device: str) -> float:
    """The most memory held so far, in 10^9 bytes: of the process, or of what tensors took on the GPU."""
    import torch

    return torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else peak_rss_gb()


def waited(device: str) -> float:
    """The time, once the device has done all that it was given."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def run_ours(job: dict[str, Any]) -> dict[str, Any]:
    """Preferably's own training run, two epochs: in the first the reference is live, in the second it is cached."""
    import torch

    from preferably.config import settings
    from preferably.feedback.records import Group, Message
    from preferably.training.closing import Progress
    from preferably.training.run import train

    pairs = job_pairs(job)
    groups = [
        Group((Message("text", pair["prompt"]),), tuple(_text(pair[side]) for side in ("chosen", "rejected")))
        for pair in pairs
    ]
    held: list[float] = []  # the peak so far: before training, then after each step; saving at the end is left out
    began = time.perf_counter()
    with TemporaryDirectory() as folder:
        run = train(
            settings({
                "method": "dpo", "model": job["model"], "output": f"{folder}/run", "epochs": 2,
                "batch_size": job["pairs"],
                "learning_rate": RATE, "beta": BETA, "held_out": 0, "sample_prompts": 0, "keep": 1,
                "eval_every": 10**6, "save_every": 10**6, "max_length": 1024, "device": job["device"],
                **job.get("settings", {}),
            }),
            groups=groups, progress=Progress(step=lambda step, metrics: held.append(peak_gb(job["device"]))),
        )  # fmt: skip
        lines = [json.loads(line) for line in (run.path / "timing.jsonl").read_text().splitlines()]
        metrics = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
        environment = json.loads((run.path / "environment.json").read_text())
    by_step = {line["step"]: line for line in metrics if "loss" in line}
    return {
        "step_seconds": [line["seconds"] for line in lines],
        "first_loss": by_step[1]["loss"],
        "losses": [by_step[step]["loss"] for step in sorted(by_step)],
        "tokens": by_step[job["total"]]["num_tokens"],  # of an epoch, each prompt counted once
        "peak_rss_gb": held[-1],
        "peak_rss_before_training_gb": held[0],
        "total_seconds": time.perf_counter() - began,
        "threads": torch.get_num_threads(),
        "compute": environment.get("dtype"),
        "packed": environment.get("packed"),
    }


def _text(text: str) -> Any:
    from preferably.feedback.records import Completion, Message

    return Completion((Message("text", text),))


def in_our_order(pairs: list[dict[str, str]], epoch: int, sort: bool, size: int) -> list[dict[str, str]]:
    """The pairs as our run meets them in `epoch`, so that step k holds the same pairs for everybody.

    `sort` puts like lengths together inside a step, which saves a padding contender work.
    """
    from preferably.data.order import batch_indices

    steps = len(pairs) // size
    out: list[dict[str, str]] = []
    for step in range(steps):
        chosen = [pairs[i] for i in batch_indices(epoch * steps + step, size, len(pairs), seed=0)]
        out += sorted(chosen, key=_padded_length) if sort else chosen
    return out


def _padded_length(pair: dict[str, str]) -> int:
    return len(pair["prompt"].split()) + max(len(pair["chosen"].split()), len(pair["rejected"].split()))


def trl_settings(job: dict[str, Any], folder: str) -> Any:
    """What the job says; everything that it does not name, and that has no part in a step, as TRL has it."""
    from trl import DPOConfig

    return DPOConfig(
        output_dir=folder, use_cpu=job["device"] == "cpu", seed=0, per_device_train_batch_size=job["batch"],
        gradient_accumulation_steps=job["pairs"] // job["batch"], max_steps=job["steps"], learning_rate=RATE,
        beta=BETA, bf16=job["bf16"], gradient_checkpointing=job["checkpointing"],
        precompute_ref_log_probs=job["precompute"], train_sampling_strategy="sequential",
        logging_first_step=True, save_strategy="no", report_to="none", disable_tqdm=True,
        dataloader_pin_memory=False,
    )  # fmt: skip


def run_trl(job: dict[str, Any]) -> dict[str, Any]:
    """TRL's DPOTrainer on the same pairs in the same order, in batches of `batch` accumulated to `pairs`."""
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import DPOTrainer

    seconds: list[float] = []
    held: list[float] = []
    spent = {"precompute": 0.0, "last": 0.0}

    class Clock(TrainerCallback):
        def on_train_begin(self, *arguments: Any, **more: Any) -> None:
            spent["last"] = waited(job["device"])
            held.append(peak_gb(job["device"]))

        def on_step_end(self, *arguments: Any, **more: Any) -> None:
            now = waited(job["device"])
            seconds.append(now - spent["last"])
            spent["last"] = now
            held.append(peak_gb(job["device"]))

    class Trainer(DPOTrainer):
        def _precompute_ref_logps(self, *arguments: Any, **more: Any) -> Any:
            began = time.perf_counter()
            done = super()._precompute_ref_logps(*arguments, **more)
            spent["precompute"] += time.perf_counter() - began
            return done

    pairs = in_our_order(job_pairs(job), int(job["precompute"]), job["sort"], job["pairs"])
    rows = pairs[: job["steps"] * job["pairs"]]
    began = time.perf_counter()
    with TemporaryDirectory() as folder:
        trainer = Trainer(
            model=job["model"],
            args=trl_settings(job, folder),
            train_dataset=Dataset.from_list(rows), processing_class=AutoTokenizer.from_pretrained(job["model"]),
            callbacks=[Clock()],
        )  # fmt: skip
        columns = ("prompt_ids", "chosen_ids", "rejected_ids")
        parts = {name: sum(map(len, trainer.train_dataset[name])) for name in columns}
        trainer.train()
        logged = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return {
        "step_seconds": [round(value, 4) for value in seconds],
        "first_loss": logged[0],
        "tokens": sum(parts.values()),
        "completion_tokens": parts["chosen_ids"] + parts["rejected_ids"],
        "precompute_seconds": spent["precompute"],
        "precompute_pairs": len(rows) if job["precompute"] else 0,
        "peak_rss_gb": held[-1],
        "peak_rss_before_training_gb": held[0],
        "total_seconds": time.perf_counter() - began,
        "threads": torch.get_num_threads(),
        "weights": str(next(trainer.model.parameters()).dtype).removeprefix("torch."),
        "optimizer": str(trainer.args.optim),
    }


def child(job: dict[str, Any], result: Path) -> None:
    """Do one job and write what came of it."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    values = (run_ours if job["contender"] == "ours" else run_trl)(job)
    result.write_text(json.dumps(values), encoding="utf-8")
