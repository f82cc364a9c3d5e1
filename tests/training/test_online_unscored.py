"""Prompts of which a completion has no score are left out of a step; the rest is learnt from as ever."""

import json

import numpy as np
import pytest
import torch
from fault_server import FaultServer, good, reply

import preferably
from preferably.config import settings
from preferably.errors import TrainingError
from preferably.feedback.records import Group, Message
from preferably.functions import load_function
from preferably.judging.parts import Part
from preferably.models.policy import Policy
from preferably.models.sampler import Decoding, Sample
from preferably.training.lessons import lessons_of
from preferably.training.reference import Reference
from preferably.training.rewarding import Rewarding, look_at_samples, scored
from preferably.training.rollouts import Engine, Rollout

RULES = """
seen = []


def odd_ones(prompts, completions):
    said = [None if int(prompt[:-2]) % 3 == 0 else float(text.count("a")) for prompt, text in zip(prompts, completions)]
    seen.append(said)
    return said


def few(prompts, completions):
    return [1.0 if int(prompt[:-2]) % 9 == 0 or text in "xy" else None for prompt, text in zip(prompts, completions)]
"""
ASKED = [Group((Message("user", str(at)),)) for at in range(4)]


def rollouts(texts):
    return [
        Rollout(row, [1], [Sample([3], [0.0], text, True) for text in several], 0) for row, several in enumerate(texts)
    ]


def part(name, numbers, weight=1.0):
    return Part(name, weight, lambda groups: [numbers[one.text] for group in groups for one in group.completions])


def test_a_prompt_with_one_unscored_completion_has_no_scores():
    rewarding = Rewarding([part("x", {"a": 1.0, "b": 2.0, "c": None}), part("y", {"a": 5.0, "b": 5.0, "c": 1.0}, 0.1)],
                          0.0, ASKED)  # fmt: skip
    drawn = rollouts([["a", "b"], ["a", "c"], ["b", "b"], ["c", "c"]])
    assert rewarding(drawn) == ""  # two of four are half
    assert [one.scores for one in drawn] == [[1.5, 2.5], [], [2.5, 2.5], []]
    assert [one.row for one in scored(drawn)] == [0, 2] and drawn[1].parts["x"] == [1.0, None]
    drawn = rollouts([["a", "b"], ["a", "c"], ["c", "b"], ["c", "c"]])
    assert rewarding(drawn) == "x gave no finite number for 4 of 8 completions"
    assert rewarding(rollouts([["c"]])) == "x gave no finite number for 1 of 1 completions"


def test_held_out_samples_without_a_score_are_told_and_in_no_figure():
    told, samples = [], [[Sample([3], [0.0], text, True)] for text in "abcb"]
    rewarding = Rewarding([part("x", {"a": 1.0, "b": 2.0, "c": None})], 0.0, ASKED)
    seen = look_at_samples(rewarding, None, [[1]] * 4, samples, told.append)
    assert seen["eval_objective/scores"] == seen["eval_rewards/x"] == pytest.approx(5 / 3)
    assert told == ["the reward gave no number for samples of 1 of 4 held-out prompts, which are left out"]


