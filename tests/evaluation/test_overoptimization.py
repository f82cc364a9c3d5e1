"""A way whose judge turns at a known KL is told with where to stop; one whose judge only rises raises nothing."""

from dataclasses import replace

import numpy as np
import pytest
from plain_words import told_plainly
from word_models import asked, taught, untrained

from preferably.errors import DataError
from preferably.evaluation import auditing_run
from preferably.evaluation import losses as of_loss
from preferably.evaluation import questions as of_questions
from preferably.evaluation.audit import compared
from preferably.evaluation.gains import Point, Scale, Start, best_of_points, point_of, start_of
from preferably.evaluation.losses import losses
from preferably.evaluation.overoptimization import audit_course
from preferably.evaluation.questions import Question
from preferably.judging.judge import judge_by_score
from preferably.judging.named import same_judge
from preferably.judging.parts import reward_parts
from preferably.models.sampler import Decoding, Sample

KL = [0.5, 1, 2, 4, 8, 12, 16, 20]


def way(judge, spread=0.5, prompts=200, series="training"):
    """Points at KL whose gain by the judge is `judge(d)`, by the reward d, with noise by prompt."""
    noise = np.random.default_rng(0).normal(0, spread, (len(KL), prompts))
    return [
        Point(series, f"step {at}", kl, list(judge(kl**0.5) + noise[at]), list(kl**0.5 + noise[at]))
        for at, kl in enumerate(KL)
    ]


def audited(points, **more):
    return audit_course(points, model="after", against="before", judge="made", **more)


def outcomes(audit):
    return {one.name: one.outcome for one in told_plainly(audit.findings)}


def test_a_judge_that_turns_is_told_with_where_to_stop():
    found = audited(way(lambda d: d * (1 - 0.5 * np.log(d))))  # turns at e^2 = 7.4 nats
    assert outcomes(found)["training: turn"] == "bad" and found.outcome == "bad"
    assert 6.5 < found.facts["fits"]["training"]["judge"]["stop"] < 8.3
    assert found.verdict.startswith("Over-optimized") and "nearest point is step 4" in found.verdict  # 8 nats
    assert found.facts["fits"]["training"]["proxy"]["turns"] < 0.5


def test_the_model_that_was_trained_for_too_long_is_never_the_point_to_stop_at():
    """It ended where the judge turned, at 8 nats, and is worse than what was there on the way."""
    points = way(lambda d: d * (1 - 0.5 * np.log(d)))
    end = replace(points[4], label="the model", judge=[value - 1 for value in points[4].judge])
    found = audited([*points, end])
    assert found.verdict.startswith("Over-optimized") and "nearest point is step 4" in found.verdict
    way_out = audited([one for one in points if one.label != "step 4"] + [end])
    assert way_out.verdict.startswith("Over-optimized") and "the model" not in way_out.verdict


def test_a_judge_that_only_rises_raises_nothing():
    found = audited(way(lambda d: d))
    assert found.outcome == "good" and set(outcomes(found).values()) == {"good"}
    assert "no turn within 20.0 nats" in found.findings[1].words


def test_a_judge_that_sees_nothing_is_not_sure():
    found = audited(way(lambda d: 0 * d))
    assert outcomes(found) == {"training: gain": "not sure", "training: turn": "good"}


def test_best_of_n_has_a_form_of_its_own():
    found = audited(way(lambda d: d * (1 - 0.2 * d), series="best of n"))
    assert found.facts["fits"]["best of n"]["judge"]["form"] == "bon"
    assert 5.5 < found.facts["fits"]["best of n"]["judge"]["stop"] < 7  # 6.25


def test_one_point_alone_tells_no_turn():
    found = audited(way(lambda d: d)[:1])
    assert outcomes(found)["training: turn"] == "not sure" and found.verdict.startswith("Not known")
    with pytest.raises(DataError, match="a point on its way"):
        audited([])


def early_peak(d):
    """All that is gained is gained by the first fifth of the way; from the fourth on it is level, below it."""
    return np.interp(d**2, [0, 4, 16, 20], [0, 2, 1, 1])


def test_a_peak_before_the_first_point_is_not_ruled_out():
    """Of checkpoints at 16 and 20 nats the judge is level; the others show where it was."""
    late = audited(way(early_peak)[-2:])
    assert outcomes(late) == {"training: gain": "good", "training: turn": "not sure"} and late.outcome == "not sure"
    assert "what happened before was not looked at" in late.verdict and "--keep, --save-every" in late.verdict
    assert "keep more of them (--keep, --save-every)" in late.findings[1].plain
    found = audited(way(early_peak))
    assert outcomes(found)["training: turn"] == "bad" and found.outcome == "bad"


