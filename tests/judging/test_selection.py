"""Which groups to ask about, by planted scores and states."""

from dataclasses import dataclass
from math import log

import numpy as np
import pytest
import torch

from preferably.errors import ConfigError, DataError
from preferably.feedback.records import Completion, Group, Message
from preferably.judging import selection
from preferably.judging.selection import by_ensemble, by_states


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


# States: the first direction is what labelers were asked about, the second one is not known yet.

STATES = {"left": [-1.0, 0, 0], "right": [1.0, 0, 0], "up": [0, 1.0, 0], "down": [0, -1.0, 0], "mid": [0.0, 0, 0]}


def read(_, groups):
    return [
        None
        if any(one.text == "unreadable" for one in group.completions)
        else np.array([STATES[one.text] for one in group.completions])
        for group in groups
    ]


SAID = [group("right", "left")] * 60 + [group("left", "right")] * 20  # as many as it takes


def chosen(said, by="information", **more):
    asked = [group("left", "right"), group("up", "down"), group("unreadable", "up"), group("up", "mid", "down")]
    return by_states(None, asked, said, by, read=read, **more)


def test_too_few_verdicts_leave_it_to_chance():
    found = chosen([*SAID[:79], group("up", "unreadable")], seed=3)
    assert found.by_chance and found.verdicts == 79 and found.priorities[2] is None
    assert sorted(one for one in found.priorities if one is not None) == pytest.approx([1 / 3, 2 / 3, 1])
    assert found == chosen(SAID[:79], seed=3)


def test_what_verdicts_have_told_is_not_asked_again():
    found = chosen(SAID, ahead=0)
    assert found.verdicts == 80 and not found.by_chance and found.priorities[2] is None
    assert found.priorities[0] < found.priorities[1] / 10
    turned = chosen([group("up", "down"), group("down", "up")] * 40, ahead=0)
    assert turned.priorities[1] < turned.priorities[0]


def test_what_is_chosen_first_makes_its_like_tell_less():
    found, alone = chosen(SAID), chosen(SAID, ahead=0)
    first, second = sorted((1, 3), key=lambda at: -alone.priorities[at])  # both are about up and down
    assert found.priorities[first] == alone.priorities[first]
    assert found.priorities[second] < alone.priorities[second]


def test_uncertainty_of_states_falls_with_verdicts():
    found = chosen([group("right", "left")] * 90, by="uncertainty", noise=0)
    assert found.priorities[0] < found.priorities[1] / 2 and found.priorities[2] is None


def test_a_model_that_tells_nothing_apart_is_refused():
    with pytest.raises(DataError, match="all completions of a prompt are the same"):
        by_states(None, [group("up", "up"), group("mid", "mid")], SAID, "information", read=read)
    assert by_states(None, [group("unreadable", "up")], [], "information", read=read).priorities == [None]
