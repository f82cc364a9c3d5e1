"""What the tables of the labeling app say of labelers: roles and gold; and the whole from a store."""

from datetime import datetime, timedelta
from random import Random

import pytest
from labelers import answer, group, invited, person

from preferably.errors import ConfigError, DataError
from preferably.feedback.records import Flag, Preference
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.labels_read import gold_in, roles_in, said_in, worth_in
from preferably.feedback.views import SETTLED
from preferably.labeling.project import project_of
from preferably.labeling.queue import Queue, Task


def test_roles_and_gold_are_those_of_the_app(store):
    queue = Queue(store, project_of({"gold": {"share": 1.0}}))
    queue.add([Task(group(n), gold={"expected": {"choice": 0}}) for n in range(4)], "gold")
    queue.add([Task(group(n)) for n in range(4, 8)], "plain")
    ada, lena = person(store, "ada"), invited(store, "lena", role="lead")[0]
    said = []
    while turn := queue.next(ada):
        better = turn.asked.shown.index(0)  # the place on the page of what gold expects
        wrong = turn.gold is not None and len(said) == 1
        queue.answer(ada, turn.asked.turn, answer(1 - better if wrong else better))
        said.append(turn.gold is not None)
    queue.next(lena)  # given out, and not answered
    assert roles_in(store) == {"ada": "labeler", "lena": "lead"}
    found = gold_in(store)
    assert list(found) == ["ada"] and sum(said) == 4
    assert sorted(right for _, right in found["ada"]) == [False, True, True, True]
    assert [time for time, _ in found["ada"]] == sorted(time for time, _ in found["ada"])
    one = worth_in(store).labelers[0]
    assert (one.name, one.role, one.judged, one.gold.value, one.gold.n) == ("ada", "labeler", 8, 0.75, 4)
    assert one.reliability is None and one.course is None and one.habits.seconds == 3.5


PEOPLE = {"ada": 0.9, "ben": 0.85, "eli": 0.8, "ida": 0.85, "gus": 0.5}


def filled(store, n=500):
    """Five people, one of whom does not look; a lead who judges some, and settles others; a model."""
    rng, entries, start = Random(3), [], datetime(2026, 11, 1)
    for number in range(n):
        about, better, at = group(number), rng.randrange(2), (start + timedelta(hours=number)).isoformat()

        def say(name, chance, kind="human", of="", about=about, better=better, at=at):
            choice = better if rng.random() < chance else 1 - better
            order = tuple(rng.sample((0, 1), 2))
            made = Preference(choice, labeler=name, labeler_group=of, order=order)
            entries.append(Entry(about, made, labeler_kind=kind, said_at=at, seconds=20.0))

        for name in rng.sample(sorted(PEOPLE), 3):
            chance = 0.55 if name == "ida" and number > n // 2 else PEOPLE[name]
            say(name, chance, of="first" if name < "c" else "second")
        say("judge", 0.75, kind="model")
        if number % 3 == 0:
            say("lena", 0.95)
        if number % 50 == 1:
            say("max", 1.0, of=SETTLED)
    entries.append(Entry(group(0), Flag("ambiguous prompt", labeler="ada")))
    store.say(entries)
    return entries


def test_the_whole_of_a_store(store):
    filled(store)
    found = worth_in(store, leads=["lena"])
    assert {one.name: one.role for one in found.labelers} == dict.fromkeys(PEOPLE, "labeler") | {
        "judge": "judge", "lena": "lead"
    }  # fmt: skip
    assert found.settled == 10  # whose word is in no figure, so that whoever only settles is no labeler
    by_role = {(met.first, met.second): met for met in found.meetings}
    assert set(by_role) == {
        ("labelers", "labelers"), ("labelers", "leads"), ("labelers", "judges"), ("leads", "judges")
    }  # fmt: skip
    assert by_role["labelers", "leads"].raw.units == 167 and by_role["leads", "judges"].raw.units == 167
    # a lead who is right in 0.95 and a judge who is in 0.75 agree in 0.95 x 0.75 + 0.05 x 0.25
    assert 0.725 in by_role["leads", "judges"].raw.interval
    people = {one.name: one for one in found.labelers}
    assert people["gus"].random.verdict in ("random", "contrary")
    assert [one.name for one in found.labelers if one.random.verdict == "random"] == ["gus"]
    for name, chance in {"ada": 0.9, "ben": 0.85, "eli": 0.8, "gus": 0.5, "judge": 0.75, "lena": 0.95}.items():
        assert chance in people[name].reliability.interval, name
    assert people["lena"].leads is None and people["ada"].leads.value > people["gus"].leads.value + 0.2
    assert people["ida"].course.told and people["ida"].course.after < 0.65 < 0.8 < people["ida"].course.before
    assert "2026-11-07" < people["ida"].course.since < "2026-11-16"
    assert {name for name, _ in found.findings} == {"gus", "ida"}
    assert [one.name for one in found.groups.groups] == ["second", "first"]
    assert found.disputes.listed[0].flagged == 1 and found.gini is not None


def test_everything_is_in_the_json(store):
    filled(store, 120)
    told = worth_in(store).as_json()
    assert set(told) == {
        "schema", "questions", "settled", "agreement", "noise", "by_role", "labelers", "everybody", "random_told_at",
        "prompts", "by_group", "concentration",
    }  # fmt: skip
    one = told["labelers"]["ada"]
    assert set(one) == {
        "role", "group", "judged", "seconds", "random", "findings", "agrees", "leads", "reliability", "first", "longer",
        "undecided", "too_fast", "run", "gold", "drift",
    }  # fmt: skip
    assert one["too_fast"]["value"] == 0 and len(one["reliability"]["interval"]) == 2
    assert told["random_told_at"] == {"false_alarm": 0.05, "miss": 0.1}


def test_what_was_corrected_or_came_to_nothing_says_nothing(store):
    first = Entry(group(1), Preference(0, labeler="ada"))
    store.say([first])
    store.say([
        Entry(group(1), Preference(1, labeler="ada"), supersedes=first.id),
        Entry(group(2), Preference(None, labeler="judge", state="failed"), labeler_kind="model"),
    ])  # fmt: skip
    assert [one.judgment.choice for one in said_in(store)] == [1]


def test_what_there_is_not_is_said(store):
    with pytest.raises(DataError, match="holds no verdict yet"):
        worth_in(store)
    store.say([Entry(group(1), Preference(0, labeler="ada"))])
    with pytest.raises(ConfigError, match=r"'bob' said nothing in .*; those who did: ada"):
        worth_in(store, leads=["bob"])