def test_a_judge_that_was_trained_against_clears_nothing():
    found = audited(way(lambda d: d), held_out=False)
    assert outcomes(found) == {"judge": "not sure", "training: gain": "good", "training: turn": "not sure"}
    assert found.outcome == "not sure" and "the judge also taught it" in found.verdict
    fallen = audited(way(lambda d: d * (1 - 0.5 * np.log(d))), held_out=False)
    assert outcomes(fallen)["training: turn"] == "bad"


@pytest.mark.parametrize(
    ("config", "parts", "judge", "own"),
    [
        ("reward: [0.5*rules.py:score]", [], "rules.py:score", True), ("reward: []", ["2*length"], "length", True),
        ("reward: [rules.py:score]", [], "rules.py:other", False), ("method: dpo", [], "rules.py:score", False),
    ],
)  # fmt: skip
def test_a_judge_that_is_the_runs_own_reward_is_not_held_out(tmp_path, monkeypatch, config, parts, judge, own):
    (tmp_path / "config.yaml").write_text(config)
    (points := way(lambda d: d)).reverse()
    monkeypatch.setattr(auditing_run, "start_of", lambda *_, **__: None)
    monkeypatch.setattr(auditing_run, "best_of_points", lambda start: points[1:][::-1])
    monkeypatch.setattr(auditing_run, "point_of", lambda *_, **__: points[0])
    monkeypatch.setattr(auditing_run, "losses", lambda *_, **__: ([], []))
    scale = Scale(judge_by_score(is_red), is_red, reward_parts(parts))
    model = untrained(["ask"], 8)
    found = outcomes(auditing_run.along(tmp_path, model, model, [], scale, judge=judge))
    assert found["training: turn"] == ("not sure" if own else "good") and ("judge" in found) is own
    made = outcomes(auditing_run.along(tmp_path, model, model, [], scale, judge=judge, taught_by=[f"2*{judge}"]))
    assert made["judge"] == made["training: turn"] == "not sure"  # it made the preferences that were learnt from


def test_a_judge_is_known_by_its_name_however_it_is_given(tmp_path, monkeypatch):
    (tmp_path / "rules.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert same_judge("0.5*rules.py:score", f"{tmp_path}/rules.py:score") and same_judge("judge:j.yaml", "j.yaml")
    assert not same_judge("rules.py:score", "rules.py:other") and not same_judge("length", "lengths")


def silent(point):
    return replace(point, judge=[None] * len(point.judge), proxy=None)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (silent, "the judge gave no verdict"),
        (lambda point: replace(point, kl=point.kl / 200), "0.10 nats at most"),
        (lambda point: replace(point, judge=point.judge[:9], proxy=None), "fewer than 10 prompts"),
        (lambda point: point if point.kl == 20 else silent(point), "one point"),
    ],
)
def test_where_nothing_can_be_told_of_a_turn_it_is_not_known(change, told):
    found = audited([change(point) for point in way(lambda d: d)])
    assert outcomes(found)["training: turn"] == "not sure" and found.outcome == "not sure"
    assert found.verdict.startswith("Not known whether it is over-optimized") and told in found.verdict


def test_what_is_told_is_of_the_model_where_a_checkpoint_is_further_away():
    *steps, last = way(lambda d: d * (1 - 0.5 * np.log(d)))
    model = replace(steps.pop(3), label="the model")  # 4 nats, near the top; 20 nats are far below it
    found = audited([*steps, replace(last, label="step 9"), model])
    assert found.findings[0].words.startswith("the model, 4.0 nats away")
    assert outcomes(found)["training: turn"] != "bad"
    fallen = audited([*steps, model, last])
    assert outcomes(fallen)["training: turn"] == "bad"


def test_best_of_n_by_hand():
    # Judge 0, 1, 2 by rewards 3, 2, 1: the best of two is the first in 2 of 3 pairs, else the second: 1/3; mean 1.
    start = Start(None, asked("x"), [["a", "b", "c"]], [[0.0, 1.0, 2.0]], [[3.0, 2.0, 1.0]])
    (point,) = best_of_points(start)
    assert point.judge == [pytest.approx(1 / 3 - 1)] and point.proxy == [pytest.approx((2 * 3 + 2) / 3 - 2)]
    assert point.kl == pytest.approx(np.log(2) - 1 / 2)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    words = "ask one two three red blue".split()
    mixed = [(f"ask {a}", f"{a} {b}") for a in ("one", "two", "three") for b in ("red", "blue")]
    narrow = [(f"ask {a}", f"{a} red") for a in ("one", "two", "three")]
    before = taught(untrained(words, 24), mixed * 8, folder / "before", steps=80)
    after = taught(untrained(words, 24), narrow * 8, folder / "after", steps=80)
    return after, before


