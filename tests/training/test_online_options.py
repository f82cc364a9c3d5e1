"""What can be asked of an online run beside its defaults: the arithmetic of each option, and that the loop runs it; and
what a run writes down of its iterations."""

import json

import numpy as np
import pytest
import torch
from rewards_learnt import likes_a

import preferably
from preferably.batches.group import collate
from preferably.config import settings
from preferably.models.critic import Critic
from preferably.models.loading import load
from preferably.models.policy import Policy
from preferably.models.sampler import Decoding
from preferably.training.lessons import lessons_of
from preferably.training.policy_steps import update_losses, weights_of
from preferably.training.reference import Reference
from preferably.training.rollouts import SHOWN, Engine

RULES = """
def letters(prompts, completions):
    return [float(sum(one.isalpha() for one in text)) for text in completions]


def of_some(prompts, completions):
    both = zip(prompts, letters(prompts, completions))
    return [None if int(prompt[0]) % 4 in (1, 2) else score for prompt, score in both]
"""


@pytest.fixture(scope="module")
def drawn(tiny, tmp_path_factory):
    """A policy, a reference, a critic and scored rollouts; nothing changes them."""
    policy = Policy(tiny.build("llama", std=0.1))
    engine = Engine(policy, tiny.tokenizer(), Decoding(1.0, max_tokens=8), samples=3, stop_ids={1})
    rollouts = engine.draw(range(4), [list(range(3, 6 + row)) for row in range(4)], seed=3, version=0)
    for number, rollout in enumerate(rollouts):
        rollout.scores = [float((number * 7 + k * 3) % 5) for k in range(3)]
    reference = Reference(Policy(tiny.build("llama", std=0.1, seed=1)), adapters=False, cache=False)
    directory = tiny.write_model(tmp_path_factory.mktemp("critic") / "m", seed=2)
    critic = Critic.of(load(directory, axes={"value": 1.0}, device="cpu", dtype="float32").policy)
    return policy, reference, critic, rollouts


def made(method, **more):
    given = {"method": method, "model": "tiny", "output": "x", "reward": "length", "sample_tokens": 8, "batch_size": 4}
    return settings(given | {"samples_per_prompt": 3} | more)


def lessons(drawn, method, kl_coef=0.3, **more):
    policy, reference, critic, rollouts = drawn
    return lessons_of(
        rollouts, policy, reference, critic if method == "ppo" else None, made(method, **more), kl_coef
    )  # fmt: skip


def every(found, name):
    return [one.double().numpy() for lesson in found for one in getattr(lesson, name)]


def test_rewards_at_variance_1_keep_their_mean(drawn):
    """By hand: the KL of every token and the score on the last are divided by the spread over all tokens, about their
    mean. With lambda 1 the return of a token is the sum of what comes from it on."""
    found, _ = lessons(drawn, "ppo", whiten_rewards=True, whiten_advantages=False, lam=1.0)
    both = zip(every(found, "old"), every(found, "reference"), strict=True)
    rewards = [-0.3 * (mine - theirs) for mine, theirs in both]
    for one, score in zip(rewards, (score for rollout in drawn[3] for score in rollout.scores), strict=True):
        one[-1] += score
    flat = np.concatenate(rewards)
    for one, wanted in zip(rewards, every(found, "returns"), strict=True):
        white = (one - flat.mean()) / flat.std() + flat.mean()
        assert white[::-1].cumsum()[::-1] == pytest.approx(wanted, abs=1e-4)


def test_grpo_without_the_spread_is_the_score_less_the_mean_of_its_prompt(drawn):
    found, _ = lessons(drawn, "grpo", kl_coef=0.0, scale_advantages=False)
    for rollout, lesson in zip(drawn[3], found, strict=True):
        by_hand = np.array(rollout.scores) - np.mean(rollout.scores)
        assert [float(one[0]) for one in lesson.advantages] == pytest.approx(by_hand, abs=1e-5)


def test_advantages_of_rloo_are_whitened_over_all_tokens(drawn):
    found, _ = lessons(drawn, "rloo", kl_coef=0.0, whiten_advantages=True)
    plain = []
    for rollout, lesson in zip(drawn[3], found, strict=True):
        for score, one in zip(rollout.scores, lesson.advantages, strict=True):
            plain.append(np.full(len(one), score - (sum(rollout.scores) - score) / 2))
    flat = np.concatenate(plain)
    by_hand = (flat - flat.mean()) / flat.std()
    assert np.concatenate(every(found, "advantages")) == pytest.approx(by_hand, abs=1e-4)


