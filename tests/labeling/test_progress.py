"""The counts of what was planted."""

import pytest

from preferably.labeling.clock import Clock
from preferably.labeling.progress import (
    answers_of,
    batches_of,
    days_of,
    filled_quotas,
    golden_of,
    seconds_of,
    turns_of,
)


@pytest.fixture
def here(site):
    return planted(site)


def planted(make):
    made = make(gold={"share": 0.0}, quotas={"hasty": 3, "careful": 9})
    made.ask(1, 2, 3, 4, batch="one", overlap=2)
    made.ask(5, 6, batch="two")
    made.ask(7, batch="gold", gold={"expected": {"choice": 0}, "why": ""})
    return made


def test_batches_add_up(anywhere):
    here = planted(anywhere)
    ada, ben = here.come("ada", group="careful"), here.come("ben", group="hasty")
    assert len(here.judge(ada, limit=3)) == 3  # 1, 2, 3
    assert len(here.judge(ben, limit=2)) == 2  # 1, 2
    here.queue.next(ben.person)  # 3 is on lease
    one, two, gold = batches_of(here.store)
    assert (one.name, one.kinds, one.tasks, one.gold) == ("one", ("pair",), 4, 0)
    assert (one.done, one.closed, one.wanted, one.given, one.leased, one.left) == (2, 0, 8, 5, 1, 3)
    assert (two.done, two.wanted, two.given, two.left, two.overlap) == (0, 2, 0, 2, (1, 1))
    assert (gold.tasks, gold.gold, gold.wanted, gold.left, gold.overlap) == (0, 1, 0, 0, (0, 0))
    assert answers_of(here.store) == {ada.person.id: 3, ben.person.id: 2}
    assert seconds_of(here.store) == {ada.person.id: [10.0] * 3, ben.person.id: [10.0] * 2}
    assert sum(days_of(here.store).values()) == 5


def test_turns_by_what_became_of_them(here):
    ada, ben = here.come("ada"), here.come("ben")
    turn = here.queue.next(ada.person)
    here.queue.skip(ada.person, turn.asked.turn)
    here.judge(ada, limit=1)
    here.queue.next(ben.person)
    found = turns_of(here.store, Clock.of_machine())
    assert (found.answered, found.leased, found.over, found.lapsed, found.skipped) == (1, 1, 0, 0, 1)
    after = turns_of(here.store, Clock("another start"))
    assert (after.leased, after.over) == (1, 1)


def test_what_was_settled_is_no_progress(here):
    lead = here.come("lee", "lead")
    turn = here.queue.settle(lead.person, 1)
    assert lead.answer(turn.asked.turn, choice="tie", seconds=99).status_code == 200
    assert batches_of(here.store)[0].given == 0
    assert answers_of(here.store) == {} == seconds_of(here.store) and days_of(here.store) == {}


def test_gold_and_quotas(site):
    here = site(gold={"share": 1.0}, quotas={"hasty": 2, "careful": 9})
    here.ask(1, 2, batch="gold", gold={"expected": {"choice": 0}, "why": ""})
    here.ask(3, 4, batch="plain")
    ben = here.come("ben", group="hasty")
    here.judge(ben, choose=lambda number: 0 if number == 1 else 1)
    assert golden_of(here.store) == {ben.person.id: (1, 2)}
    assert filled_quotas(here.store, here.project.quotas) == {"hasty": 2}
    assert batches_of(here.store)[0].answers_gold == 2


def test_a_correction_counts_its_seconds_and_no_second_answer(here):
    ada = here.come("ada")
    turn = here.queue.next(ada.person).asked.turn
    for more in ({}, {"corrects": True}):
        assert ada.answer(turn, choice="tie", seconds=4.0, **more).status_code == 200
    assert seconds_of(here.store) == {ada.person.id: [4.0, 4.0]} and answers_of(here.store) == {ada.person.id: 1}