def test_points_are_of_the_models_own_samples(models):
    after, before = models
    prompts = asked("ask one", "ask two", "ask three") * 4
    scale = Scale(judge_by_score(is_red), is_red, reward_parts(["length"]))
    how = {"max_tokens": 6, "seed": 0, "progress": None}
    start = start_of(before, prompts, scale, samples=8, **how)
    point = point_of(after, "the model", start, scale, samples=2, **how)
    assert np.mean([v for row in start.judge for v in row]) == pytest.approx(0.5, abs=0.2)
    assert np.mean(point.judge) == pytest.approx(0.5, abs=0.2)  # from half to all
    assert 0.3 < point.kl < 1.5  # ln 2 where it is certain of one of two
    by_pair = Scale(judge_by_score(is_red), None)
    assert np.mean([v for row in by_pair.judged(prompts, start.said, start.said) for v in row]) == pytest.approx(
        0.5, abs=0.2
    )


def test_what_was_lost_is_measured_on_both_sides(models):
    after, before = models
    prompts = asked("ask one", "ask two", "ask three") * 40
    tasks = [Question(prompt, True, ("one", "two", "three")) for prompt in prompts]
    rows, found = losses(after, before, prompts, tasks=tasks, decoding=Decoding(0.7, max_tokens=6))
    told = {one.name: one.outcome for one in found}
    assert told == {"tasks": "good", "diversity": "bad", "refusals": "good"}
    values = {row.name: (row.after.value, row.before.value) for row in rows}
    assert values["tasks solved"] == (1, 1) and values["harmless prompts refused"] == (0, 0)
    assert values["different replies to one prompt"][0] < 0.1 < values["different replies to one prompt"][1]
    _, same = losses(before, before, prompts, decoding=Decoding(0.7, max_tokens=6))
    assert {one.outcome for one in same} == {"good"}


def is_red(prompts, texts):
    return [float("red" in text) for text in texts]


class Says:
    """A planted model: what it says by the kind and the number of its prompt."""

    name, stop_ids = "made", frozenset()

    def __init__(self, lost):
        self.lost = lost

    def reply(self, prompt, at):
        kind, number = prompt.split()
        if kind == "say":
            return f"this is reply {at}"
        good, bad = {"task": ("seven", "eight"), "plain": ("Gladly.", "I cannot help with that.")}[kind]
        return bad if int(number) < self.lost else good


@pytest.mark.parametrize(("lost", "outcome"), [(36, "bad"), (0, "good")])
def test_lost_tasks_and_refusals_of_a_planted_model_are_found(monkeypatch, lost, outcome):
    def answers(loaded, prompts, decoding, *, samples=1, **how):
        said = [[loaded.reply(one.prompt_text, at) for at in range(samples)] for one in prompts]
        return [[Sample([0], [0.0], text, True) for text in several] for several in said]

    monkeypatch.setattr(of_loss, "answers", answers)
    monkeypatch.setattr(of_questions, "answers", answers)
    say, task, plain = (asked(*(f"{kind} {at}" for at in range(120))) for kind in ("say", "task", "plain"))
    tasks = [Question(prompt, True, ("seven",)) for prompt in task]
    how = {"tasks": tasks, "harmless": plain, "decoding": Decoding(0.7, max_tokens=6)}
    rows, found = losses(Says(lost), Says(0), say, **how)
    assert {one.name: one.outcome for one in told_plainly(found)} == {
        "tasks": outcome, "diversity": "good", "refusals": outcome,
    }  # fmt: skip
    values = {row.name: (row.after.value, row.before.value) for row in rows}
    assert values["tasks solved"] == (pytest.approx(1 - lost / 120), 1)
    assert values["harmless prompts refused"] == (pytest.approx(lost / 120), 0)


@pytest.mark.parametrize(("n", "outcome"), [(9, "not sure"), (10, "bad")])
def test_of_few_nothing_is_told_to_be_lost(n, outcome):
    assert of_loss._kept("tasks", compared("tasks", [0.0] * n, [1.0] * n), 0.05, "are solved").outcome == outcome
    assert of_loss._refusals(compared("refused", [1.0] * n, [0.0] * n)).outcome == outcome
