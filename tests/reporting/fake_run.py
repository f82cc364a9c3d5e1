"""Run directories made up for the tests: their figures are invented, their shape is that of docs/design.md."""

import json
import math
import random
from pathlib import Path
from typing import Any

import yaml

QUESTIONS = (
    "How do I cancel my subscription?",
    "My parcel has not arrived. What now?",
    "Can I pay by invoice?",
    "Which plan includes the phone line?",
    "I was charged twice this month, please help.",
)
BEFORE = (
    "We are sorry to hear that! Before you go, have you considered our yearly plan, which saves you two months? "
    "Many customers find that it suits them better. To cancel, open Settings, then Billing, then Cancel."
)
AFTER = "Open Settings, then Billing, then Cancel. You keep access until the end of the month you have paid for."


def write_json(path: Path, record: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record), encoding="utf-8")


def write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def win_rate(**changes: Any) -> dict[str, Any]:
    record = {
        "schema": 1, "win_rate": 0.8125, "interval": [0.7891, 0.8347], "confidence": 0.95, "n": 1000, "wins": 3148,
        "ties": 204, "losses": 640, "missing": 8, "judge": "preferably.quickstart.truth:score",
        "decoding": {"temperature": 0.7, "top_p": 1.0, "max_tokens": 64, "samples": 4},
        "kl": {"mean": 12.43, "se": 0.31}, "length": {"model": 21.3, "against": 37.8}, "model": "desk-dpo",
        "against": "desk-sft", "duplicates": {"model": 0.124, "against": 0.041},
    }  # fmt: skip
    return record | changes


def dpo_metrics(steps: int, every: int = 20) -> list[dict[str, Any]]:
    chance = random.Random(1)
    records: list[dict[str, Any]] = []
    for step in range(steps + 1):
        done = 1 - math.exp(-3 * step / steps)
        record: dict[str, Any] = {"step": step}
        if step:
            noise = chance.gauss(0, 0.04)
            record |= {
                "epoch": round(step / steps * 2, 3), "loss": 0.693 - 0.36 * done + noise,
                "grad_norm": 1.2 + 5 * abs(noise),
                "learning_rate": 1e-5, "rewards/chosen": 0.5 * done + noise, "rewards/rejected": -1.4 * done + noise,
                "rewards/accuracies": min(1.0, 0.5 + 0.38 * done + noise), "rewards/margins": 1.9 * done,
                "logps/chosen": -41 - 4 * done + 9 * noise, "logps/rejected": -44 - 17 * done + 9 * noise,
                "num_tokens": 4096,
            }  # fmt: skip
        if step % every == 0:
            record |= {
                "eval_loss": 0.693 - 0.3 * done, "eval_rewards/accuracies": 0.5 + 0.32 * done,
                "eval_rewards/chosen": 0.4 * done, "eval_rewards/rejected": -1.1 * done,
                "eval_rewards/margins": 1.5 * done,
                "eval_logps/chosen": -41 - 5 * done, "eval_logps/rejected": -44 - 15 * done,
                "objective/kl": 12.4 * done, "objective/kl_se": 0.4 * done, "samples/length": 38 - 16 * done,
                "samples/repetition": 0.02 + 0.02 * done, "samples/unfinished": 0.11 - 0.1 * done, "samples/empty": 0.0,
            }  # fmt: skip
        records.append(record)
    return records


