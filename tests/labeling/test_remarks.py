"""What is said to whoever sees to the labeling, from planted counts."""

import pytest

from preferably.labeling.progress import Batch, Turns
from preferably.labeling.project import project_of
from preferably.labeling.remarks import remarks_of


def batch(**more):
    counts = {"tasks": 10, "gold": 1, "done": 5, "closed": 0, "wanted": 10, "given": 5, "answers": 5,
              "answers_gold": 0, "leased": 0}  # fmt: skip
    return Batch("b", ("pair",), **counts | more, overlap=(1, 1), priority=(0.0, 0.0))


def turns(**more):
    return Turns(**{"answered": 0, "leased": 0, "over": 0, "lapsed": 0, "skipped": 0} | more)


def told(batches=None, given=None, filled=None, **project):
    made = project_of(project)
    return [
        f"{one.about}: {one.text}"
        for one in remarks_of(made, None, [batch()] if batches is None else batches, given or turns(), filled or {})
    ]


def test_nothing_to_say():
    assert told() == [] == told(batches=[])


@pytest.mark.parametrize(
    "how, text",
    [
        ({"given": turns(over=2, leased=3)}, "leases: 2 tasks are with people whose time is over"),
        ({"given": turns(answered=15, lapsed=5)}, "leases: 5 of 20 ran out before there was an answer; 30 minutes"),
        ({"batches": [batch(given=10)]}, "tasks: all that was wanted is there"),
        ({"given": turns(leased=5)}, "tasks: all that is left is with somebody"),
        ({"batches": [batch(gold=0)]}, "gold: there are no tasks of known answer"),
        ({"filled": {"hasty": 3}, "quotas": {"hasty": 3}}, "hasty: has given all that is wanted of this group (3)"),
    ],
)
def test_each_remark_has_its_reason(how, text):
    (said,) = told(**how)
    assert said.startswith(text)


@pytest.mark.parametrize("given", [turns(answered=16, lapsed=3), turns(answered=17, lapsed=4), turns(leased=4)])
def test_few_and_little_are_no_reason(given):
    assert told(given=given) == []
