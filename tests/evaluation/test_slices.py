"""Win rates by slice: figures by hand, no claim of few prompts, and none that chance explains."""

import json
from random import Random

import pytest

from preferably.errors import ConfigError
from preferably.evaluation.slices import FEWEST, slices_of
from preferably.feedback.records import Group, Message
from preferably.statistics.intervals import bootstrap_mean


def prompts_of(kinds, column="kind"):
    return [
        Group((Message("user", str(at)),), columns="" if kind is None else json.dumps({column: kind, "other": 1}))
        for at, kind in enumerate(kinds)
    ]


def test_each_slice_has_its_own_mean_interval_and_counts():
    kinds = ["refund"] * 40 + ["cancel"] * 35 + [None] * 5 + [3] * 2
    values = [1.0] * 30 + [0.0] * 10 + [0.5] * 5 + [1.0] * 15 + [0.0] * 15 + [None] * 5 + [1.0, None]
    refund, cancel, none, three = slices_of(prompts_of(kinds), values, ["kind"])
    assert (refund.name, refund.prompts, refund.n, refund.win_rate) == ("refund", 40, 40, 0.75)
    assert refund.interval == bootstrap_mean(values[:40])
    assert (cancel.name, cancel.n, cancel.win_rate) == ("cancel", 35, 17.5 / 35)
    assert (none.name, none.prompts, none.n, none.win_rate, none.interval) == ("(none)", 5, 0, None, None)
    assert (three.name, three.prompts, three.n, three.win_rate, three.interval) == ("3", 2, 1, 1.0, None)
    stored = refund.as_json()
    assert stored == json.loads(json.dumps(stored, allow_nan=False))
    assert stored["column"] == "kind" and stored["interval"] == [refund.interval.low, refund.interval.high]


def test_few_prompts_are_shown_without_a_claim():
    kinds = ["a"] * (FEWEST - 1) + ["b"] * 200
    values = [0.0] * (FEWEST - 1) + [1.0, 0.0, 1.0, 1.0] * 50
    b, a = slices_of(prompts_of(kinds), values, ["kind"])
    assert a.name == "a" and a.interval is None and not a.differs and a.win_rate == 0.0
    assert b.interval is not None


def test_a_slice_that_differs_is_told_and_chance_is_not():
    chance = Random(0)
    kinds = [f"k{at % 10}" for at in range(600)]
    values = [float(chance.random() < (0.15 if kind == "k3" else 0.65)) for kind in kinds]
    assert [one.name for one in slices_of(prompts_of(kinds), values, ["kind"]) if one.differs] == ["k3"]
    told = 0
    for seed in range(40):
        chance = Random(seed)
        alike = [float(chance.random() < 0.6) for _ in kinds]
        told += any(one.differs for one in slices_of(prompts_of(kinds), alike, ["kind"], seed=seed))
    assert told <= 5  # 5% over all slices of an evaluation together


def test_source_is_a_column_and_several_columns_are_held_together():
    prompts = [Group((Message("user", str(at)),), source="ab"[at % 2], columns='{"n": 1}') for at in range(80)]
    found = slices_of(prompts, [1.0, 0.0] * 40, ["source", "n", "source"])
    assert [(one.column, one.name, one.n) for one in found] == [
        ("source", "a", 40),
        ("source", "b", 40),
        ("n", "1", 80),
    ]
    assert [one.differs for one in found] == [True, True, False]


@pytest.mark.parametrize(
    ("column", "kinds", "says"),
    [
        ("knd", ["a", "b"], "did you mean 'kind'"),
        ("xyz", ["a", "b"], "the columns there: kind, other"),
        ("kind", [["a"], "b"], "holds lists"),
        ("kind", [{"a": 1}], "holds objects"),
        ("kind", list(range(101)), "101 different values"),
    ],
)
def test_a_column_that_slices_nothing_is_refused(column, kinds, says):
    with pytest.raises(ConfigError, match=says):
        slices_of(prompts_of(kinds), [1.0] * len(kinds), [column])
