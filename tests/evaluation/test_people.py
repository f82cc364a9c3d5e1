"""Win rates that people would give, from a store: by hand, who is who, and what is refused."""

import json
from random import Random

import pytest

from preferably.errors import ConfigError, DataError
from preferably.evaluation.people import by_people
from preferably.feedback.records import Completion, Group, Message, Origin, Preference
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.store import Store
from preferably.statistics.prediction_powered import corrected_mean


def group(at, models=("new", "old")):
    made = tuple(Completion((Message("assistant", f"{name} {at}"),), Origin(model=name)) for name in models)
    return Group((Message("user", f"prompt {at}"),), made)


def say(at, value, kind, labeler, models=("new", "old")):
    """An entry in which `new` has `value`: 1, 0.5 or 0; every other prompt shows the two in the other order."""
    turned = models if at % 2 else models[::-1]
    choice = "tie" if value == 0.5 else turned.index("new" if value else "old")
    return Entry(group(at, turned), Preference(choice, labeler=labeler), labeler_kind=kind)


def filled(path, people, judge, more=()):
    with Store(path) as store:
        store.say([say(at, value, "human", "ada") for at, value in people.items()])
        store.say([say(at, value, "model", "judge") for at, value in judge.items()])
        store.say(list(more))
    return str(path)


def world(n, total, seed=0):
    chance = Random(seed)
    judge = {at: float(chance.random() < 0.7) for at in range(total)}
    people = {
        at: judge[at] if chance.random() < 0.8 else float(chance.random() < 0.4)
        for at in chance.sample(range(total), n)
    }
    return people, judge


def test_the_figure_is_the_corrected_mean_of_what_the_store_holds(tmp_path):
    people, judge = world(120, 300)
    found = by_people(filled(tmp_path / "s.db", people, judge), "new", "old")
    both = list(people)
    alone = [judge[at] for at in judge if at not in people]
    # The order of prompts is that of the store, which splits people's judgments in halves: the weight may differ a bit.
    by_hand = corrected_mean([people[at] for at in both], [judge[at] for at in both], alone)
    assert found.corrected.n == 120 and found.corrected.more == 180 and found.judge == "judge"
    assert found.corrected.people == pytest.approx(by_hand.people) and found.corrected.bias == pytest.approx(
        by_hand.bias
    )
    assert found.win_rate == pytest.approx(by_hand.value, abs=0.01)
    assert found.labelers == 1 and found.people_alone == 0 and found.doubt == ""
    turned = by_people(str(tmp_path / "s.db"), "old", "new")
    assert turned.win_rate == pytest.approx(1 - found.win_rate)
    stored = found.as_json()
    assert stored == json.loads(json.dumps(stored, allow_nan=False)) and stored["people"]["n"] == 120
    assert stored["judge"]["n"] == 300 and stored["interval"] == [found.interval.low, found.interval.high]


def test_what_the_same_labelers_say_of_a_prompt_is_one_value(tmp_path):
    people, judge = world(110, 300)
    at = next(iter(people))
    both_ways = [
        say(at, 1 - people[at], "human", "ben"),
        say(at, 0.5, "model", "judge"),
        say(at, 1.0, "rule", "length"),
    ]
    people_of_old = say(0, 1.0, "human", "ada", models=("new", "older"))
    state = Entry(group(999), Preference(None, labeler="ada", state="failed"))
    path = filled(tmp_path / "s.db", people, judge, [*both_ways, people_of_old, state])
    with pytest.raises(ConfigError, match="Several judges compared new with old: judge, length"):
        by_people(path, "new", "old")
    found = by_people(path, "new", "old", judge="judge")
    values = [0.5 if one == at else value for one, value in people.items()]
    assert found.corrected.people == pytest.approx(sum(values) / 110) and found.labelers == 2


def test_people_who_saw_another_kind_of_prompts_are_told(tmp_path):
    judge = {at: float(at % 4 > 0) for at in range(400)}
    people = {at: float(at % 3 > 0) for at in range(0, 400, 4)} | {
        at: 1.0 for at in (1, 2, 3)
    }  # where the judge says 0
    found = by_people(filled(tmp_path / "s.db", people, judge), "new", "old")
    assert found.alike < 0.01 and "no random part" in found.doubt


def test_what_cannot_be_told_is_refused(tmp_path):
    people, judge = world(99, 200)
    path = filled(tmp_path / "few.db", people, judge)
    with pytest.raises(DataError, match="both judged 99 prompts.*needs 100"):
        by_people(path, "new", "old")
    with pytest.raises(DataError, match="the models there: new, old"):
        by_people(path, "newer", "old")
    with pytest.raises(ConfigError, match="'new' twice"):
        by_people(path, "new", "new")
    with pytest.raises(DataError, match="No judge 'other'.*those who did: judge"):
        by_people(path, "new", "old", judge="other")
    people, judge = world(120, 200)
    alone = filled(tmp_path / "alone.db", people, {at: judge[at] for at in people})
    with pytest.raises(DataError, match="adds nothing"):
        by_people(alone, "new", "old")
    alike = filled(tmp_path / "alike.db", {at: float(at > 3) for at in people}, judge)
    with pytest.raises(DataError, match="the same verdict of people"):
        by_people(alike, "new", "old")
    none = filled(tmp_path / "none.db", people, {})
    with pytest.raises(DataError, match="No judge in"):
        by_people(none, "new", "old")
