"""What an online run must notice, refuse or say: in its settings, its rewards, its critic, and when it is resumed."""

import copy
import json
import shutil

import pytest
import torch
from rewards_learnt import likes_a

import preferably
from preferably.config import settings
from preferably.errors import CheckpointError, ConfigError, ModelError
from preferably.judging.parts import answered, reward_parts
from preferably.judging.reward import score_groups
from preferably.models.loading import load, load_reward
from preferably.models.policy import Policy
from preferably.models.sampler import Decoding
from preferably.training.closing import Progress
from preferably.training.rollouts import Engine

MANY_A = """
def many_a(prompts, completions):
    return [float(text.count("a")) for text in completions]


def more_a(prompts, pairs):
    return ["tie" if a.count("a") == b.count("a") else int(b.count("a") > a.count("a")) for a, b in pairs]


asked = 0


def counted(prompts, completions):
    global asked
    asked += len(completions)
    return [1.0] * len(completions)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edges")
    (folder / "prompts.jsonl").write_text("".join(json.dumps({"prompt": f"{k}? "}) + "\n" for k in range(24)))
    (folder / "more.jsonl").write_text(json.dumps({"prompt": "x? ", "completion": "yes"}) + "\n")
    (folder / "rules.py").write_text(MANY_A)
    return folder


@pytest.fixture(scope="module")
def rm(place, tiny_model_directory):
    return likes_a(place, tiny_model_directory, 6)


@pytest.fixture
def train(place, tiny_model_directory, tmp_path):
    def run(method="ppo", name="run", **more):
        given = {
            "reward": f"{place}/rules.py:many_a", "max_steps": 2, "batch_size": 4, "sample_tokens": 8, "held_out": 4,
            "samples_per_prompt": 2, "learning_rate": 1e-3, "device": "cpu", "dtype": "float32", "seed": 1,
            "model": tiny_model_directory, "data": place / "prompts.jsonl",
        }  # fmt: skip
        return preferably.train(method, output=tmp_path / name, **given | more)

    return run


def lines(run):
    return [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]


def test_the_copy_that_draws_rounds_weights_and_no_frequencies(tiny):
    policy = Policy(tiny.build("llama", std=0.1), compute=torch.bfloat16)
    engine = Engine(policy, tiny.tokenizer(), Decoding(1.0, max_tokens=12), samples=2, stop_ids={1})
    assert {p.dtype for p in engine.resident.parameters()} == {torch.bfloat16}
    kept = dict(policy.named_buffers())
    assert kept and all(torch.equal(buffer, kept[name]) for name, buffer in engine.resident.named_buffers())
    engine.refresh()
    (rollout, *_) = engine.draw(range(4), [[3, 4, 5]] * 4, seed=0, version=0)
    with torch.no_grad():
        from preferably.batches.group import collate

        known = policy(collate([rollout.group]))
    captured = torch.tensor([logp for one in rollout.samples for logp in one.logps])
    assert (known - captured).abs().max() < 0.2  # bfloat16 on both sides


def test_how_far_the_captured_log_probs_are_from_the_trainers_is_logged(train):
    assert lines(train())[1]["sampling/sampling_logp_difference/mean"] < 1e-5
    warm = lines(train(name="warm", temperature=0.7))[1]  # captured is at temperature 1
    assert "sampling/sampling_logp_difference/mean" not in warm and abs(warm["val/ratio"] - 1) < 0.5


@pytest.mark.parametrize("more", [
    {"lora": True}, {"attention": "padded"}, {"attention": "padded", "critic": "shared"}, {"temperature": 0.7},
])  # fmt: skip
def test_the_first_update_begins_at_ratio_1_however_the_model_runs(train, more):
    """With temperature 1 the old log-probs are taken from the update's own forward, so the ratio alone says nothing:
    the sampler's have to be near them too."""
    line = lines(train(max_steps=1, update_epochs=1, minibatches=1, **more))[1]
    assert line["val/ratio"] == pytest.approx(1, abs=1e-4) and line["policy/clipfrac_avg"] == 0
    if "temperature" not in more:
        assert line["sampling/sampling_logp_difference/mean"] < 1e-4


