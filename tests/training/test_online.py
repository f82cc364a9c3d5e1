"""The online loop on a tiny model: it learns what the reward pays for, and the traps of PPO are not in it."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from rewards_learnt import likes_a

import preferably
from preferably.batches.group import collate
from preferably.config import settings
from preferably.errors import ConfigError, TrainingError
from preferably.models.critic import Critic, SharedCritic
from preferably.models.loading import load
from preferably.models.policy import Policy
from preferably.models.sampler import Decoding
from preferably.training.lessons import lessons_of, looked_at
from preferably.training.policy_steps import update_losses, weights_of
from preferably.training.reference import Reference
from preferably.training.rollouts import Engine
from preferably.training.teaching import chosen_of

REWARD = """
def many_a(prompts, completions):
    return [float(text.count("a")) for text in completions]


def more_a(prompts, pairs):
    gaps = [b.count("a") - a.count("a") for a, b in pairs]
    return ["tie" if not gap else int(gap > 0) for gap in gaps]


def cannot(prompts, pairs):
    return [None for _ in pairs]


def broken(prompts, completions):
    return [float("nan")] * len(completions)


def knows_x(prompts, completions):
    return [1.0 if text == "x" else None for text in completions]


def too_few(prompts, completions):
    return [0.0]


calls = 0


def breaks_later(prompts, completions):
    global calls
    calls += 1
    return [float("nan") if calls > 2 else 1.0] * len(completions)
