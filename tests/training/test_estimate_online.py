"""Estimates of online runs: what is rehearsed is what happens, all models are counted, what does not fit is told."""

import json
from dataclasses import replace

import pytest
import torch

import preferably
from preferably.batches.group import collate
from preferably.batches.packing import packed_size
from preferably.config import settings
from preferably.errors import ConfigError
from preferably.models.critic import Critic
from preferably.models.loading import load
from preferably.models.policy import Policy
from preferably.training.company import Company
from preferably.training.estimate import DRAWING, STEP, estimate, memory_of, why_not
from preferably.training.lessons import Lesson
from preferably.training.pace import Pace, online_seconds
from preferably.training.policy_steps import update_losses
from preferably.training.reading import read_data
from preferably.training.rehearsal import Ledger, Rehearsal
from preferably.training.workload import count_work


@pytest.fixture
def given(tmp_path, tiny, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open("prompts.jsonl", "w") as file:
        file.writelines(json.dumps({"prompt": "q" * (1 + k % 7) + f"{k}"}) + "\n" for k in range(40))
    with open("rules.py", "w") as file:
        file.write("def score(prompts, completions):\n    return [1.0] * len(completions)\n")
    return {
        "model": str(tiny.write_model(tmp_path / "model")), "data": "prompts.jsonl", "output": "run", "held_out": 8,
        "batch_size": 8, "sample_prompts": 4, "sample_tokens": 12, "device": "cpu", "dtype": "float32",
        "reward": "length", "max_steps": 10, "eval_every": 5,
    }  # fmt: skip


def planned(given, method="ppo", **more):
    chosen = settings({"method": method} | given | more)
    outline = load(chosen.model, device="cpu", dtype=chosen.dtype, weights=False)
    data = read_data(chosen, None, outline, None)[0]
    return chosen, outline, data


# What is counted


@pytest.mark.parametrize(("method", "copies", "samples"), [("ppo", 3, 3), ("online-dpo", 2, 4), ("raft", 1, 4)])
def test_an_iteration_is_counted_as_it_goes(given, method, copies, samples):
    chosen, outline, data = planned(given, method, samples_per_prompt=samples, minibatches=2, save_every=1)
    work = count_work(chosen, data, outline.context)
    assert (work.steps, work.groups, work.evaluations, work.checkpoints) == (10, 80, 3, 11)
    assert {len(group.completions) for micro in work.largest for group in micro} == {copies}
    assert {len(group.completions) for group in work.rolled} == {samples}
    # 10 iterations of 8 prompts of the 32: two passes and a half over all, half of them drawn by chance
    mean = sum(len(group.prompt) for group in data.train) / 32
    assert work.tokens == pytest.approx(80 * (mean + copies * 12), rel=0.05)
    assert work.microbatches == 20  # one for each of two minibatches


def test_completions_end_where_the_context_does(given):
    chosen, _, data = planned(given, sample_tokens=100)
    assert max(map(packed_size, count_work(chosen, data, 50).rolled)) == 50


# What is held


def test_the_parts_by_hand():
    """1,000 weights, a critic of 900, reward models of 1,700 bytes in all, a copy of 2,000 bytes."""
    step = {"gradients": 4000, "logits": 5, "activations": 7}
    found = Rehearsal(1000, 1000, 4000, 4000, step, small=0, evaluation=100, sampling=90, check=80, drawing=60)
    beside = Company(3600, 1700, 2000, {"gradients": 3600, "logits": 0, "activations": 3}, 110, 120)
    chosen = settings({"method": "ppo", "model": "m", "output": "o", "reward": "length"})
    memory = memory_of(chosen, found, 0, None, beside)
    always = 4000 + 4000 + 3600 + 1700 + 2000
    moments = 2 * 4000 + 2 * 3600
    assert memory.phases == {
        "the self-check": always + 80, "sampling": always + moments + 90, "an evaluation": always + moments + 110,
        "a training step": always + moments + 7600 + 5 + 10, "saving the model": always,
        "drawing completions": always + moments + 60, "scoring": always + moments + 120,
    }  # fmt: skip
    assert memory.parts["moments"] == moments and memory.parts["gradients"] == 7600
    assert sum(memory.parts.values()) == memory.peak


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("budget", [40, 1000])
def test_what_is_rehearsed_is_what_happens(tiny, given, lora, budget):
    """The same ledger in a real update of a real policy and critic counts the same bytes."""
    from preferably.models.adapters import add_adapters

    chosen, outline, data = planned(given, lora=lora, tokens_per_microbatch=budget, samples_per_prompt=2)
    found = estimate(chosen, outline, data)
    policy = Policy(tiny.build("llama"))
    if lora:
        add_adapters(policy, r=16, alpha=32.0, targets="all-linear")
    critic = Critic.of(load(given["model"], axes={"value": 1.0}, device="cpu", dtype="float32").policy)
    seen = []
    for micro in found.work.largest:
        lessons = [Lesson(group, *([[torch.zeros(len(c)) for c in group.completions]] * 5)) for group in micro]
        tokens = sum(len(c) for group in micro for c in group.completions)
        for both in (policy, critic):
            for parameter in both.parameters():
                parameter.grad = (
                    torch.zeros_like(parameter) if found.work.accumulates and parameter.requires_grad else None
                )
        with Ledger(tiny.words) as ledger:
            for tensor in (*policy.parameters(), *policy.buffers(), *critic.parameters(), *critic.buffers()):
                ledger.known(tensor)
            grads = sum(p.grad.nbytes for both in (policy, critic) for p in both.parameters() if p.grad is not None)
            loss, value_loss, _ = update_losses(policy, critic, lessons, torch.ones(tokens), chosen, 0.1)
            (loss + value_loss).backward()
            seen.append(grads + sum(ledger.most.values()))
    step = sum(found.rehearsal.step.values()) + sum(found.company.critic_step.values())
    assert step == pytest.approx(max(seen), rel=0.15)
    assert step >= 0.98 * max(seen)  # both peaks at once, which is a little more than what happens
    assert collate(found.work.largest[0]).completions


def test_every_model_is_counted(given, tiny_model_directory, tmp_path):
    rows = [{"prompt": f"{k}? ", "chosen": "aaa", "rejected": "b" * (1 + k % 4)} for k in range(20)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rm = preferably.train(
        "reward", model=tiny_model_directory, data="pairs.jsonl", output="rm", max_steps=1, batch_size=8, device="cpu",
    )  # fmt: skip
    scorer = 4 * sum(p.numel() for p in rm.loaded.policy.parameters())
    for method, reward, guard, critic, rewards in (
        ("rloo", ["length"], None, 0, 0), ("rloo", ["rm", "length"], None, 0, 1), ("rloo", ["rm"], "rm", 0, 2),
        ("ppo", ["0.5*rm"], None, 1, 1), ("ppo", ["length"], None, 1, 0),
    ):  # fmt: skip
        found = estimate(*planned(given, method, reward=reward, guard=guard))
        assert (found.company.critic, found.company.rewards) == (critic * scorer, rewards * scorer), (method, reward)
        assert (found.company.scoring > 0) == bool(rewards)
    half = estimate(*planned(given, dtype="bfloat16"))
    assert half.company.resident == 2 * half.rehearsal.parameters
    assert estimate(*planned(given)).company.resident == 0
    assert estimate(*planned(given, reward=["rules.py:score", "format:a:b"])).company.unknown == ("rules.py:score",)


def test_more_completions_hold_more(given):
    few, many, longer = (
        estimate(*planned(given, "rloo", **more))
        for more in ({}, {"samples_per_prompt": 8}, {"sample_tokens": 48})
    )  # fmt: skip
    for more in (many, longer):
        assert more.memory.phases[DRAWING] > few.memory.phases[DRAWING]
        assert more.memory.phases[STEP] > few.memory.phases[STEP]
    assert many.rehearsal.drawing == pytest.approx(2 * few.rehearsal.drawing, rel=0.05)  # 8 prompts x 4 and x 8


# What is refused, and planned


def test_what_does_not_fit_is_refused_with_what_would(given):
    with pytest.raises(ConfigError, match="estimated to hold .* and it may hold 0.01 GB"):
        preferably.train("ppo", memory_limit=0.01, **given)
    wide = given | {"batch_size": 32, "samples_per_prompt": 16, "sample_tokens": 100, "tokens_per_microbatch": 60_000}
    chosen, outline, data = planned(wide, "grpo")
    large = estimate(chosen, outline, data)
    small = estimate(*planned(wide | {"tokens_per_microbatch": 2000}, "grpo"))
    assert large.memory.phase == STEP and large.memory.peak > small.memory.peak + 20e6
    limit = (small.memory.peak + large.memory.peak) / 2
    limited = chosen.model_copy(update={"memory_limit": limit / 1e9})
    said = why_not(limited, outline, data, estimate(limited, outline, data))
    assert "What fits: --tokens-per-microbatch " in said
    tokens = int(said.split("--tokens-per-microbatch ")[1].split()[0])
    assert estimate(*planned(wide | {"tokens_per_microbatch": tokens}, "grpo")).memory.peak <= limit + 5e6


@pytest.mark.parametrize("method", ["ppo", "grpo", "online-dpo", "raft"])
def test_a_plan_says_all_of_it_and_leaves_nothing(given, tmp_path, method):
    before = sorted(tmp_path.rglob("*"))
    plan = preferably.plan(method, **given | {"reward": ["rules.py:score"]})
    assert sorted(path for path in tmp_path.rglob("*") if "__pycache__" not in str(path)) == before
    said = dict(plan.lines())
    assert "10 of 8 prompts" in said["steps"] and "tokens long" in said["steps"]
    assert {"drawing", "scoring", "training"} <= set(plan.seconds) and all(
        value >= 0 for value in plan.seconds.values()
    )
    assert plan.seconds["scoring"] == 0 < plan.seconds["drawing"]
    assert any("without what rules.py:score takes" in figures for _, figures in plan.lines())
    assert sum(plan.estimate.memory.parts.values()) == plan.estimate.memory.peak


def test_the_seconds_by_hand(given):
    """A token takes 1 s forward and backward and 0.1 s forward, an update 5 s, a prompt 2 s to read, a token 3 s."""
    chosen, outline, data = planned(given, samples_per_prompt=2, update_epochs=3, minibatches=2)
    found = estimate(chosen, outline, data)
    weights = found.rehearsal.weights
    pace = Pace(load=10, step=1.0, look=0.1, update=5, read=2, draw=3, write=0.0, probe=0)
    beside = replace(found.company, critic=weights, rewards=2 * weights)
    seconds = online_seconds(chosen, found.work, found.rehearsal, beside, pace, (0, 0))
    rolled = 80 * sum(map(packed_size, found.work.rolled)) / 32
    assert seconds["drawing"] == 80 * (2 + 2 * 12 * 3)
    assert seconds["scoring"] == pytest.approx(rolled * 2 * 0.1)
    updates = 3 * found.work.tokens * 2 + 10 * 3 * 2 * 5 * 2
    assert seconds["training"] == pytest.approx(updates + rolled * 3 * 0.1)  # looked at by policy, reference, critic
    assert seconds["loading and checks"] == 40