@pytest.mark.parametrize("method", ["ppo", "rloo", "grpo"])
def test_advantages_are_those_of_the_other_prompts_alone(tiny, method):
    """The same as where the unscored prompts had never been drawn."""
    policy = Policy(tiny.build("llama", std=0.1))
    reference = Reference(Policy(tiny.build("llama", std=0.1, seed=1)), adapters=False, cache=False)
    given = {"method": method, "model": "x", "output": "x", "reward": "length", "sample_tokens": 8, "batch_size": 4}
    chosen = settings(given | {"samples_per_prompt": 3, "critic": "shared"} if method == "ppo" else given)
    if method == "ppo":
        from preferably.models.critic import SharedCritic

        critic = SharedCritic(policy)
        torch.nn.init.normal_(critic.score.weight, generator=torch.Generator().manual_seed(0))
    else:
        critic = None
    engine = Engine(policy, tiny.tokenizer(), Decoding(1.0, max_tokens=8), samples=3, stop_ids={1})
    drawn = engine.draw(range(4), [[3, 4, 5 + row] for row in range(4)], seed=3, version=0)
    for row, one in enumerate(drawn):
        one.scores = [] if row == 1 else [float((row * 7 + k * 3) % 5) for k in range(3)]
    found, logged = lessons_of(scored(drawn), policy, reference, critic, chosen, 0.1)
    alone, expected = lessons_of([drawn[0], drawn[2], drawn[3]], policy, reference, critic, chosen, 0.1)
    assert logged == expected and [one.group.row for one in found] == [0, 2, 3]
    for one, other in zip(found, alone, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.advantages, other.advantages, strict=True))
    if method == "rloo":  # by hand, without the KL: each less the mean of the other two of its own prompt
        plain, _ = lessons_of(scored(drawn), policy, None, None, chosen, 0.0)
        for lesson, rollout in zip(plain, scored(drawn), strict=True):
            by_hand = [value - (sum(rollout.scores) - value) / 2 for value in rollout.scores]
            if not chosen.whiten_advantages:
                assert [float(one[0]) for one in lesson.advantages] == pytest.approx(by_hand, abs=1e-5)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unscored")
    (folder / "prompts.jsonl").write_text("".join(json.dumps({"prompt": f"{k}? "}) + "\n" for k in range(24)))
    (folder / "rules.py").write_text(RULES)
    return folder


def train(place, model, output, method, reward, **more):
    given = {"max_steps": 3, "batch_size": 8, "sample_tokens": 6, "held_out": 4, "learning_rate": 1e-3, "seed": 1,
             "device": "cpu", "dtype": "float32", "missing_eos_penalty": 0.0, "samples_per_prompt": 2}  # fmt: skip
    return preferably.train(
        method, model=model, data=place / "prompts.jsonl", output=output, reward=reward, **given | more
    )


def lines(run):
    return [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("method", ["ppo", "rloo", "grpo", "raft", "online-dpo"])
def test_every_online_method_goes_on_without_them_and_counts_them(place, tiny_model_directory, tmp_path, method):
    name = f"{place}/rules.py:odd_ones"
    seen = load_function(name).__globals__["seen"]
    seen.clear()
    run = train(place, tiny_model_directory, tmp_path / "run", method, name)
    steps = [said for said in seen if len(said) == 16]  # eight prompts, two completions each
    assert len(steps) == 3 and any(None in said for said in steps)
    for line, said in zip(lines(run)[1:], steps, strict=True):
        assert "skipped" not in line and line["rollouts/unscored"] == said.count(None) / 2
        assert line["objective/scores"] == pytest.approx(np.mean([one for one in said if one is not None]))


def test_where_too_few_are_left_the_step_is_bad(place, tiny_model_directory, tmp_path):
    with pytest.raises(TrainingError, match="gave no finite number for .* of 16 completions"):
        train(place, tiny_model_directory, tmp_path / "run", "rloo", f"{place}/rules.py:few")


def test_a_judge_on_a_server_that_fails_at_some_skips_no_step(place, tiny_model_directory, tmp_path):
    def some(body):
        """No verdict on some questions, by what is shown."""
        shown = body["messages"][-1]["content"]
        return reply("I cannot tell") if len(set(shown)) % 7 == 0 and "\nx\n" not in shown else good(body)

    with FaultServer(answer=some) as server:
        (tmp_path / "judge.yaml").write_text(
            f"server: {server.url}\nmodel: m\nschema: no\nlogprobs: no\nreplies: {tmp_path / 'replies.db'}\n"
        )
        run = train(place, tiny_model_directory, tmp_path / "run", "rloo", f"judge:{tmp_path / 'judge.yaml'}")
    unscored = [line["rollouts/unscored"] for line in lines(run)[1:]]
    assert sum(unscored) > 0 and not any("skipped" in line for line in lines(run))