def test_the_bound_upwards_is_one_of_its_own_and_clipped_values_are_counted(drawn):
    """Old log-probs and values are moved, so that every ratio is 1.5 and every value 0.5 above its old one."""
    policy, _, critic, _ = drawn
    found, _ = lessons(drawn, "ppo")
    for lesson in found:
        lesson.old = [one - np.log(1.5) for one in lesson.old]
        lesson.values = [one - 0.5 for one in lesson.values]
        lesson.advantages = [torch.full_like(one, 2.0) for one in lesson.advantages]
        lesson.returns = [one + 10.0 for one in lesson.values]  # far above, so that the clipped branch is the larger
    for high, loss in ((None, -2.4), (0.3, -2.6), (0.6, -3.0)):  # -A (1 + 0.2), -A (1 + 0.3), and -A 1.5 is not cut
        chosen = made("ppo", clip_high=high)
        weights = torch.cat(list(weights_of(found, chosen).values()))
        total, _, seen = update_losses(policy, critic, found, weights, chosen, 0.0)
        assert total.item() == pytest.approx(loss, abs=1e-4)
        assert seen["policy/clipfrac_avg"].unique().tolist() == [float(high != 0.6)]
        assert seen["val/clipfrac_avg"].unique().tolist() == [1.0]


@pytest.mark.parametrize(("estimator", "by_hand"), [("k2", lambda r: r**2 / 2), ("k3", lambda r: np.exp(-r) - 1 + r)])
def test_a_kl_in_the_loss_is_added_by_its_estimate(drawn, estimator, by_hand):
    policy = drawn[0]
    more = {"kl_in": "loss", "kl_estimator": estimator}
    found, logged = lessons(drawn, "rloo", **more)
    weights = torch.cat(list(weights_of(found, made("rloo", **more)).values()))
    total, _, _ = update_losses(policy, None, found, weights, made("rloo", **more), 0.7)
    ratios = np.concatenate(every(found, "old")) - np.concatenate(every(found, "reference"))
    wanted = (0.7 * by_hand(ratios) - np.concatenate(every(found, "advantages"))).mean()
    assert total.item() == pytest.approx(wanted, abs=1e-4)
    assert logged["objective/non_score_reward"] == 0  # nothing is paid in the reward


@pytest.fixture(scope="module")
def train(tmp_path_factory, tiny_model_directory):
    folder = tmp_path_factory.mktemp("options")
    (folder / "prompts.jsonl").write_text("".join(json.dumps({"prompt": f"{k}? "}) + "\n" for k in range(8)))
    (folder / "rules.py").write_text(RULES)
    runs = {}

    def run(method, rule="letters", **more):
        """Two iterations, once for the same arguments."""
        given = {
            "reward": f"{folder}/rules.py:{rule}", "max_steps": 2, "batch_size": 4, "sample_tokens": 6, "held_out": 0,
            "samples_per_prompt": 4, "learning_rate": 1e-2, "device": "cpu", "dtype": "float32",
            "schedule": "constant", "missing_eos_penalty": 0.0,
        } | more  # fmt: skip
        key = str((method, rule, sorted(more.items())))
        if key not in runs:
            data, output = folder / "prompts.jsonl", folder / f"run{len(runs)}"
            runs[key] = preferably.train(method, model=tiny_model_directory, data=data, output=output, **given)
        return runs[key]

    return run


def lines(run, name="metrics.jsonl"):
    return [json.loads(line) for line in (run.path / name).read_text().splitlines()]


