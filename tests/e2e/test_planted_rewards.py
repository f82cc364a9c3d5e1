"""Rewards with a hole in them, and one without: what is learnt from each, and what is said of it.

A model from random weights learns to answer "tell of cup and hat" with an opener and one to three sentences, two of
five of which have their words shuffled. Then it is trained against rewards.
"""

import json
from random import Random

import pytest
import torch
from safetensors.torch import load_file

import preferably
from preferably.config import settings
from preferably.feedback.records import Completion, Group, Message
from preferably.functions import load_function
from preferably.training.run import train

ITEMS = ["cup", "hat", "pen", "box", "key", "map", "jar", "bag", "cap", "mug"]
KINDS = ["red", "old", "big", "new", "soft", "dark"]
DOES = ["falls", "shines", "breaks", "waits", "opens", "turns"]
OPENERS = ["sure", "well", "so", "yes", "look", "here"]
WORDS = ["tell", "of", "and", "the", "a", "is", ".", *OPENERS, *KINDS, *DOES, *ITEMS]
PROMPTS = [f"tell of {one} and {other}" for one in ITEMS for other in ITEMS if one != other]
RULES = f"""
import re

items, kinds, does = ("(?:" + "|".join(words) + ")" for words in ({ITEMS}, {KINDS}, {DOES}))
SOUND = re.compile(f"the {{items}} is {{kinds}}|a {{kinds}} {{items}} {{does}}")


def says_big(prompts, completions):
    return [float(text.split().count("big")) for text in completions]


def sound(prompts, completions):
    # Whether the first sentence is one.
    return [float(bool(SOUND.fullmatch(text.partition(" ")[2].partition(" .")[0]))) for text in completions]


def all_sound(prompts, completions):
    # The share of sentences that are one.
    found = [text.partition(" ")[2].split(" .") for text in completions]
    return [sum(bool(SOUND.fullmatch(one.strip())) for one in said[:-1]) / max(1, len(said) - 1) for said in found]
"""
THE_THREE = {"length_drift", "one_word", "same_start"}


def sentence(random):
    item, kind = random.choice(ITEMS), random.choice(KINDS)
    words = random.choice([["the", item, "is", kind], ["a", kind, item, random.choice(DOES)]])
    if random.random() < 0.4:
        random.shuffle(words)
    return " ".join([*words, "."])


def reply(random):
    return " ".join([random.choice(OPENERS), *(sentence(random) for _ in range(random.choice([1, 2, 2, 3])))])


@pytest.fixture(scope="module")
def place(untrained, tmp_path_factory):
    """A folder with the start model, the prompts and the rules."""
    folder, random = tmp_path_factory.mktemp("planted"), Random(0)
    demonstrations = []
    for prompt in PROMPTS * 6:
        said = Completion((Message("assistant", reply(random)),))
        demonstrations.append(Group((Message("user", prompt),), (said,)))
    chosen = settings({
        "method": "sft", "model": "tiny", "output": str(folder / "sft"), "batch_size": 32, "epochs": 8,
        "learning_rate": 3e-3, "held_out": 0, "sample_prompts": 0, "eval_every": 1000, "device": "cpu",
        "dtype": "float32",
    })  # fmt: skip
    train(chosen, groups=demonstrations, start=untrained(WORDS, 64))
    rows = ({"prompt": [{"role": "user", "content": prompt}]} for prompt in PROMPTS)
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "rules.py").write_text(RULES)
    return folder


@pytest.fixture(scope="module")
def sober(place):
    """The reward model of labels that ask how many of the sentences are sound."""
    random, judge, rows = Random(1), load_function(f"{place}/rules.py:all_sound"), []
    while len(rows) < 400:
        prompt, two = random.choice(PROMPTS), [reply(random), reply(random)]
        worse, better = sorted(zip(judge([prompt] * 2, two), two, strict=True))
        if worse[0] < better[0]:
            turns = (
                ("prompt", "user", prompt),
                ("chosen", "assistant", better[1]),
                ("rejected", "assistant", worse[1]),
            )
            rows.append({key: [{"role": role, "content": text}] for key, role, text in turns})
    (place / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = preferably.train(
        "reward", model=place / "sft" / "model", data=place / "pairs.jsonl", output=place / "sober", epochs=4,
        learning_rate=1e-3, batch_size=16, device="cpu", dtype="float32",
    )  # fmt: skip
    return str(run.path)


@pytest.fixture
def against(place, tmp_path):
    """`against(reward, steps)`: the run that learns from it, its evaluations, and the codes of its warnings."""

    def run(reward, steps, guard=None):
        made = preferably.train(
            "rloo", model=place / "sft" / "model", data=place / "prompts.jsonl", output=tmp_path / "run",
            reward=reward.replace("RULES", f"{place}/rules.py"), guard=guard,
            held_out=40, sample_tokens=24, samples_per_prompt=8, batch_size=16, max_steps=steps, eval_every=6,
            save_every=steps, learning_rate=1e-3, schedule="constant", missing_eos_penalty=0.0,
            kl_coef=0.01,  # more would pay for short replies, which gather less KL: a drift of length as well
            device="cpu", dtype="float32",
        )  # fmt: skip
        lines = map(json.loads, (made.path / "metrics.jsonl").read_text().splitlines())
        seen = [line for line in lines if "samples/length" in line]
        return made, seen, {warning["code"] for warning in made.warnings}

    return run


@pytest.mark.parametrize(("reward", "steps", "code"), [
    ("length", 12, "length_drift"), ("RULES:says_big", 24, "one_word"), ("5*format:so .*", 48, "same_start"),
])  # fmt: skip
def test_each_planted_hack_is_learnt_and_raises_its_warning(against, reward, steps, code):
    _, seen, codes = against(reward, steps)
    assert seen[-1]["eval_objective/scores"] > 1.5 * seen[0]["eval_objective/scores"]
    assert code in codes, seen[-1]


def test_a_sane_reward_is_learnt_raises_none_of_the_three_and_its_guard_is_silent(sober, against):
    run, seen, codes = against("RULES:sound", 24, guard=sober)
    assert seen[-1]["eval_objective/scores"] > seen[0]["eval_objective/scores"] + 0.1
    assert seen[-1]["eval_guard/scores"] > seen[0]["eval_guard/scores"] + 0.1
    assert not codes & (THE_THREE | {"overoptimized"}), codes
    assert run.state.step == 24 and not run.state.reason


def test_a_guard_ends_the_run_that_exploits_its_reward(sober, against):
    run, seen, codes = against("RULES:says_big", 60, guard=sober)
    assert "overoptimized" in codes
    assert run.state.step == seen[-1]["step"] < 60 and "while the reward rose" in run.state.reason
    assert json.loads((run.path / "status.json").read_text())["state"] == "stopped"
    assert seen[-1]["eval_objective/scores"] > seen[0]["eval_objective/scores"]
    # what is kept is the step that the guard liked best, and not where the run ended
    best = max(seen[1:], key=lambda line: line["eval_guard/scores"])["step"]
    assert best == run.state.best_step < run.state.step and f"that of step {best}" in run.state.reason
    kept = load_file(run.model / "model.safetensors")
    saved = load_file(run.path / "checkpoints" / f"step-{best:08d}" / "weights.safetensors")
    assert all(torch.equal(kept[name.removeprefix("model.")], value) for name, value in saved.items())
