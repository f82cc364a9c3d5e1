"""The rules called measured, held against what was measured: each claim is read off the files of bench/results.

A claim is a function of a result file that says whether the rule still follows from it, and `spoil` changes a figure so
that it does not: a claim that nothing could contradict proves nothing.
"""

import copy
import json
from dataclasses import replace
from itertools import pairwise
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev

import pytest

from preferably.pipeline.advice import BETA, RATES, advise, decide
from preferably.pipeline.rules import (
    CONTROLS,
    FEW,
    FEWEST,
    LABELERS,
    ONLINE,
    PIPELINE,
    QUICKSTART,
    REWARDS,
    RULES,
    SELECTION,
    STORIES,
)  # fmt: skip
from preferably.pipeline.situation import Situation
from preferably.statistics.intervals import wilson
from preferably.statistics.shares import Share

ROOT = Path(__file__).resolve().parents[2]
T4 = 2.776  # Student's t, 97.5%, 4 degrees of freedom


def result(name):
    return json.loads((ROOT / name).read_text())


def agreement(value, n=500):
    return Share(value, n, wilson(value * n, n))


def alike(found):
    """Whether the mean difference of PPO and DPO over the five seeds has 0 in its 95% interval."""
    apart = [seed["ppo"]["win_rate"] - seed["dpo"]["win_rate"] for seed in found["seeds"]]
    return len(apart) == 5 and abs(fmean(apart)) <= T4 * stdev(apart) / sqrt(5)


def ratios(found):
    stages = [seed["stages"] for seed in found["seeds"]]
    return [one["dpo"] / (one["reward"] + one["ppo"]) for one in stages]


def levels(found, method):
    """[(KL, least, mean and most truth over the seeds)] of a method, by KL."""
    runs = [run for run in found["runs"] if run["method"] == method]
    key = "kl_coef" if "kl_coef" in runs[0] else "beta"
    by_level = {}
    for run in runs:
        by_level.setdefault(run[key], []).append((run["kl"], run["truth"]["mean"]))
    made = []
    for some in by_level.values():
        truths = [truth for _, truth in some]
        made.append((fmean(kl for kl, _ in some), min(truths), fmean(truths), max(truths)))
    return sorted(made)


def at(curve, kl):
    """The mean truth at a KL, on the line between two levels."""
    for (low, _, a, _), (high, _, b, _) in pairwise(curve):
        if low <= kl <= high:
            return a + (b - a) * (kl - low) / (high - low)
    return None


def behind_ppo(found, method, kls=(0.0, 99.0)):
    """Whether the mean of a method is below PPO's at every KL in `kls` that both reach."""
    ppo = levels(found, "ppo")
    seen = [(at(ppo, kl), mean) for kl, _, mean, _ in levels(found, method) if kls[0] <= kl <= kls[1]]
    told = [(a, b) for a, b in seen if a is not None]
    return bool(told) and all(b < a for a, b in told)


def function_claim(found):
    ppo = levels(found, "ppo")
    named = abs(ppo[1][2] - 3.1) < 0.05 and abs(ppo[2][2] - 4.5) < 0.05
    named &= [round(at(ppo, kl), 1) for kl, _, _, _ in levels(found, "rloo")[1:3]] == [3.7, 5.7]
    return named and all(behind_ppo(found, one) for one in ("rloo", "grpo", "online-dpo", "dpo"))


def rloo_claim(found):
    seconds = {
        name: fmean(run["seconds"] for run in found["runs"] if run["method"] == name) for name in ("ppo", "rloo")
    }
    [(kl, low, _, high)] = [one for one in levels(found, "rloo") if 7 < one[0] < 9]
    level_at_eight = low <= at(levels(found, "ppo"), kl) <= high
    return 0.4 < seconds["rloo"] / seconds["ppo"] < 0.6 and level_at_eight and behind_ppo(found, "rloo", (9, 99))


def few_claim(found):
    dpo, ppo = levels(found, "dpo"), levels(found, "ppo")
    rising = [run for run in found["runs"] if run["method"] == "dpo" and "held_out_loss_rising" in run["warnings"]]
    little = all(high < ppo[1][1] for kl, _, _, high in dpo if kl < 9)  # PPO's least at 6.4 nats
    named = [(round(kl, 1), round(mean, 1)) for kl, _, mean, _ in dpo[2:4]] == [(4.9, 0.6), (8.4, 0.9)]
    return FEWEST <= found["reward_model"]["pairs"] < FEW and named and little and len(rising) >= 12