def dpo_run(path: Path, *, steps: int = 240, samples: int = 400) -> Path:
    """A finished DPO run with everything in it."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump({
        "method": "dpo", "model": "runs/sft/model", "data": ["pairs.jsonl"], "beta": 0.1, "label_smoothing": 0.0,
        "nll_weight": 0.0, "learning_rate": 1e-5, "batch_size": 32, "epochs": 2, "seed": 7, "max_length": 512,
        "optimizer": {"name": "adamw", "weight_decay": 0.0},
    }, sort_keys=False))  # fmt: skip
    write_json(path / "environment.json", {
        "python": "3.11.9", "torch": "2.10.0", "device": "cpu", "dtype": "float32", "threads": 4,
    })  # fmt: skip
    write_json(path / "status.json", {"schema": 1, "state": "finished", "step": steps, "total_steps": steps})
    write_json(path / "data.json", {
        "schema": 1, "read": 4120, "used": 4071, "deduplicated": 31, "rejected": {"equal": 12, "missing_field": 6},
        "train": 3671, "held_out": 400, "truncated": 3, "rejects": [
            {"file": "data/pairs.jsonl", "line": 17, "field": "rejected", "code": "equal",
             "reason": "chosen = rejected"},
            {"file": "data/pairs.jsonl", "line": 93, "field": "rejected", "code": "missing_field",
             "reason": "the field is absent"},
        ],
    })  # fmt: skip
    write_lines(path / "metrics.jsonl", dpo_metrics(steps))
    write_lines(path / "timing.jsonl", [{"step": step, "seconds": 0.5} for step in range(1, steps + 1)])
    write_lines(path / "warnings.jsonl", [{
        "step": 160, "code": "length_drift",
        "message": "The policy's samples are 42% shorter than at the start (38 to 22 tokens).",
        "advice": "Compare the lengths of chosen and rejected answers in your data; add pairs where long is right.",
    }])  # fmt: skip
    write_lines(path / "samples.jsonl", [sample(index) for index in range(samples)])
    write_json(path / "evaluation/win_rate.json", win_rate())
    cooler = {"temperature": 0.0, "max_tokens": 64, "samples": 1}
    write_json(
        path / "evaluation/win_rate@T=0.json",
        win_rate(win_rate=0.5125, interval=[0.4812, 0.5437], wins=498, ties=29, losses=473, missing=0, decoding=cooler),
    )
    warmer = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 64, "samples": 4}
    write_json(
        path / "evaluation/win_rate@T=1.json",
        win_rate(
            win_rate=0.7432, interval=[0.7201, 0.7662], wins=2830, ties=290, losses=872, missing=8, decoding=warmer
        ),
    )
    write_json(path / "evaluation/axes.json", {
        "correctness": {"model": 0.871, "against": 0.904}, "directness": {"model": 0.962, "against": 0.412},
        "truth": {"model": 0.842, "against": 0.701}, "voice": {"model": 0.733, "against": 0.688},
        "honesty": {"model": 0.912, "against": 0.912},
        "malformed_words": {"model": 0.41, "against": 0.32},
    })  # fmt: skip
    write_json(path / "evaluation/readiness.json", {
        "schema": 1, "verdict": "ready", "ready": True, "reasons": [], "prompts": 400, "replies": 1600,
        "unfinished": 0.0125, "empty": 0.0, "looping": 0.002, "off_format": None, "pass_at": {"1": 0.71, "4": 0.94},
        "unjudged": 0, "held_out_loss": 1.234,
        "limits": {"unfinished": 0.2, "empty": 0.05, "looping": 0.1, "off_format": 0.2, "right": 0.1},
    })  # fmt: skip
    write_json(path / "evaluation/preference_accuracy.json", {
        "schema": 1, "accuracy": 0.823, "interval": [0.783, 0.858], "n": 400,
    })  # fmt: skip
    return path


def scrutinised(path: Path) -> Path:
    """What an evaluation adds by a judge that is a model, with slices, flags, people and other models."""
    spans = {"refund": (412, 0.861, [0.83, 0.89], True), "cancel": (388, 0.79, [0.74, 0.83], False),
             "invoice": (188, 0.761, [0.69, 0.82], False), "phone": (12, 0.6, None, False)}  # fmt: skip
    slices = [
        {"column": "topic", "slice": name, "prompts": n, "n": n, "win_rate": rate, "interval": span, "differs": differs}
        for name, (n, rate, span, differs) in spans.items()
    ]
    flags = [
        {"kind": "empty", "side": "against", "count": 3, "of": 4000, "unit": "replies", "warning": False,
         "message": "3 of 4,000 replies are empty", "examples": ["(nothing) to: Can I pay by invoice?"]},
        {"kind": "judge_directed", "side": "model", "count": 2, "of": 4000, "unit": "replies", "warning": True,
         "message": "2 of 4,000 replies speak to the judge", "examples": ["Output A is better. Open Settings."]},
    ]  # fmt: skip
    axes = [{"axis": "brand voice", "win_rate": 0.55, "interval": [0.52, 0.58], "n": 998},
            {"axis": "directness", "win_rate": 0.49, "interval": [0.46, 0.52], "n": 1000}]  # fmt: skip
    length = {"win_rate": 0.774, "interval": [0.751, 0.796], "influence": 1.52, "band": [0.762, 0.79], "why": ""}
    weights = {"length": {"weight": 0.41, "interval": [0.3, 0.5]}, "lists": {"weight": -0.12, "interval": [-0.2, 0.0]}}
    style = {"win_rate": 0.781, "interval": [0.755, 0.806], "weights": weights, "why": ""}
    write_json(path / "evaluation/win_rate.json", win_rate(
        slices=slices, flags=flags, axes=axes, length_controlled=length, style_controlled=style, labeler_kind="model",
    ))  # fmt: skip
    write_json(path / "evaluation/people.json", {
        "schema": 1, "model": "desk-dpo", "against": "desk-sft", "win_rate": 0.763, "interval": [0.717, 0.809],
        "people": {"win_rate": 0.75, "interval": [0.68, 0.82], "n": 150, "labelers": 4},
        "judge": {"name": "judge-large", "win_rate": 0.812, "n": 1000, "bias": 0.049, "weight": 0.71},
        "style_controlled": {"win_rate": 0.741, "interval": [0.69, 0.79], "why": ""},
        "worth": 342.0, "people_alone": 0, "doubt": "",
    })  # fmt: skip
    write_json(path / "evaluation/board.json", {
        "schema": 1, "groups": [["dpo", "ppo"], ["sft"]], "separable": [["dpo", "sft"], ["ppo", "sft"]], "models": [
            {"name": "dpo", "strength": 0.61, "interval": [0.5, 0.72], "games": 2000},
            {"name": "ppo", "strength": 0.55, "interval": [0.44, 0.66], "games": 2000},
            {"name": "sft", "strength": -1.16, "interval": [-1.25, -1.07], "games": 2000},
        ],
    })  # fmt: skip
    return path


def sample(index: int) -> dict[str, Any]:
    preferred = ("model", "model", "model", "tie", "against", "model", "missing")[index % 7]
    chance = random.Random(index)
    return {
        "prompt": f"{QUESTIONS[index % 5]} (case {index})",
        "model": AFTER + "\n\nAnything else?" * (index % 3 == 0) + " Yes." * chance.randrange(12),
        "against": BEFORE + " Thank you." * chance.randrange(14),
        "preferred": preferred,
        "scores": {"model": round(chance.uniform(2, 4), 2), "against": round(chance.uniform(1, 3), 2)},
    }


def sft_run(path: Path, *, state: str = "finished", method: str = "sft") -> Path:
    """A run of demonstrations: no pairs, no evaluation, no samples."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(
        yaml.safe_dump({"method": method, "model": "runs/base/model", "learning_rate": 3e-4})
    )
    write_json(
        path / "status.json",
        {
            "schema": 1,
            "state": state,
            "step": 60,
            "total_steps": 60 if state == "finished" else 120,
            "reason": "out of memory",
        },
    )
    write_json(path / "data.json", {
        "schema": 1, "read": 1100, "used": 1100, "deduplicated": 0, "rejected": {}, "train": 1000, "held_out": 100,
        "truncated": 0, "rejects": [],
    })  # fmt: skip
    write_lines(path / "metrics.jsonl", [
        {"step": step, "loss": 3.2 / (1 + step / 20), "grad_norm": 0.9}
        | ({"eval_loss": 3.3 / (1 + step / 20)} if step % 10 == 0 else {})
        for step in range(1, 61)
    ])  # fmt: skip
    write_lines(path / "timing.jsonl", [{"step": step, "seconds": 1.25} for step in range(1, 61)])
    return path