def test_numbers_of_a_reward_model_that_are_none_are_no_scores(rm, tmp_path):
    (part,) = reward_parts([str(rm.path)], device="cpu", dtype="float32")
    record = answered(preferably.api.prompts_in(rm.path / "held_out.jsonl", None)[0], ["a", "b"])
    assert None not in part.score([record])
    with torch.no_grad():
        part.loaded.policy.inner.score.weight.fill_(float("nan"))
    assert part.score([record]) == [None, None]
    shutil.copytree(rm.model, tmp_path / "flat")
    known = json.loads((tmp_path / "flat" / "reward.json").read_text())
    (tmp_path / "flat" / "reward.json").write_text(json.dumps(known | {"spread": 0.0}))
    with pytest.raises(ModelError, match=r"the spread 0.0; expected a number above 0"):
        load_reward(tmp_path / "flat")
    (tmp_path / "flat" / "reward.json").unlink()
    assert any("taken as they are" in note for note in load_reward(tmp_path / "flat").notes)


def test_a_scorer_that_cannot_be_packed_is_found_out_by_what_it_is_asked(rm):
    right, wrong = (load_reward(rm.path, device="cpu", dtype="float32") for _ in range(2))
    states = wrong.policy.states
    wrong.policy.states = lambda batch: states(batch).roll(1, 0)  # across the borders of the packed row
    records = [answered(one, ["ab", "c"]) for one in preferably.api.prompts_in(rm.path / "held_out.jsonl", None)]
    found, known = (torch.cat(score_groups(one, records)) for one in (wrong, right))
    assert torch.allclose(found, known, atol=1e-5)
    assert right.policy.packed and not wrong.policy.packed and "padded path is used" in wrong.notes[-1]


