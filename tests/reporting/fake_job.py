"""A whole job made up for the tests, with all that its page can tell: two roads and rounds, a closed gate, people and a
judge, audits, long texts and names, servers that were asked."""

from pathlib import Path
from types import ModuleType
from typing import Any

LONG = "A customer writes at length of what went wrong, and of what went wrong before that. " * 40
NAME = "runs/of-somebody-who-likes-long-names/and-a-folder-in-a-folder/with_no_place_to_break_a_line" * 2
SHARE = {"value": 0.8, "n": 60, "interval": [0.7, 0.9], "p": 0.01, "told": True}


def person(name: str, at: int) -> dict[str, Any]:
    return {
        "role": "labeler", "group": "desk", "judged": 60 - at, "agrees": SHARE, "first": SHARE, "longer": SHARE,
        "reliability": SHARE, "findings": [f"{name} takes the longer one in 80% of 60 choices", "hurries at the end"],
    }  # fmt: skip


def labelers() -> dict[str, Any]:
    names = ["ada", "ben", "somebody-with-a-name-of-many-letters@a-company-of-many-letters.example", "<b>eve</b>"]
    prompts = [{"prompt": LONG, "disagreement": 0.5}, {"prompt": NAME, "disagreement": 0.4}]
    return {
        "schema": 1,
        "labelers": {
            "questions": 300, "noise": 0.16,
            "agreement": {"raw agreement": SHARE | {"units": 240}, "Krippendorff's alpha, nominal": SHARE},
            "labelers": {name: person(name, at) for at, name in enumerate(names)},
            "prompts": {"judged_twice": 240, "unanimous": 190, "flagged": 3, "most_ambiguous": prompts},
            "concentration": {"gini": 0.25, "busiest_fifth": {"share": 0.31, "labelers": 1}},
        },
        "sources": [
            {"source": "people.db", "judgments": 237, "named": 237, "labelers": 4, "seconds": 4530.0, "timed": 230},
            {"source": NAME, "judgments": 5, "named": 0, "labelers": 0},
        ],
    }  # fmt: skip


def findings() -> dict[str, Any]:
    rows = {"read": 1240, "used": 1200, "deduplicated": 30, "rejected": {"equal": 10}}
    remarks = [{"text": f"10 rows say nothing. First: {NAME}:3 row: equal (chosen = rejected)."}, {"text": LONG}]
    lengths = {"longer": {"value": 0.61}}
    return {"findings": {"pairs": {"rows": rows, "groups": 1200, "prompts": {"distinct": 400}, "lengths": lengths,
                                   "labelers": {"agreement": SHARE, "labelers": {"ada": {}, "ben": {}}},
                                   "remarks": remarks}}}  # fmt: skip


def stage(name: str, kind: str, **told: Any) -> dict[str, Any]:
    command = f"preferably {kind} --model {NAME} --output out/{name} --set learning_rate=1e-5"
    return {"name": name, "kind": kind, "seconds": 75.0, "digest": "ab" * 32, "command": command} | told


def long_job(root: Path, fake: ModuleType) -> dict[str, Any]:
    """Make the runs of a job in `root`; the record that its page is made of."""
    stages, rounds = [stage("sft", "sft"), stage("ready", "ready"), stage("check", "check")], []
    fake.sft_run(root / "sft")
    fake.write_json(root / "check" / "labelers.json", labelers())
    fake.write_json(root / "check" / "findings.json", findings())
    for number in (1, 2):
        for road in ("dpo", "ppo"):
            run = f"round-{number}/{road}"
            fake.scrutinised(fake.dpo_run(root / run))
            fake.audited(root / run)
            rate = fake.win_rate(win_rate=0.6 + 0.1 * number, judge="desk/rules.py:score")
            fake.write_json(root / run / "evaluation/win_rate.json", rate)
            fitted = {"eval_rewards/accuracies": 0.7 + 0.03 * number} if road == "dpo" else {}
            scored = {"eval_objective/scores": 0.2 * number} if road == "ppo" else {}
            rounds.append({
                "round": number, "road": road, "run": run, "quality": rate, "training": fitted | scored,
                "over_previous": rate if number == 2 else None, "reward": {} if fitted else {
                    "scores": True, "eval_rewards/accuracies": 0.75 + 0.01 * number},
            })  # fmt: skip
            stages.append(stage(run, "train"))
            stages += [
                stage(f"round-{number}/audit-{name}-{road}", "audit", round=number, road=road, folder=run,
                      figures={"audit": name}) for name in ("run", "safety", "honesty", "suppression")
            ]  # fmt: skip
    for number in (1, 2):
        scores = [{"step": step, "eval_objective/scores": 0.02 * step} for step in (0, 20)]
        fake.write_lines(root / f"round-{number}/ppo/metrics.jsonl", scores)
    lines = [{"prompt": LONG, "model": NAME, "against": LONG, "preferred": "model", "scores": None}] * 3
    fake.write_lines(root / "round-2/dpo/samples.jsonl", lines + [fake.sample(at) for at in range(9)])
    simulated = {name: {"fault": "leans to the longer reply, and tires", "right": 0.8, "told": SHARE}
                 for name in ("ada", "ben")}  # fmt: skip
    agreed = {"simulated": simulated, "agreement": {"value": 0.7}, "overlap": 3}
    found = [{"name": "agreement", "outcome": "good", "words": "79% [74%, 83%] of 200"},
             {"name": "length", "outcome": "bad", "words": LONG[:200]}]  # fmt: skip
    judged = {"judge": "a rule: fewer words are better", "outcome": "bad", "verdict": "It likes few words.",
              "findings": found}  # fmt: skip
    stages += [stage("people", "check", figures=agreed), stage("judge-rule", "judge-audit", figures=judged),
               stage("round-3/judge", "judge", state="begun", tries=2)]  # fmt: skip
    settings = {"model": NAME, "evaluate": {"judge": "desk/rules.py:score"}, "train": [{"method": "dpo", "beta": 0.1}],
                "preferences": [{"judge": "desk/rules.py:score", "prompts": NAME}, {"store": "people.db"}]}  # fmt: skip
    gate = {"gate": "check", "stage": "check", "reasons": ["3 of 120 rows (2.5%) contradict an earlier one"],
            "went_on": "skipped"}  # fmt: skip
    asked = [{"model": "a-judge-of-many-letters-70b-instruct", "server": "https://models.example:8443/v1",
              "requests": 4800, "tokens": 2_400_000, "cost": 12.5}]  # fmt: skip
    return {"state": "finished", "seconds": 5400.0, "settings": settings, "gates": [gate], "asked": asked,
            "rounds": rounds, "stages": stages}  # fmt: skip