"""


def made(**more):
    given = {"method": "ppo", "model": "tiny", "output": "x", "reward": "length", "sample_tokens": 12, "batch_size": 4}
    return settings(given | more)


@pytest.fixture
def drawn(tiny, tmp_path):
    """Rollouts of a tiny policy with scores, and what drew them."""

    def draw(samples=3, temperature=1.0, prompts=4, **more):
        policy = Policy(tiny.build("llama", std=0.1))
        chosen = made(samples_per_prompt=samples, temperature=temperature, **more)
        engine = Engine(policy, tiny.tokenizer(), Decoding(temperature, max_tokens=12), samples=samples, stop_ids={1})
        asked = [list(range(3, 6 + row)) for row in range(prompts)]
        rollouts = engine.draw(range(prompts), asked, seed=3, version=0)
        for number, rollout in enumerate(rollouts):
            rollout.scores = [float((number * 7 + k * 3) % 5) for k in range(samples)]
        reference = Reference(Policy(tiny.build("llama", std=0.1, seed=1)), adapters=False, cache=False)
        directory = tiny.write_model(tmp_path / "critic", seed=2)
        critic = Critic.of(load(directory, axes={"value": 1.0}, device="cpu", dtype="float32").policy)
        return policy, reference, critic, rollouts, chosen

    return draw


def update(policy, critic, lessons, chosen, kl_coef=0.1):
    weights = torch.cat(list(weights_of(lessons, chosen).values()))
    return update_losses(policy, critic, lessons, weights, chosen, kl_coef)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_ratio_is_1_before_any_update_and_nothing_is_clipped(drawn, temperature):
    policy, reference, critic, rollouts, chosen = drawn(temperature=temperature)
    lessons, _ = lessons_of(rollouts, policy, reference, critic, chosen, 0.1)
    _, _, seen = update(policy, critic, lessons[::-1], chosen)
    assert float((seen["val/ratio"] - 1).abs().max()) < 1e-5
    assert float(seen["policy/approxkl_avg"].max()) < 1e-9 and not seen["policy/clipfrac_avg"].any()


def test_log_probs_are_of_the_temperature_that_was_sampled_with(tiny, drawn):
    policy, reference, critic, rollouts, chosen = drawn(temperature=0.7)
    old, known, _ = looked_at([one.group for one in rollouts], policy, reference, None, chosen)
    at = 0
    for rollout in rollouts:
        for one in rollout.samples:
            ids = torch.tensor([[*rollout.prompt, *one.tokens]])
            for model, found in ((policy, old[at]), (reference.policy, known[at])):
                logits = model.model(input_ids=ids, use_cache=False).logits[0, len(rollout.prompt) - 1 : -1] / 0.7
                expected = logits.double().log_softmax(-1).gather(1, torch.tensor(one.tokens)[:, None])[:, 0]
                assert torch.allclose(found.double(), expected, atol=1e-5)
            at += 1
    assert policy.temperature == 1.0  # and only there


def test_the_kl_in_the_reward_adds_up_to_the_log_ratio_and_the_score_lies_on_the_last_token(drawn):
    policy, reference, critic, rollouts, chosen = drawn(whiten_advantages=False, lam=1.0)
    lessons, logged = lessons_of(rollouts, policy, reference, critic, chosen, 0.3)
    totals = []
    for rollout, lesson in zip(rollouts, lessons, strict=True):
        for k, score in enumerate(rollout.scores):
            kl = float((lesson.old[k] - lesson.reference[k]).sum())
            totals.append(score - 0.3 * kl)
            # with lambda 1 the return of the first token is all that comes after it
            assert float(lesson.returns[k][0]) == pytest.approx(totals[-1], abs=1e-4)
            assert float(lesson.returns[k][-1]) == pytest.approx(
                score - 0.3 * float(lesson.old[k][-1] - lesson.reference[k][-1]), abs=1e-4
            )
    assert logged["objective/rlhf_reward"] == pytest.approx(np.mean(totals), abs=1e-4)


def test_advantages_are_whitened_over_the_whole_batch(drawn):
    policy, reference, critic, rollouts, chosen = drawn()
    lessons, _ = lessons_of(rollouts, policy, reference, critic, chosen, 0.1)
    everything = torch.cat([one for lesson in lessons for one in lesson.advantages])
    assert abs(float(everything.mean())) < 1e-5 and float(everything.var(unbiased=False)) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("method", "by_hand"), [
    ("rloo", lambda row: [value - (sum(row) - value) / (len(row) - 1) for value in row]),
    ("grpo", lambda row: [(value - np.mean(row)) / (np.std(row, ddof=1) + 1e-4) for value in row]),
])  # fmt: skip
def test_group_advantages_are_the_same_for_every_token(drawn, method, by_hand):
    policy, reference, _, rollouts, chosen = drawn(method=method)
    lessons, _ = lessons_of(rollouts, policy, reference, None, chosen, 0.0)
    for rollout, lesson in zip(rollouts, lessons, strict=True):
        assert [float(one[0]) for one in lesson.advantages] == pytest.approx(by_hand(rollout.scores), abs=1e-4)
        assert all(float(one.min()) == float(one.max()) for one in lesson.advantages)


@pytest.mark.parametrize("norm", ["tokens", "sequences", "fixed"])
def test_weights_of_tokens(drawn, norm):
    policy, reference, critic, rollouts, chosen = drawn(loss_norm=norm)
    lessons, _ = lessons_of(rollouts, policy, reference, critic, chosen, 0.1)
    weights = torch.cat(list(weights_of(lessons, chosen).values()))
    lengths = [len(one) for lesson in lessons for one in lesson.old]
    if norm == "fixed":
        assert torch.allclose(weights, torch.full_like(weights, 1 / (len(lengths) * 12)))
    else:
        assert float(weights.sum()) == pytest.approx(1, abs=1e-5)
    if norm == "sequences":
        assert [float(part.sum()) for part in weights.split(lengths)] == pytest.approx(
            [1 / len(lengths)] * len(lengths)
        )


def test_the_loss_does_not_depend_on_the_cut_into_micro_batches(drawn):
    policy, reference, critic, rollouts, chosen = drawn()
    lessons, _ = lessons_of(rollouts, policy, reference, critic, chosen, 0.1)
    weights = list(weights_of(lessons, chosen).values())
    whole, value, _ = update_losses(policy, critic, lessons, torch.cat(weights), chosen, 0.1)
    parts = [update_losses(policy, critic, [one], w, chosen, 0.1) for one, w in zip(lessons, weights, strict=True)]
    assert sum(part[0].item() for part in parts) == pytest.approx(whole.item(), abs=1e-6)
    assert sum(part[1].item() for part in parts) == pytest.approx(value.item(), abs=1e-6)


def test_the_gradient_at_the_start_is_the_policy_gradient(drawn):
    policy, reference, critic, rollouts, chosen = drawn()
    lessons, _ = lessons_of(rollouts, policy, reference, critic, chosen, 0.1)
    loss, _, _ = update(policy, None, lessons, chosen)
    mine = torch.autograd.grad(loss, list(policy.parameters()), allow_unused=True)
    logps = policy(collate([lesson.group for lesson in lessons]))
    advantages = torch.cat([one for lesson in lessons for one in lesson.advantages])
    plain = torch.autograd.grad(-(advantages * logps).mean(), list(policy.parameters()), allow_unused=True)
    for one, other in zip(mine, plain, strict=True):
        if one is not None:
            assert torch.allclose(one, other, atol=1e-6)


def test_a_critic_on_the_policys_trunk_costs_no_second_forward_and_teaches_the_trunk(drawn):
    policy, reference, _, rollouts, chosen = drawn()
    critic = SharedCritic(policy)
    torch.nn.init.normal_(critic.score.weight)
    lessons, _ = lessons_of(rollouts, policy, reference, critic, chosen, 0.1)
    forwards = []
    handle = policy.body.register_forward_hook(lambda *_: forwards.append(1))
    _, value_loss, _ = update(policy, critic, lessons, chosen)
    handle.remove()
    assert len(forwards) == 1 and [name for name, _ in critic.named_parameters()] == ["score.weight"]
    value_loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in (critic.score.weight, *policy.body.parameters()))
    # the states are those of the policy as it is now, also after an update
    before = lessons_of(rollouts, policy, reference, critic, chosen, 0.1)[0][0].values[0]
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.mul_(1.1)
    after = lessons_of(rollouts, policy, reference, critic, chosen, 0.1)[0][0].values[0]
    assert (before - after).abs().max() > 1e-4
    packed = critic(collate([lesson.group for lesson in lessons]))
    policy.fall_back()
    assert torch.allclose(packed, critic(collate([lesson.group for lesson in lessons])), atol=1e-5)


def test_a_kl_in_the_loss_pulls_towards_the_reference(drawn):
    policy, reference, _, rollouts, chosen = drawn(method="rloo", kl_in="loss", kl_estimator="k2")
    for rollout in rollouts:
        rollout.scores = [0.0] * 3  # nothing but the KL to learn
    lessons, _ = lessons_of(rollouts, policy, reference, None, chosen, 1.0)
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
    values = []
    for _ in range(20):
        loss, _, _ = update(policy, None, lessons, chosen, kl_coef=1.0)
        values.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert values[-1] < 0.7 * values[0]


def test_the_best_and_the_worst_are_taken_and_equal_ones_teach_nothing(drawn):
    _, _, _, rollouts, _ = drawn()
    rollouts[0].scores, rollouts[1].scores = [1.0, 3.0, 2.0], [2.0, 2.0, 2.0]
    pair, *_ = chosen_of(rollouts, pairs=True)
    group = rollouts[0].group
    assert np.array_equal(pair.completions[0], group.completions[1])
    assert np.array_equal(pair.completions[1], group.completions[0])
    assert rollouts[1].row not in [one.row for one in chosen_of(rollouts, pairs=False)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("online")
    (folder / "prompts.jsonl").write_text("".join(json.dumps({"prompt": f"{k}? "}) + "\n" for k in range(24)))
    (folder / "rules.py").write_text(REWARD)
    return folder


def train(place, tiny_model_directory, output, method="rloo", **more):
    given = {
        "reward": f"{place}/rules.py:many_a", "max_steps": 12, "batch_size": 8, "sample_tokens": 8, "held_out": 4,
        "learning_rate": 1e-2, "kl_coef": 0.01, "device": "cpu", "dtype": "float32", "schedule": "constant",
        "missing_eos_penalty": 0.0, "seed": 1,
    }  # fmt: skip
    return preferably.train(
        method, model=tiny_model_directory, data=place / "prompts.jsonl", output=output, **given | more
    )


def lines(run):
    return [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("method", "more"), [
    ("ppo", {"samples_per_prompt": 4}), ("ppo", {"samples_per_prompt": 4, "critic": "shared"}), ("rloo", {}),
    ("grpo", {}),
    ("online-dpo", {"samples_per_prompt": 4, "kl_coef": None}), ("raft", {"kl_coef": None}),
])  # fmt: skip
def test_every_method_learns_what_the_reward_pays_for(place, tiny_model_directory, tmp_path, method, more):
    run = train(place, tiny_model_directory, tmp_path / method, method, **more)
    told = lines(run)
    before, after = told[0]["eval_objective/scores"], told[-1]["eval_objective/scores"]
    assert after > before + 0.3, (before, after)
    assert told[-1]["objective/kl"] > 0 and (run.model / "config.json").exists()


@pytest.mark.parametrize(("method", "samples"), [("online-dpo", 2), ("grpo", 4), ("raft", 4)])
def test_a_judge_of_two_is_learnt_from_and_says_how_the_policy_does_against_its_start(
    place, tiny_model_directory, tmp_path, method, samples
):
    judge = f"judge:{place}/rules.py:more_a"
    more = {"reward": judge, "guard": f"2*{judge}", "samples_per_prompt": samples, "held_out": 12}
    run = train(place, tiny_model_directory, tmp_path / "run", method, kl_coef=None, **more)
    told = lines(run)
    assert told[0][f"eval_rewards/{judge}"] == 0.5  # the start against itself
    assert told[-1][f"eval_rewards/{judge}"] > 0.7
    assert told[-1]["eval_guard/scores"] == pytest.approx(2 * told[-1][f"eval_rewards/{judge}"])
    # Of all that are drawn for a prompt, half of the comparisons are won, whoever wins them.
    assert told[1]["objective/scores"] == pytest.approx(0.5) and told[1][f"rewards/{judge}/std"] > 0
    assert not [one for one in run.warnings if one["code"] == "overoptimized"]


def test_a_judge_of_two_needs_two_and_verdicts(place, tiny_model_directory, tmp_path):
    judge = f"judge:{place}/rules.py:more_a"
    with pytest.raises(ConfigError, match="there is one; draw at least 2"):
        train(place, tiny_model_directory, tmp_path / "a", "ppo", reward=judge, samples_per_prompt=1)
    with pytest.raises(ConfigError, match="there is one; draw at least 2"):
        train(place, tiny_model_directory, tmp_path / "a", "ppo", reward=["length", judge], samples_per_prompt=1)
    alone = train(
        place, tiny_model_directory, tmp_path / "g", "ppo", guard=judge, samples_per_prompt=1, max_steps=1
    )  # which holds one against the start's
    assert lines(alone)[0]["eval_guard/scores"] == 0.5
    with pytest.raises(ConfigError, match="cannot gives no finite number"):
        train(place, tiny_model_directory, tmp_path / "b", reward=f"judge:{place}/rules.py:cannot")
    with pytest.raises(ConfigError, match="has no 'missing'"):
        train(place, tiny_model_directory, tmp_path / "c", reward=f"judge:{place}/rules.py:missing")


def test_a_reward_that_gives_no_numbers_is_refused_before_anything_is_drawn(place, tiny_model_directory, tmp_path):
    with pytest.raises(ConfigError, match="broken gives no finite number"):
        train(place, tiny_model_directory, tmp_path / "a", reward=f"{place}/rules.py:broken")
    with pytest.raises(ConfigError, match="gave 1 results; expected one number or None for each of"):
        train(place, tiny_model_directory, tmp_path / "b", reward=f"{place}/rules.py:too_few")
    with pytest.raises(ConfigError, match="needs a reward"):
        train(place, tiny_model_directory, tmp_path / "c", reward=())


def test_a_reward_that_breaks_stops_the_run_after_three_steps(place, tiny_model_directory, tmp_path):
    with pytest.raises(TrainingError, match="gave no finite number for 32 of 32 completions"):
        train(place, tiny_model_directory, tmp_path / "run", reward=f"{place}/rules.py:breaks_later")
    warned = [json.loads(line)["code"] for line in (tmp_path / "run" / "warnings.jsonl").read_text().splitlines()]
    assert warned.count("not_finite") == 3


def test_no_room_for_a_prompt_is_an_error(place, tiny_model_directory, tmp_path):
    with pytest.raises(ConfigError, match="leave no room for a prompt in a context of 128"):
        train(place, tiny_model_directory, tmp_path / "run", sample_tokens=128)


def test_a_completion_without_an_end_is_penalised(place, tiny_model_directory, tmp_path):
    free, fined = (
        lines(train(place, tiny_model_directory, tmp_path / str(fine), max_steps=1, missing_eos_penalty=fine))[1]
        for fine in (0.0, 5.0)
    )
    assert free["rollouts/unfinished"] == fined["rollouts/unfinished"] > 0
    gap = free["objective/scores"] - fined["objective/scores"]
    assert gap == pytest.approx(5.0 * free["rollouts/unfinished"], abs=1e-4)


def test_an_adaptive_coefficient_moves_towards_its_target(place, tiny_model_directory, tmp_path):
    told = lines(train(place, tiny_model_directory, tmp_path / "run", kl_target=50.0, kl_horizon=320.0, max_steps=3))
    # 8 prompts x 4 completions an iteration, and the KL is far below the target: -0.2 x 32 / 320 each time
    assert [line["kl_coef"] for line in told[1:]] == pytest.approx([0.01, 0.01 * 0.98, 0.01 * 0.98**2])


@pytest.mark.parametrize(("method", "critic", "rule"), [
    ("ppo", None, "many_a"), ("ppo", "shared", "many_a"), ("rloo", None, "many_a"), ("online-dpo", None, "many_a"),
    ("online-dpo", None, "more_a"),
])  # fmt: skip
def test_a_stopped_run_goes_on_as_if_it_had_not_been(place, tiny_model_directory, tmp_path, method, critic, rule):
    from preferably.training.closing import Progress

    def stop(number, metrics):
        if number == 2:
            raise KeyboardInterrupt

    reward = f"judge:{place}/rules.py:{rule}" if rule == "more_a" else f"{place}/rules.py:{rule}"
    more = {"max_steps": 4, "save_every": 1, "kl_coef": None, "critic": critic, "reward": reward}
    whole = train(place, tiny_model_directory, tmp_path / "whole", method, **more)
    with pytest.raises(KeyboardInterrupt):
        train(place, tiny_model_directory, tmp_path / "cut", method, progress=Progress(step=stop), **more)
    cut = train(place, tiny_model_directory, tmp_path / "cut", method, resume=True, **more)
    one, other = ((run.model / "model.safetensors").read_bytes() for run in (whole, cut))
    assert one == other
    for name in ("metrics.jsonl", "rollouts.jsonl"):
        logs = [(run.path / name).read_bytes() for run in (whole, cut)]
        assert logs[0] == logs[1]


def test_several_parts_are_added_up_and_each_is_logged(place, tiny_model_directory, tmp_path):
    run = train(
        place, tiny_model_directory, tmp_path / "run", max_steps=1,
        reward=[f"0.5*{place}/rules.py:many_a", "-0.1*length", "2*format:.*z"],
    )  # fmt: skip
    line = lines(run)[1]
    names = [f"rewards/{place}/rules.py:many_a", "rewards/length", "rewards/format:.*z"]
    total = sum(weight * line[name] for weight, name in zip((0.5, -0.1, 2), names, strict=True))
    assert line["objective/scores"] == pytest.approx(total, abs=1e-5)


def test_demonstrations_are_mixed_in(place, tiny_model_directory, tmp_path):
    (tmp_path / "more.jsonl").write_text(json.dumps({"prompt": "x? ", "completion": "yes"}) + "\n")
    line = lines(
        train(
            place,
            tiny_model_directory,
            tmp_path / "run",
            max_steps=1,
            ptx_data=[tmp_path / "more.jsonl"],
            ptx_weight=0.5,
        )
    )[1]
    assert line["loss/ptx"] > 0
    with pytest.raises(ConfigError, match="belong together"):
        train(place, tiny_model_directory, tmp_path / "no", ptx_weight=0.5)


def test_samples_of_one_prompt_share_their_group(drawn):
    _, _, _, rollouts, _ = drawn(samples=3)
    group = rollouts[0].group
    assert len(group.completions) == 3 and all(mask.all() for mask in group.train)
    assert dataclasses.replace(rollouts[0]).version == 0


def test_a_reward_model_is_learnt_from_watched_by_another_and_begins_the_critic(place, tiny_model_directory, tmp_path):
    rm = likes_a(tmp_path, tiny_model_directory, 6)
    run = train(
        place, tiny_model_directory, tmp_path / "ppo", "ppo", samples_per_prompt=2, max_steps=2, reward=[str(rm.path)],
        guard=str(rm.model),
    )  # fmt: skip
    line = lines(run)[-1]
    assert "value/explained" in line and line["eval_guard/scores_se"] > 0
    # the guard is the same model, so it says the same: scores in units of their spread, without the penalty (0 here)
    assert line["eval_guard/scores"] == pytest.approx(line["eval_objective/scores"], abs=1e-5)
    config = (run.path / "checkpoints").iterdir()
    assert all((path / "critic.safetensors").exists() for path in config)


def test_a_guard_may_be_any_part_of_a_reward(place, tiny_model_directory, tmp_path):
    run = train(place, tiny_model_directory, tmp_path / "run", max_steps=1, guard="-2*length", reward="length")
    line = lines(run)[-1]
    assert line["eval_guard/scores"] == pytest.approx(-2 * line["eval_rewards/length"]) != 0


def test_a_guard_that_cannot_tell_is_no_silent_one(place, tiny_model_directory, tmp_path):
    run = train(place, tiny_model_directory, tmp_path / "run", max_steps=1, guard=f"{place}/rules.py:knows_x")
    told = [(one["step"], one["message"]) for one in run.warnings if one["code"] == "reward_failed"]
    words = f"the guard {place}/rules.py:knows_x gave no finite number for 4 of 4 samples"
    assert told == [(0, words), (1, words)] and "eval_guard/scores" not in lines(run)[1]


def test_a_guard_that_turns_while_the_reward_climbs_ends_the_run():
    from preferably.training.state import State

    state = State()
    seen = {"eval_guard/scores": 1.0, "eval_guard/scores_se": 0.1, "eval_objective/scores": 0.0}
    assert state.watch(seen) == "" == state.watch(seen | {"eval_guard/scores": 0.8, "eval_objective/scores": 1.0})
    assert state.watch(seen | {"eval_guard/scores": 0.5, "eval_objective/scores": -1.0}) == ""  # both fell
    reason = state.watch(seen | {"eval_guard/scores": 0.5, "eval_objective/scores": 2.0})
    assert "fell from 1.000 to 0.500 while the reward rose from 0.000 to 2.000" in reason and state.reason == reason