def best_of_n_claim(found):
    """At no more KL than best of n, no training has more wins than it."""
    most = max(one["kl"] for one in found["best_of_n"])
    reached = [(run["kl"], run["win_rate"]) for run in found["runs"] if run["kl"] <= most]
    points = [(one["kl"], one["win_rate"]) for one in found["best_of_n"]]
    ahead = all(max(won for kl, won in points if kl <= mine) > wins for mine, wins in reached)
    sixteen = next(one["win_rate"] for one in found["best_of_n"] if one["n"] == 16)
    return bool(reached) and ahead and abs(sixteen - 0.93) < 0.005


def own_pairs_claim(found):
    """DPO gets to 95% at about 6 nats with few pairs, and IPO's interval meets its own there: no difference told."""
    near = {}
    for run in found["runs"]:
        if 5 <= run["kl"] <= 6.5:
            near.setdefault(run["method"], []).append(run)
    dpo = max(near["dpo"], key=lambda run: run["win_rate"])
    ipo = max(near["ipo-sum"], key=lambda run: run["win_rate"])
    meet = ipo["interval"][0] <= dpo["interval"][1] and dpo["interval"][0] <= ipo["interval"][1]
    return dpo["win_rate"] >= 0.945 and meet and found["settings"]["pairs"] == 963 and dpo["train_seconds"] < 120


def kl_claim(found):
    online = [run for run in found["runs"] if run["method"] in ("ppo", "rloo")]
    default = [run for run in online if run["kl_coef"] == 0.05]
    advised = [run for run in online if run["kl_coef"] == 0.2]
    quiet = all(run["kl"] < 10 and not run["warnings"] for run in advised)
    return bool(default and advised) and all("kl_high" in run["warnings"] for run in default) and quiet


def shuffled_claim(found):
    told = [one["interval"][0] <= 0.5 <= one["interval"][1] for one in found["shuffled"]]
    return (
        len(told) == 3 and all(told) and all(one["warnings"] == ["held_out_loss_rising"] for one in found["shuffled"])
    )


def not_ready_claim(found):
    dpo = found["b_transcripts"]["dpo"]
    loss = dpo["held_out_loss"]
    return "not_ready" in dpo["warnings"] and loss["end"] > loss["start"] and round(loss["end"], 2) == 0.74


def not_own_claim(found):
    part = found["a_instructions"]
    loss = part["dpo"]["held_out_loss"]
    return loss["end"] < loss["start"] and part["win_rate"]["interval"][1] < 0.5 and not part["dpo"]["warnings"]


def reward_claim(found):
    rows = {(row["set"], row["epochs"]): row for row in found["rows"]}
    nothing = [rows["hh", epochs]["ours"]["interval"] for epochs in (1, 2)]
    fewer = rows["hh", 1]["train"] < FEWEST < rows["rasbt", 1]["train"]
    return fewer and all(low <= 0.5 <= high for low, high in nothing) and rows["rasbt", 1]["ours"]["interval"][0] > 0.7


def doubling_claim(found):
    doubled = found["settings"]["trained_at"] == [100, 200, 400, 800]
    return doubled and all(0.015 <= b - a <= 0.035 for a, b in pairwise(found["trained"]["truth"]))


def fitted_claim(found):
    """Of 100 labels, the first of both ways to draw them, a fitted reward knows more than a trained one of 800."""
    fitted, at = found["compared"]["doubt"]["truth"], found["settings"]["trained_at"].index(800)
    named = fitted["labels"][0] == 100 and 0.74 <= fitted["random"][0] < 0.75
    return named and round(found["trained"]["truth"][at], 2) == 0.7 < fitted["random"][0]


def trust_claim(found):
    rows = [row for row in found["rows"] if row["figure"] == "labels"]
    differ = [row for row in rows if len(set(json.loads(row["chances"].replace("(", "[").replace(")", "]")))) > 1]
    same = [row for row in rows if row not in differ]
    gains = all(0.07 <= row["posterior wrong"] <= 0.105 < 0.18 <= row["majority wrong"] for row in differ)
    return bool(differ and same) and gains and all(row["posterior wrong"] <= row["majority wrong"] for row in same)