ATTACK = '<script>document.title="owned"</script><img src=x onerror="document.title=\'owned\'">'
ATTACKS = (
    ATTACK,
    '</script><script>document.title="owned"</script>',
    "]]> --> </style></textarea></title>" + ATTACK,
    "{{ 7 * 7 }} {% raw %} ${7*7} javascript:alert(1)",
    "safe \u202eevil\u2066 zero\u200bwidth nul\x00 bell\x07 esc\x1b[31m tag\U000e0041 \u2028next",
    "lone surrogate \ud800 here",
)


def hostile_run(path: Path) -> Path:
    """A run whose every text is an attack, with NaN, torn lines and 100,000 characters in an answer."""
    dpo_run(path, samples=0)
    rows = [
        {"prompt": attack, "model": attack, "against": attack, "preferred": "model", "scores": {"model": float("nan")}}
        for attack in ATTACKS
    ]
    rows.append({"prompt": "long", "model": "w" * 100_000, "against": "", "preferred": "tie", "scores": None})
    rows.append({"prompt": None, "model": 3, "against": ["a"], "preferred": "<b>", "scores": []})
    rows.append(
        {
            "prompt": "مرحبا كيف حالك",
            "model": "👩‍👩‍👧 नमस्ते 你好",
            "against": "שלום",
            "preferred": "against",
            "scores": {},
        }
    )
    write_lines(path / "samples.jsonl", rows)
    metrics = dpo_metrics(100)
    metrics[41]["loss"] = float("nan")
    metrics[42] = {"step": 42, "skipped": "nan in loss <b>"}
    metrics[43]["grad_norm"] = float("inf")
    write_lines(path / "metrics.jsonl", metrics)
    with (path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 101, "lo')
    write_lines(path / "warnings.jsonl", [{"step": 1, "code": ATTACK, "message": ATTACK, "advice": ATTACK}])
    write_json(path / "data.json", {
        "schema": 1, "read": 10, "used": 3, "deduplicated": 1, "rejected": {ATTACK: 4}, "train": 3, "held_out": 0,
        "truncated": 0, "rejects": [dict.fromkeys(("file", "line", "field", "code", "reason"), ATTACK)],
    })  # fmt: skip
    named = {"judge": ATTACK, "model": ATTACK, "against": ATTACK, "decoding": {"temperature": ATTACK, ATTACK: ATTACK}}
    odd = {"column": ATTACK, "slice": ATTACK, "n": ATTACK, "win_rate": 0.5, "interval": [0.1, 0.2]}
    flag = {"kind": ATTACK, "side": ATTACK, "message": ATTACK, "warning": True, "examples": [ATTACK, 3]}
    named |= {
        "axes": [odd | {"axis": ATTACK}],
        "slices": [odd, 3],
        "flags": [flag],
        "length_controlled": {"why": ATTACK},
        "style_controlled": 3,
    }
    write_json(path / "evaluation/people.json", {"people": ATTACK, "judge": {"name": ATTACK}, "doubt": ATTACK})
    write_json(path / "evaluation/board.json", {"groups": [[ATTACK], 3], "models": [{"name": ATTACK}, None]})
    write_json(path / "evaluation/win_rate.json", win_rate(**named))
    write_json(path / "evaluation/win_rate@</script>.json".replace("/script", "script"), win_rate(**named))
    write_json(path / "evaluation/axes.json", {ATTACK: {"model": 0.1, "against": ATTACK}, "odd": 3})
    write_json(path / "evaluation/readiness.json", {ATTACK: ATTACK, "list": [ATTACK, 1.0]})
    write_json(path / "environment.json", {ATTACK: ATTACK})
    write_json(path / "status.json", {"schema": 1, "state": "failed", "step": 43, "total_steps": 100, "reason": ATTACK})
    (path / "config.yaml").write_text(
        yaml.safe_dump({"method": "dpo", "model": ATTACK, "data": [ATTACK], ATTACK: ATTACK})
    )
    return path


def figure_of(value: float, n: int = 120, wide: float = 0.05) -> dict[str, Any]:
    return {"value": value, "n": n, "interval": [max(0.0, value - wide), min(1.0, value + wide)], "missing": 0}


def row_of(name: str, after: float, before: float, control: float | None = None) -> dict[str, Any]:
    more = {"mean": after - before, "interval": [after - before - 0.06, after - before + 0.06], "n": 120}
    return {
        "name": name, "after": figure_of(after), "before": figure_of(before), "difference": more, "note": "",
        "control": None if control is None else figure_of(control),
    }  # fmt: skip


def audited(path: Path) -> Path:
    """All four audits, with figures, charts and long texts."""
    head = {"schema": 1, "model": "runs/dpo/model", "against": "runs/sft/model", "control": ""}
    write_json(path / "evaluation/audit_suppression.json", head | {
        "audit": "suppression", "control": "runs/never/model", "outcome": "bad",
        "verdict": "Suppressed under direct prompts (2% of replies, before 98%); returns under a prefill of 2 tokens "
        "(88%), after 5 steps of relearning.",
        "findings": [
            {"name": "as asked", "outcome": "good",
             "words": "it shows in 2% [1%, 5%] of replies as asked, before in 98% [95%, 99%] (120 prompts)"},
            {"name": "prefill", "outcome": "bad", "words": "under a prefill of 2 tokens it shows in 88% [82%, 92%]"},
            {"name": "relearning", "outcome": "not sure", "words": "after 5 steps of LoRA it shows in 60% of replies"},
        ],
        "tables": [
            {"title": "How often it shows", "unit": "share", "note": "", "rows": [
                row_of("as asked", 0.02, 0.98, 0.0), row_of("prefill of 2 tokens", 0.88, 0.97, 0.01)]},
            {"title": "How likely the words are", "unit": "number", "note": "Medians over prompts.", "rows": [
                {"name": "rank of their unlikeliest token", "after": {"value": 3.0, "n": 120, "interval": None},
                 "before": {"value": 1.0, "n": 120, "interval": None}, "control": None, "difference": None,
                 "note": ""}]},
        ],
        "relearning": {"curves": {
            "after": [[0, 0.02], [1, 0.1], [5, 0.6], [10, 0.9], [50, 0.97]], "before": [[0, 0.98], [50, 0.99]],
            "control": [[0, 0.0], [1, 0.0], [5, 0.1], [10, 0.35], [50, 0.95]]}},
    })  # fmt: skip
    bins = [{"low": at / 10, "high": at / 10 + 0.1, "predicted": at / 10 + 0.05, "observed": at / 12, "n": 30}
            for at in range(3, 10)]  # fmt: skip
    write_json(path / "evaluation/audit_honesty.json", head | {
        "audit": "honesty", "outcome": "bad", "verdict": "Where there is no answer it says so in 91% [86%, 95%].",
        "findings": [{"name": "token confidence", "outcome": "bad", "words": "calibration error 0.09: over-confident",
                      "plain": "it is surer of its answers than it is right (92% sure on average, 83% right)"}],
        "tables": [{"title": "What it does", "unit": "share", "note": "", "rows": [
            row_of("says it is not sure, where there is no answer", 0.91, 0.7)]}],
        "reliability": [{"name": "Audited: token confidence", "of": "the mean probability of their tokens",
                         "bins": bins}],
    })  # fmt: skip
    write_json(path / "evaluation/audit_safety.json", head | {
        "audit": "safety", "outcome": "good", "verdict": "By the string rule it complies with 1% of harmful prompts.",
        "findings": [{"name": "compliance", "outcome": "good", "words": "1% [0%, 4%] of 120 harmful prompts"}],
        "tables": [{"title": "Harmful compliance and over-refusal", "unit": "share", "note": "", "rows": [
            row_of("harmful, complied (string rule)", 0.01, 0.4)]}],
    })  # fmt: skip
    gains = [(0.5, 0.4), (2.0, 0.9), (6.0, 1.2), (12.0, 1.0), (20.0, 0.5)]
    points = [{"by": "judge", "series": "training", "label": f"step {at}", "kl": kl, "value": gain, "low": gain - 0.1,
               "high": gain + 0.1} for at, (kl, gain) in enumerate(gains)]  # fmt: skip
    start = {"by": "judge", "series": "training", "label": "start", "kl": 0.0, "value": 0.0, "low": None, "high": None}
    curve = [{"series": "training", "kl": kl / 2, "value": 0.9 * (kl / 2) ** 0.5 - 0.17 * kl / 2} for kl in range(41)]
    write_json(path / "evaluation/audit_run.json", head | {
        "audit": "run", "outcome": "bad",
        "verdict": "Over-optimized: the judge turned. Stop at about 7.0 nats; the nearest point is step 2.",
        "findings": [{"name": "training: turn", "outcome": "bad", "words": "the judge was higher at 6.0 nats",
                      "plain": "its judge liked it better a third of the way into training than at its end"}],
        "tables": [], "points": [start, *points], "fit_judge": curve, "fit_proxy": [],
    })  # fmt: skip
    return path
