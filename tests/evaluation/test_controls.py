"""Which judges get which control, and from how many prompts on."""

import numpy as np
import pytest

from preferably.errors import ConfigError
from preferably.evaluation.controls import FEWEST, controls_of
from preferably.evaluation.winrate import win_rate
from preferably.feedback.records import Group, Message
from preferably.judging.contest import judge_by_function
from preferably.judging.judge import asked_once, both_orders, has_length_prior, judge_by_score, kind_of
from preferably.judging.reward import RewardJudge


def longer_wins(prompts, completions):
    return [float(len(text)) for text in completions]


def as_model(score):
    def asked(prompts, completions):
        return score(prompts, completions)

    asked.labeler_kind = "model"
    return asked


def test_a_judge_is_a_rule_unless_it_says_so_whatever_is_made_of_it():
    model = as_model(longer_wins)
    assert kind_of(judge_by_score(longer_wins)) == "rule" and not has_length_prior(judge_by_score(longer_wins))
    for made in (judge_by_score(model), both_orders(judge_by_score(asked_once(model))), judge_by_function(model)):
        assert kind_of(made) == "model" and has_length_prior(made)
    assert kind_of(RewardJudge) == "model" and not has_length_prior(RewardJudge)
    model.labeler_kind = "oracle"
    with pytest.raises(ConfigError, match="expected human, model or rule"):
        kind_of(judge_by_score(model))


def comparisons(n, seed=0):
    """The model writes twice as long as the other in most cases, and a judge that only counts characters likes it."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(20, 400, size=n), rng.integers(20, 260, size=n)
    model, against = ([" ".join("x" * size) for size in side] for side in sizes)
    prompts = [Group((Message("user", str(at)),)) for at in range(n)]
    return prompts, [[one] for one in model], [[one] for one in against]


def test_people_and_models_get_both_rules_none_and_reward_models_style_alone():
    prompts, model, against = comparisons(FEWEST)
    judge = judge_by_score(as_model(longer_wins))
    result = win_rate(prompts, model, against, judge)
    assert result.labeler_kind == "model" and result.win_rate > 0.6
    assert result.controls.length.win_rate < result.win_rate
    assert result.controls.style.win_rate < 0.62 and result.win_rate > 0.67  # the judge counts characters alone
    stored = result.as_json(judge="j", decoding={}, model="m", against="a")
    assert stored["length_controlled"]["win_rate"] == result.controls.length.win_rate
    assert stored["length_controlled"]["band"][0] <= stored["length_controlled"]["band"][1]
    assert set(stored["style_controlled"]["weights"]) == {"length"}  # nobody writes headings, lists or bold
    rule = win_rate(prompts, model, against, judge_by_score(longer_wins))
    assert rule.controls.length is None and rule.controls.style is None and rule.length.prefers_longer == 1.0
    assert rule.as_json(judge="j", decoding={}, model="m", against="a")["length_controlled"] is None
    judge.length_prior = False
    scored = win_rate(prompts, model, against, judge).controls
    assert scored.length is None and scored.style.win_rate == result.controls.style.win_rate


def test_of_few_prompts_nothing_is_told_whatever_the_samples():
    judge = judge_by_score(as_model(longer_wins))
    n = FEWEST - 1
    one = controls_of(judge, ["xx", "x"] * n, ["x", "xx"] * n, [1.0, 0.0] * n, [at for at in range(n) for _ in "12"])
    assert one.length.win_rate is None and f"{n} prompts" in one.length.why
    assert one.style.win_rate is None and f"takes {FEWEST}" in one.style.why
    none = controls_of(judge, ["x"], ["y"], [None], [0])
    assert none.length.win_rate is None and "0 prompts" in none.length.why