def rates_claim(found):
    best = {run["method"]: run["learning_rate"] for run in found["runs"]}
    return (best["ppo"], best["rloo"]) == (RATES["ppo"], RATES["rloo"])


def rate_of_dpo_claim(found):
    """At the rate and the beta that are advised: near the best win rate at its KL, and no warning."""
    runs = [run for run in found["runs"] if run["method"] == "dpo" and run["learning_rate"] == RATES["dpo"]]
    advised = [run for run in runs if run["beta"] == BETA and not run["nll_weight"]]
    return bool(advised) and all(not run["warnings"] and run["kl"] < 6 for run in advised)


def tuned_claim(found):
    recipe = found["settings"]["recipe"]
    return (recipe["reward_learning_rate"], recipe["sft_learning_rate"]) == (RATES["reward"], RATES["sft"])


def spoil_runs(method, **changed):
    def spoil(found):
        for run in found["runs"]:
            if run["method"] == method:
                run.update(copy.deepcopy(changed))

    return spoil


def spoil_ppo(found):
    for seed in found["seeds"]:
        seed["ppo"]["win_rate"] += 0.08


def spoil_time(found):
    for seed in found["seeds"]:
        seed["stages"]["dpo"] *= 3


def spoil_kl(found):
    found["seeds"][2]["ppo"]["kl"] = 3.0


def put(*path, value):
    def spoil(found):
        *inner, last = path
        for key in inner:
            found = found[key]
        found[last] = value

    return spoil


# rule: (file, what has to hold, a change after which it must not)
CLAIMS = [
    ("contradicting", CONTROLS, shuffled_claim, put("shuffled", 0, "interval", value=[0.53, 0.58])),
    ("not-ready", PIPELINE, not_ready_claim, put("b_transcripts", "dpo", "held_out_loss", "end", value=0.65)),
    ("too-few", REWARDS, reward_claim, put("rows", 2, "ours", "interval", value=[0.55, 0.63])),
    ("too-few", SELECTION, doubling_claim,
     put("trained", "truth", value=[0.62, 0.62, 0.67, 0.7])),
    ("fit-the-reward", SELECTION, fitted_claim, put("trained", "truth", 3, value=0.76)),
    ("not-its-own", PIPELINE, not_own_claim, put("a_instructions", "win_rate", "interval", value=[0.55, 0.61])),
    ("test-the-reward", REWARDS, reward_claim, put("rows", 3, "ours", "interval", value=[0.45, 0.49])),
    ("baseline", STORIES, best_of_n_claim, spoil_runs("dpo", win_rate=0.99, kl=1.5)),
    ("function-limited", STORIES, own_pairs_claim, 
     spoil_runs("ipo-sum", win_rate=0.99, kl=5.5, interval=[0.985, 0.995])),
    ("function-research", ONLINE, rloo_claim, spoil_runs("rloo", seconds=500.0)),
    ("function", ONLINE, function_claim, spoil_runs("grpo", truth={"mean": 9.0}, kl=12.0)),
    ("explain", QUICKSTART, alike, spoil_ppo),
    ("few-and-noisy", ONLINE, few_claim, spoil_runs("dpo", truth={"mean": 4.0})),
    ("production", QUICKSTART,
     lambda found: alike(found) and all(seed["ppo"]["kl"] < seed["dpo"]["kl"] for seed in found["seeds"]), spoil_kl),
    ("pairs", QUICKSTART, lambda found: alike(found) and all(0.435 < one < 0.515 for one in ratios(found)), spoil_time),
    ("trust", LABELERS, trust_claim,
     lambda found: [row.update({"posterior wrong": 0.2}) for row in found["rows"] if row["figure"] == "labels"]),
    ("kl", ONLINE, kl_claim, spoil_runs("ppo", warnings=[])),
    ("small-model", ONLINE, rates_claim, spoil_runs("ppo", learning_rate=1e-3)),
    ("small-model", STORIES, rate_of_dpo_claim, spoil_runs("dpo", kl=20.0)),
    ("small-model", QUICKSTART, tuned_claim, put("settings", "recipe", "reward_learning_rate", value=1e-3)),
]  # fmt: skip
NAMES = [f"{rule} by {file.rpartition('/')[2]}" for rule, file, _, _ in CLAIMS]