def test_a_reward_model_with_another_tokenizer_is_said_and_begins_no_critic(train, rm, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(rm.model, other)
    file = other / "tokenizer.json"
    file.write_text(file.read_text().replace('"Z": ', '"\u00e9": '))  # one character for another
    said = []
    run = train(reward=[str(other)], progress=Progress(warn=lambda *words: said.append(words[1])))
    assert any("has another tokenizer: completions reach it as text" in text for text in said)
    assert any("the critic begins as the policy, with a head of zeros" in text for text in said)
    assert lines(run)[1]["value/explained"] is not None
    with pytest.raises(ConfigError, match="has another vocabulary than the policy"):
        train(name="asked", critic=str(other))


def test_a_resumed_run_has_the_same_demonstrations_and_unit_of_reward(train, place, rm, tmp_path):
    shutil.copytree(rm.path, tmp_path / "rm")
    shutil.copy(place / "more.jsonl", tmp_path / "more.jsonl")
    more = {"reward": [str(tmp_path / "rm")], "ptx_data": [tmp_path / "more.jsonl"], "ptx_weight": 0.5}

    def stop(number, metrics):
        if number == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(save_every=1, progress=Progress(step=stop), **more)
    (tmp_path / "more.jsonl").write_text(json.dumps({"prompt": "x? ", "completion": "no"}) + "\n")
    with pytest.raises(CheckpointError, match="ptx_data"):
        train(save_every=1, resume=True, **more)
    shutil.copy(place / "more.jsonl", tmp_path / "more.jsonl")
    file = tmp_path / "rm" / "model" / "reward.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"spread": 9.0}))
    with pytest.raises(CheckpointError, match="spread"):
        train(save_every=1, resume=True, **more)


@pytest.mark.parametrize(("more", "says"), [
    ({"method": "dpo", "temperature": 0.7}, "does not read 'temperature', which is for methods that draw"),
    ({"method": "dpo", "minibatches": 2}, "does not read 'minibatches'"),
    ({"method": "dpo", "stop_kl": 3}, "does not read 'stop_kl'"),
    ({"method": "raft", "kl_target": 3}, "does not read 'kl_target', which is for ppo, rloo and grpo"),
    ({"method": "online-dpo", "loss_norm": "fixed"}, "does not read 'loss_norm'"),
    ({"method": "rloo", "critic": "x"}, "does not read 'critic', which is for ppo"),
    ({"method": "rloo", "scale_advantages": False}, "does not read 'scale_advantages', which is for grpo"),
    ({"kl_in": "loss", "kl_estimator": "k1"}, "k1 has no gradient on average"),
    ({"kl_target": 3, "kl_coef": 0}, "0 stays 0"),
    ({"kl_horizon": 50}, "kl_horizon is how fast kl_target is reached, and there is none"),
    ({"kl_target": 5, "kl_horizon": 50, "batch_size": 64}, "kl_horizon 50 is less than the 64 completions"),
    ({"method": "dpo", "kl_horizon": 50}, "does not read 'kl_horizon'"),
    ({"method": "dpo", "axes": "helpful"}, "does not read 'axes', which is for reward"),
    ({"method": "sft", "lora_r": 64}, "does not read 'lora_r', which is for adapters .lora: true."),
    ({"method": "reward", "axes": "helpful", "margin": 1}, "ratings on axes have none"),
    ({"final": "best"}, "no held-out loss to choose by"),
    ({"patience": 2}, "no held-out loss to choose by"),
    ({"guard": "length", "held_out": 0}, "look at own samples on held-out prompts, and there are none"),
    ({"method": "raft", "stop_kl": 1, "sample_prompts": 0}, "look at own samples on held-out prompts"),
])  # fmt: skip
def test_settings_that_would_do_nothing_are_refused(more, says):
    given = {"method": "ppo", "model": "m", "output": "o"} | more
    given |= {} if given["method"] in ("dpo", "sft", "reward") else {"reward": "length"}
    with pytest.raises(ConfigError, match=says):
        settings(given)


def test_the_estimator_of_the_kl_follows_where_it_is_paid():
    given = {"method": "grpo", "model": "m", "output": "o", "reward": "length"}
    assert [settings(given | more).estimator for more in ({}, {"kl_in": "loss"}, {"kl_estimator": "k3"})] == [
        "k1", "k2", "k3",
    ]  # fmt: skip
    assert settings(given | {"lora": True}).critic_rate * 10 == settings(given | {"lora": True}).peak_learning_rate


@pytest.mark.parametrize("limit", ["stop_kl", "stop_kl_per_token"])
def test_a_kl_of_the_rollouts_ends_the_run_between_two_evaluations(train, limit):
    run = train("rloo", max_steps=40, eval_every=40, learning_rate=3e-2, kl_coef=0.0, **{limit: 0.05})
    assert 0 < run.state.step < 40 and f"more than {limit} 0.05" in run.state.reason
    status = json.loads((run.path / "status.json").read_text())
    assert status["state"] == "stopped" and run.model.exists()


def test_a_prompt_is_never_cut_at_its_end(train, place, tmp_path):
    (tmp_path / "long.jsonl").write_text(
        (place / "prompts.jsonl").read_text() + json.dumps({"prompt": "why " * 40}) + "\n"
    )
    run = train("rloo", data=tmp_path / "long.jsonl", truncation="keep_start", max_rejected=0.5, max_steps=1)
    account = json.loads((run.path / "data.json").read_text())
    assert account["rejected"] == {"too_long": 1} and account["truncated"] == 0


def test_there_is_no_dropout_in_an_online_run(train, tiny_model_directory, tmp_path):
    shutil.copytree(tiny_model_directory, tmp_path / "noisy")
    file = tmp_path / "noisy" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"attention_dropout": 0.5}))
    plain, noisy = (
        train("ppo", name, model=model) for name, model in (("a", tiny_model_directory), ("b", tmp_path / "noisy"))
    )
    one, other = (load(run.model, device="cpu", dtype="float32").policy for run in (plain, noisy))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_ppo_decays_linearly_with_its_own_eps_and_draws_fresh_minibatches(train, monkeypatch):
    from preferably.training import teaching

    orders, honest = [], teaching.Teaching._minibatches

    def spy(self, step, epoch):
        orders.append(honest(self, step, epoch))
        return copy.deepcopy(orders[-1])

    monkeypatch.setattr(teaching.Teaching, "_minibatches", spy)
    run = train(max_steps=4, batch_size=8, minibatches=4)
    rates = [line["learning_rate"] for line in lines(run)[1:]]
    assert rates == pytest.approx([1e-3 * share for share in (1, 0.75, 0.5, 0.25)])
    assert settings({"method": "ppo", "model": "m", "output": "o", "reward": "length"}).eps == 1e-5
    assert len(orders) == 16 and all(sorted(sum(one, [])) == list(range(8)) for one in orders)
    assert len({str(one) for one in orders}) == 16  # four epochs of four iterations, no two alike


def test_demonstrations_that_are_mixed_in_change_what_is_learnt(train, place):
    runs = [
        train("rloo", str(weight), max_steps=1, ptx_data=[place / "more.jsonl"], ptx_weight=weight, warmup=0)
        for weight in (0.1, 10.0)
    ]
    with torch.no_grad():
        found = []
        for run in runs:
            loaded = load(run.model, device="cpu", dtype="float32")
            ids = torch.tensor([loaded.tokenizer("x? yes")["input_ids"]])
            logps = loaded.policy.model(ids).logits[0].log_softmax(-1)
            found.append(float(logps[:-1].gather(1, ids[0, 1:, None])[-3:].sum()))
    assert found[1] > found[0] + 1e-4  # the heavier they are the likelier they get