@pytest.mark.parametrize(("method", "option"), [
    ("ppo", {"whiten_rewards": True}), ("ppo", {"clip_high": 0.3}), ("grpo", {"scale_advantages": False}),
    ("rloo", {"whiten_advantages": True}), ("rloo", {"kl_in": "loss", "kl_estimator": "k3"}),
])  # fmt: skip
def test_the_loop_runs_the_option_and_learns_something_else_by_it(train, method, option):
    one, other = (list(run.loaded.policy.parameters()) for run in (train(method), train(method, **option)))
    assert all(torch.isfinite(p).all() for p in other)
    assert any(not torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_an_adaptive_coefficient_rises_where_the_kl_is_above_its_target(train):
    """At first policy and reference are one model; an iteration later any KL is far above the target. 4 x 4 completions
    an iteration: 0.2 x 16 / 320 each time."""
    told = lines(train("rloo", kl_target=1e-3, kl_horizon=320.0, kl_coef=0.05, max_steps=4, learning_rate=3e-2))
    assert told[2]["objective/rollout_kl"] > 2e-3
    assert [line["kl_coef"] for line in told[1:]] == pytest.approx(
        [0.05, 0.05 * 0.99, 0.05 * 0.99 * 1.01, 0.05 * 0.99 * 1.01**2]
    )


def test_far_from_the_reference_both_alarms_speak_of_rollouts_where_nothing_is_held_out(train):
    run = train("rloo", max_steps=24, learning_rate=5e-2, kl_coef=0.0, sample_tokens=12)
    told = {one["code"]: one for one in run.warnings}
    assert {"kl_high", "kl_high_per_token"} <= set(told) and "objective/kl" not in lines(run)[-1]
    assert "KL on rollouts is" in told["kl_high"]["message"]
    seen = {line["step"]: line for line in lines(run)[1:]}
    for code, name, most in (("kl_high", "kl", 10.0), ("kl_high_per_token", "kl_per_token", 0.5)):
        above = [step for step, line in seen.items() if line[f"objective/rollout_{name}"] > most]
        assert told[code]["step"] == min(above)  # at once, and not at the next evaluation


def test_what_ppo_logs_of_an_iteration(train):
    """The names of docs/ppo.md, detail 25."""
    run = train("ppo")
    line = lines(run)[-1]
    rule = next(name for name in line if name.startswith("rewards/") and not name.endswith("/std"))
    assert set(line) - {rule, f"{rule}/std"} == {
        "step", "epoch", "num_tokens", "episode", "learning_rate", "loss", "grad_norm", "kl_coef",
        "objective/scores", "objective/rlhf_reward", "objective/non_score_reward", "objective/entropy",
        "objective/rollout_kl", "objective/rollout_kl_per_token",
        "policy/approxkl_avg", "policy/clipfrac_avg", "loss/policy_avg", "loss/value_avg",
        "val/clipfrac_avg", "val/ratio", "val/ratio_var", "val/num_eos_tokens", "value/explained",
        "rollouts/length", "rollouts/unfinished", "rollouts/unscored", "sampling/sampling_logp_difference/mean",
    }  # fmt: skip
    paid = line["objective/rlhf_reward"] - line["objective/scores"]
    assert line["objective/non_score_reward"] == pytest.approx(paid, abs=1e-5) != 0
    assert paid == pytest.approx(-line["kl_coef"] * line["objective/rollout_kl"], abs=1e-5)


def test_a_few_rollouts_of_every_iteration_are_kept_with_the_version_that_drew_them(train):
    run = train("rloo", "of_some", max_steps=4)
    told = lines(run, "rollouts.jsonl")
    assert [one["step"] for one in told] == [step for step in (1, 2, 3, 4) for _ in range(SHOWN**2)]
    for one in told:
        assert one["version"] == one["step"] - 1
        score = None if one["row"] % 4 in (1, 2) else float(sum(map(str.isalpha, one["text"])))
        assert one["score"] == score and [*one["parts"].values()] == [score]
        assert one["prompt"] == f"{one['row']}? " and len(one["text"]) <= 6
    assert len({one["text"] for one in told}) > SHOWN**2 and any(one["score"] is None for one in told)


def test_the_critic_begins_as_the_reward_model(train, tiny, tmp_path, tiny_model_directory, monkeypatch):
    """Detail 9: the value of a state is what plain transformers says of the text so far, less the mean, by the
    spread."""
    from transformers import AutoModelForSequenceClassification

    rm = likes_a(tmp_path, tiny_model_directory, 3)
    (group,) = tiny.groups([(4, [3, 5])])
    begun = []

    class Begun(Exception):
        pass

    def look(policy, reference, critic, *rest, **more):
        with torch.no_grad():
            begun.extend(critic(collate([group])).tolist())
        raise Begun

    monkeypatch.setattr("preferably.training.run.train_online", look)
    with pytest.raises(Begun):
        train("ppo", reward=[str(rm.path)])
    plain = AutoModelForSequenceClassification.from_pretrained(rm.model, dtype=torch.float32).eval()
    unit = json.loads((rm.model / "reward.json").read_text())
    expected = []
    for completion in group.completions:
        for end in range(len(completion)):
            ids = torch.tensor([[*group.prompt, *completion[:end]]])
            with torch.no_grad():
                score = float(plain(ids).logits[0, 0])
            expected.append((score - unit["mean"][0]) / unit["spread"])
    assert begun == pytest.approx(expected, abs=1e-4) and np.std(expected) > 0.01