@pytest.mark.parametrize(("rule", "file", "claim", "spoil"), CLAIMS, ids=NAMES)
def test_a_measured_rule_follows_from_its_file_and_would_fall_with_it(rule, file, claim, spoil):
    found = result(file)
    assert claim(found), f"{file} does not bear out {rule} any more: mend the rule"
    spoil(found)
    assert not claim(found)


def test_every_measured_rule_is_held_against_each_of_its_files():
    named = {(rule.name, one) for rule in RULES for one in rule.evidence if one.startswith("bench/results/")}
    assert named == {(rule, file) for rule, file, _, _ in CLAIMS}
    assert {rule.name for rule in RULES if rule.basis == "measured"} == {rule for rule, _, _, _ in CLAIMS}


@pytest.mark.parametrize("file", [ONLINE, STORIES])
def test_beyond_ten_nats_every_training_warned(file):
    """Why 0.25 nats a token are far (`looking.APART`): 10 nats of 40 tokens."""
    far = [run["warnings"] for run in result(file)["runs"] if run["kl"] > 10]
    codes = [{one if isinstance(one, str) else one["code"] for one in warnings} for warnings in far]
    assert len(far) >= 3 and all("kl_high" in one for one in codes)


# The worlds that were measured, as situations: what is advised there is not what was measured to be worse.
OWN = Situation("research", own="yes", ready=True, weights=1_000_000, cores=2)


def test_in_the_quickstarts_world_the_road_is_the_measured_one_for_each_want():
    found = result(QUICKSTART)
    labeled = found["seeds"][0]["labels"]["labeled"]
    world = replace(OWN, pairs=labeled, prompts=3000, agreement=agreement(0.75))
    assert labeled > FEW
    roads = {want: decide(replace(world, want=want)).then for want in ("production", "research", "limited", "explain")}
    assert roads == {"production": "rlhf", "research": "dpo", "limited": "dpo", "explain": "rlhf"}
    # Both win alike; what is told apart is time and KL, and those decide.
    assert alike(found) and max(ratios(found)) < 1
    assert all(seed["ppo"]["kl"] < seed["dpo"]["kl"] for seed in found["seeds"])


def test_with_few_noisy_pairs_the_road_is_the_best_measured_one_at_equal_kl():
    found = result(ONLINE)
    world = replace(OWN, pairs=found["reward_model"]["pairs"], agreement=agreement(0.57), weights=260_032)
    assert advise(world).road == "rlhf" and advise(world).trainings()["ppo"] == {"learning_rate": 1e-4, "kl_coef": 0.2}
    ppo = levels(found, "ppo")
    others = [(name, *one) for name in ("rloo", "grpo", "online-dpo", "dpo") for one in levels(found, name)]
    assert not [name for name, kl, low, _, _ in others if (there := at(ppo, kl)) is not None and low > there]


def test_with_a_rule_as_judge_and_little_computing_dpo_on_own_answers_is_advised_and_best_of_n_before():
    advice = advise(replace(OWN, function=True, prompts=1745, want="limited", weights=260_032))
    assert advice.road == "dpo-own" and advice.trainings()["dpo"] == {"learning_rate": 1e-4, "beta": 0.5}
    assert "baseline" in [rule.name for rule in advice.first]


def test_on_shuffled_labels_nothing_is_advised_before_they_are_mended():
    world = replace(OWN, pairs=8527, prompts=3000, agreement=agreement(0.5))
    assert advise(world).first[0].name == "contradicting"


def test_the_real_pipelines_two_ends_are_told_beforehand():
    strangers = replace(OWN, pairs=1094, prompts=1069, own="no")
    assert "not-its-own" in [rule.name for rule in advise(strangers).first]
    assert advise(replace(strangers, judge=True)).road == "dpo-own"
    unready = replace(OWN, pairs=646, prompts=640, ready=False)
    assert advise(unready).first[0].name == "not-ready"
