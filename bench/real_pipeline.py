"""Real data through the installed command: every row accounted for, every file of a run there.

(a) `train sft` of models/stories260K on 1,100 demonstrations, `train dpo` from there on 1,100 pairs (six of which say
    the same twice), `evaluate` on the prompts that were held out. The model knows stories only, so this proves the
    plumbing, not a better assistant.
(b) `train dpo` of models/babyllama361 on both HH files. It reads characters, 256 of them, so that most transcripts are
    too long: all of them are counted, file by file and code by code.

In every data.json `read = used + rejected + deduplicated` must hold, and what is used is split without a rest.

    python bench/real_pipeline.py            about four minutes on two cores
    python bench/real_pipeline.py --smoke    a minute, a few steps
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from support.machine import REAL, facts, table, write_result

RUDE = {"stupid", "ridiculous", "bothered", "flat", "wrong", "precious", "silly", "obviously", "duh", "whatever"}
EQUAL_PAIRS = 6  # counted by hand in instruction-data-with-preference.json
WRITTEN = (
    "config.yaml", "environment.json", "status.json", "data.json", "metrics.jsonl", "timing.jsonl", "report.html",
    "MODEL_CARD.md", "model/config.json", "model/model.safetensors", "held_out.jsonl",
)  # fmt: skip


def score(prompts: list[str], completions: list[str]) -> list[float | None]:
    """The judge, a rule anybody can check: 1 for an answer that ends its sentence, less 0.2 for each rude word."""
    return [
        float(text.rstrip().endswith((".", "!", "?", '"'))) - 0.2 * sum(word in RUDE for word in text.lower().split())
        for text in completions
    ]


def command(*arguments: str) -> dict[str, Any]:
    """Run `preferably` as a user does; seconds, exit status and the end of what it said."""
    began = time.perf_counter()
    done = subprocess.run(
        [str(Path(sys.executable).with_name("preferably")), *arguments],
        capture_output=True, text=True, check=False, env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    said = (done.stdout + done.stderr).strip()
    if done.returncode:
        print(f"preferably {' '.join(arguments)}\n{said[-1500:]}", file=sys.stderr)
    return {
        "command": " ".join(Path(a).name if Path(a).is_absolute() else a for a in ("preferably", *arguments)),
        "status": done.returncode,
        "seconds": round(time.perf_counter() - began, 1),
        "said": said[-600:],
    }


def account(run: Path) -> dict[str, Any]:
    """What became of every row, and whether it adds up."""
    data = json.loads((run / "data.json").read_text(encoding="utf-8"))
    rejected = sum(data["rejected"].values())
    kept = {name: data[name] for name in ("read", "used", "deduplicated", "rejected", "train", "held_out", "truncated")}
    return kept | {
        "adds_up": data["read"] == data["used"] + rejected + data["deduplicated"],
        "split_without_rest": data["used"] == data["train"] + data["held_out"],
    }


def outcome(run: Path, step: dict[str, Any]) -> dict[str, Any]:
    """One stage: the command, the account of its data, first and last loss, warnings."""
    if step["status"]:
        return step
    lines = {
        name: [json.loads(line) for line in (run / name).read_text(encoding="utf-8").splitlines()]
        for name in ("metrics.jsonl", "warnings.jsonl")
        if (run / name).exists()
    }
    evaluations = [line["eval_loss"] for line in lines["metrics.jsonl"] if "eval_loss" in line]
    return step | {
        "account": account(run),
        "state": json.loads((run / "status.json").read_text(encoding="utf-8"))["state"],
        "held_out_loss": {"start": evaluations[0], "end": evaluations[-1]} if evaluations else None,
        "warnings": [line["code"] for line in lines.get("warnings.jsonl", [])],
        "missing_files": [name for name in WRITTEN if not (run / name).exists()],
    }


def instructions(folder: Path, smoke: bool) -> dict[str, Any]:
    """(a) SFT, DPO and the win rate."""
    data, sft, dpo = REAL / "data" / "rasbt", folder / "sft", folder / "dpo"
    few = ["--max-steps", "3"] if smoke else []
    demonstrations = str(data / "instruction-data.json")
    common = ["--batch-size", "16", "--sample-tokens", "64", "--sample-prompts", "32", *few]
    first = command(
        "train", "sft", "--model", str(REAL / "models/stories260K"), "--data", demonstrations, "--output", str(sft),
        "--learning-rate", "1e-3", "--epochs", "2", *common,
    )  # fmt: skip
    second = command(
        "train", "dpo", "--model", str(sft), "--data", str(data / "instruction-data-with-preference.json"),
        "--output", str(dpo), "--learning-rate", "1e-4", "--beta", "0.1", *common,
    )  # fmt: skip
    third = command(
        "evaluate", "--model", str(dpo), "--against", str(sft), "--judge", f"{Path(__file__).resolve()}:score",
        "--max-tokens", "64", "--limit", "16" if smoke else "100",
    )  # fmt: skip
    found = dpo / "evaluation" / "win_rate.json"
    win = json.loads(found.read_text(encoding="utf-8")) if found.exists() else None
    return {"sft": outcome(sft, first), "dpo": outcome(dpo, second), "evaluate": third, "win_rate": win}


def transcripts(folder: Path, smoke: bool) -> dict[str, Any]:
    """(b) characters and a context of 256: most rows are too long and all are counted."""
    model = str(REAL / "models/babyllama361")
    files = [str(REAL / "data/hh-rlhf" / f"{name}-base-test.jsonl.gz") for name in ("helpful", "harmless")]
    common = ("train", "dpo", "--model", model, "--data", files[0])
    refusal = command(*common, "--output", str(folder / "no"), "--max-steps", "1")
    done = command(
        *common, "--data", files[1], "--output", str(folder / "hh"), "--max-rejected", "1",
        "--max-steps", "3" if smoke else "40", "--learning-rate", "1e-4", "--batch-size", "16",
        "--sample-tokens", "64", "--sample-prompts", "32",
    )  # fmt: skip
    refused = refusal["status"] != 0 and "too_long" in refusal["said"]
    return {"refused": refused, "refusal": refusal, "dpo": outcome(folder / "hh", done)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="three steps a stage")
    options = parser.parse_args()
    if not REAL.is_dir():
        return print(f"not measured: {REAL} is not there, and this benchmark needs its models and data")
    environment = facts()
    with TemporaryDirectory() as folder:
        a, b = instructions(Path(folder), options.smoke), transcripts(Path(folder), options.smoke)
    stages = {"sft, demonstrations": a["sft"], "dpo, pairs": a["dpo"], "dpo, HH in characters": b["dpo"]}
    accounts = {name: stage.get("account") or {} for name, stage in stages.items()}
    rejected = {name: one.get("rejected", {}) for name, one in accounts.items()}
    checks = {
        "every command ended well": all(stage["status"] == 0 for stage in (*stages.values(), a["evaluate"])),
        "rows add up everywhere": all(one.get("adds_up") and one["split_without_rest"] for one in accounts.values()),
        "six equal pairs": rejected["dpo, pairs"].get("equal") == EQUAL_PAIRS,
        "too long is counted": rejected["dpo, HH in characters"].get("too_long", 0) > 0,
        "too many rejects are refused": b["refused"],
        "no file of a run is missing": not any(stage.get("missing_files", ["?"]) for stage in stages.values()),
        "a win rate was written": a["win_rate"] is not None,
    }
    values = {"checks": checks, "a_instructions": a, "b_transcripts": b}
    write_result("real_pipeline", environment, {"smoke": options.smoke, "judge": score.__doc__}, values)
    rows = [{"run": name} | one for name, one in accounts.items()]
    print("\n" + table(rows))
    for what, held in checks.items():
        print(f"  {'yes' if held else 'NO '}  {what}")
    if not all(checks.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
