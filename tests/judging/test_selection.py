"""Which groups to ask about, by planted scores and features."""

from dataclasses import dataclass, replace
from math import log

import numpy as np
import pytest
import torch

from preferably.errors import ConfigError, DataError
from preferably.feedback.records import Completion, Group, Message
from preferably.judging import selection
from preferably.judging.selection import by_doubt, by_ensemble


@dataclass
class Planted:
    """Stands in for a reward model that knows its scores by text."""

    scores: dict

    def total(self, scores):
        return scores[:, 0]


@pytest.fixture(autouse=True)
def planted(monkeypatch):
    def score_groups(loaded, groups):
        return [
            None
            if any("unreadable" in one.text for one in group.completions)
            else torch.tensor([[loaded.scores[one.text]] for one in group.completions])
            for group in groups
        ]

    monkeypatch.setattr(selection, "score_groups", score_groups)
    monkeypatch.setattr(selection, "scorer_of", lambda loaded: loaded)


def group(*texts, prompt="?"):
    return Group((Message("user", prompt),), tuple(Completion((Message("assistant", text),)) for text in texts))


def test_reward_models_that_disagree_come_first_and_what_cannot_be_read_is_left_out():
    one, other = Planted({"a": 300.0, "b": 0.0, "c": 0.0}), Planted({"a": 0.0, "b": 300.0, "c": 0.0})
    asked = [group("b", "c", prompt="1"), group("a", "b", prompt="2"), group("unreadable", "a")]
    found = by_ensemble([one, other], asked, "information", noise=0)
    assert found.priorities[2] is None and found.verdicts == 0
    assert found.priorities[1] == pytest.approx(log(2))
    # b against c: one model is sure, the other sees a toss-up: H(1/4, 3/4) - ln 2 / 2
    assert found.priorities[0] == pytest.approx(-0.25 * log(0.25) - 0.75 * log(0.75) - log(2) / 2)


def test_groups_of_one_prompt_take_turns_and_sizes_may_differ():
    one, other = Planted({"a": 300.0, "b": 0.0, "c": -300.0}), Planted({"a": 0.0, "b": 300.0, "c": -300.0})
    asked = [group("a", "b"), group("a", "b", "c"), group("a", "b", prompt="another")]
    found = by_ensemble([one, other], asked, "information", noise=0).priorities
    assert found == pytest.approx([log(2), log(2) / 2, log(2)])


def test_one_reward_model_gives_uncertainty_alone():
    model = Planted({"a": 1.0, "b": 1.0, "c": -3.0})
    asked = [group("a", "b", prompt="1"), group("a", "c", prompt="2")]
    level, apart = by_ensemble([model], asked, "uncertainty", noise=0).priorities
    p = 1 / (1 + np.exp(-4))
    assert (level, apart) == pytest.approx((log(2), -p * log(p) - (1 - p) * log(1 - p)))
    with pytest.raises(ConfigError, match="uncertainty only"):
        by_ensemble([model], asked, "information")
    assert by_ensemble([model], [group("unreadable", "a")], "uncertainty").priorities == [None]


# What a model sees: the first number is what labelers were asked about, the second one is not known yet.

SEEN = {"left": [-1.0, 0], "right": [1.0, 0], "up": [0, 1.0], "down": [0, -1.0], "mid": [0.0, 0], "far": [9.0, 0]}


def read(_, groups):
    return [
        None
        if any(one.text == "unreadable" for one in group.completions)
        else np.array([[*SEEN[one.text], 0, 0, 0] for one in group.completions])
        for group in groups
    ]


def verdict(better, worse, ranks=(1, 2)):
    return replace(group(better, worse), ranks=ranks)


SAID = [verdict("right", "left")] * 60 + [verdict("left", "right")] * 19 + [verdict("up", "mid", (1, 1))]


def chosen(said, **more):
    asked = [group("left", "right", prompt="1"), group("up", "down", prompt="2"), group("unreadable", "up")]
    asked += [group("up", "mid", "right", prompt="3"), group("mid", "mid", prompt="4")]
    return by_doubt(None, asked, said, read=read, **more)


def test_too_few_verdicts_leave_it_to_chance():
    found = chosen([*SAID[:79], verdict("up", "unreadable")], seed=3)
    assert found.by_chance and found.verdicts == 79 and found.priorities[2] is None
    assert sorted(one for one in found.priorities if one is not None) == pytest.approx([0.25, 0.5, 0.75, 1])
    assert found == chosen(SAID[:79], seed=3)


def test_what_verdicts_have_told_is_not_asked_again():
    """Of up and down nobody said which is better: a coin. Right is better than left, nearly for sure."""
    found = chosen(SAID)
    assert found.verdicts == 80 and not found.by_chance and found.priorities[2] is None
    assert found.priorities[1] == pytest.approx(0.5) and found.priorities[0] < 0.001
    # Right looks best of three, and the one that is the likeliest to be better is up.
    assert 0.001 < found.priorities[3] < 0.5 and found.priorities[4] == 0


def test_pairs_of_one_prompt_take_turns():
    asked = [group("up", "down"), group("up", "mid"), group("down", "mid", prompt="another")]
    assert by_doubt(None, asked, SAID, read=read).priorities == pytest.approx([0.5, 0.25, 0.5])


def test_a_model_that_tells_nothing_apart_is_refused():
    with pytest.raises(DataError, match="all completions of a prompt are the same"):
        by_doubt(None, [group("up", "down")], [verdict("up", "up")] * 80, read=read)
    assert by_doubt(None, [group("unreadable", "up")], [], read=read).priorities == [None]