@pytest.mark.parametrize(("dtype", "drawn_in"), [("bfloat16", torch.bfloat16), ("float32", torch.float32)])
def test_evaluations_draw_in_the_dtype_that_rollouts_are_drawn_in(train, monkeypatch, dtype, drawn_in):
    from preferably.training import measure

    seen = []

    def watched(policy, *given, **how):
        seen.append((next(policy.parameters()).dtype, policy.compute))
        return real(policy, *given, **how)

    real = measure.sample
    monkeypatch.setattr(measure, "sample", watched)
    run = train("rloo", dtype=dtype, eval_every=1)
    assert seen == [(drawn_in, torch.float32)] * 3  # no autocast: the weights have the dtype
    said = [json.loads(line)["text"] for line in (run.path / "policy_samples.jsonl").read_text().splitlines()]
    assert len(said) == 3 * 4


@pytest.mark.parametrize("kept", [None, 2, "broken"])
def test_without_the_samples_of_the_start_a_judge_has_nothing_to_hold_later_ones_against(train, place, tmp_path, kept):
    def stop(number, metrics):
        if number == 1:
            raise KeyboardInterrupt

    how = {"method": "rloo", "reward": f"judge:{place}/rules.py:more_a", "max_steps": 3, "save_every": 1}
    with pytest.raises(KeyboardInterrupt):
        train(progress=Progress(step=stop), **how)
    first = tmp_path / "run" / "start_samples.jsonl"
    whole = first.read_text()
    assert len(whole.splitlines()) == 4
    first.unlink()
    if kept:
        first.write_text("".join(whole.splitlines(True)[:2]) if kept == 2 else "{\n" * 4)
    with pytest.raises(CheckpointError, match=f"has {2 if kept == 2 else 0} samples of the start .* expected 4"):
        train(resume=True, **how)
    first.write_text(whole)
    assert train(resume=True, **how).state.step == 3


def test_only_parts_that_compare_are_asked_about_the_samples_of_the_start(train, place):
    from preferably.functions import load_function

    name = f"{place}/rules.py:counted"
    counts = load_function(name).__globals__
    asked = []
    for reward in ([name], [name, f"judge:{place}/rules.py:more_a"]):
        before = counts["asked"]
        train("rloo", name=f"run{len(asked)}", reward=reward)
        asked.append(counts["asked"] - before)
    assert asked[0] == asked[1] > 0


@pytest.mark.parametrize("method", ["rloo", "grpo", "ppo"])
def test_log_probs_captured_while_drawing_teach_the_same_as_a_forward_of_their_own(train, method, monkeypatch):
    once = {"method": method, "update_epochs": 1, "minibatches": 1, "max_steps": 1}
    found = train(name="captured", **once)
    monkeypatch.setattr("preferably.training.lessons.captured", lambda *_: False)
    monkeypatch.setattr("preferably.training.policy_steps.captured", lambda *_: False)
    expected = train(name="computed", **once)
    first, other = lines(found)[1], lines(expected)[1]
    names = [
        name for name in first if name.startswith(("objective/", "policy/", "val/", "loss", "grad_norm", "value/"))
    ]
    assert len(names) > 10 and first.keys() == other.keys()
    assert [first[name] for name in names] == pytest.approx([other[name] for name in names], abs=1e-4)
    for one, other in zip(found.loaded.policy.parameters(), expected.loaded.policy.parameters(), strict=True):
        assert (one - other).abs().mean() < 1e-5  # a gradient near 0 may take the other sign


def test_a_guard_that_liked_the_start_best_gives_it_back(train, place):
    """Step 0 is an evaluation too: what falls from there has turned."""
    (place / "turn.py").write_text(
        "asked = 0\n\n\ndef falls(prompts, completions):\n    global asked\n    asked += 1\n"
        "    return [5.0 - asked + 0.001 * at for at in range(len(completions))]\n\n\n"
        "climbed = 0\n\n\ndef climbs(prompts, completions):\n    global climbed\n    climbed += 1\n"
        "    return [float(climbed) + 0.001 * at for at in range(len(completions))]\n"
    )
    run = train("rloo", max_steps=4, eval_every=1, reward=f"{place}/turn.py:climbs", guard=f"{place}/turn.py:falls")
    assert run.state.turned and run.state.best_step == 0 and "the model is that of step 0" in run.state.reason


def test_every_prompt_is_drawn_for_in_an_epoch():
    from preferably.training.online import total_iterations

    given = {"method": "rloo", "model": "m", "output": "o", "reward": "length", "batch_size": 32}
    assert [total_iterations(settings(given | {"epochs": epochs}), 47) for epochs in (1.0, 2.0, 0.1)] == [2, 3, 1]
    assert total_iterations(settings(given | {"epochs": 0.3}), 320) == 3
