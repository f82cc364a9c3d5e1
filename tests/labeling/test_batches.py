"""What is changed of tasks that are queued: nobody is asked too often, nothing that was said is lost."""

import pytest

from preferably.errors import ConfigError
from preferably.labeling.batches import Batches
from preferably.labeling.progress import batches_of


def test_of_a_closed_batch_nobody_gets_anything_and_what_is_on_the_page_is_taken(site):
    here = site()
    here.ask(1, 2)
    ada, ben = here.come("ada"), here.come("ben")
    turn = here.queue.next(ada.person)
    batches = Batches(here.store)
    batches.close("b")
    assert here.queue.next(ben.person) is None
    assert ada.answer(turn.asked.turn, choice="tie").status_code == 200
    (found,) = batches_of(here.store)
    assert (found.done, found.closed, found.is_closed, found.left) == (1, 1, True, 0)
    batches.reopen("b")
    assert len(here.judge(ben)) == 1  # the one that was answered stays done
    assert not batches_of(here.store)[0].is_closed


def test_more_people_are_asked(site):
    here = site()
    here.ask(1, 2)
    ada, ben, chloe = here.come("ada"), here.come("ben"), here.come("chloe")
    here.judge(ada)
    assert here.queue.next(ben.person) is None
    Batches(here.store).ask("b", 2)
    assert len(here.judge(ben)) == 2 and here.queue.next(chloe.person) is None
    (found,) = batches_of(here.store)
    assert (found.done, found.given, found.wanted) == (2, 4, 4)


def test_fewer_people_are_asked_also_where_more_have_it_on_the_page(anywhere):
    here = anywhere()
    here.ask(1, overlap=3)
    ada, ben, chloe, dev = (here.come(name) for name in ("ada", "ben", "chloe", "dev"))
    here.judge(ada)
    turns = [here.queue.next(one.person).asked.turn for one in (ben, chloe)]
    Batches(here.store).ask("b", 2)  # one was answered, two have it
    here.queue.skip(ben.person, turns[0])
    assert here.queue.next(dev.person) is None  # chloe has the second place
    here.queue.skip(chloe.person, turns[1])
    assert len(here.judge(dev)) == 1
    Batches(here.store).ask("b", 1)
    (found,) = batches_of(here.store)
    assert (found.done, found.given, found.answers, found.left) == (1, 1, 2, 0)


def test_a_batch_that_was_closed_stays_so_when_more_are_wanted(site):
    here = site()
    here.ask(1, 2)
    ada, ben = here.come("ada"), here.come("ben")
    here.judge(ada, limit=1)
    Batches(here.store).close("b")
    Batches(here.store).ask("b", 2)
    assert here.queue.next(ben.person) is None
    Batches(here.store).reopen("b")
    assert len(here.judge(ben)) == 2


def test_gold_is_asked_of_everybody_whatever_the_overlap(site):
    here = site(gold={"share": 1.0})
    here.ask(1, gold={"expected": {"choice": 0}, "why": ""})
    Batches(here.store).ask("b", 1)
    assert all(len(here.judge(here.come(name))) == 1 for name in ("ada", "ben", "chloe"))
    Batches(here.store).close("b")
    assert here.judge(here.come("dev")) == []
    Batches(here.store).reopen("b")
    assert len(here.judge(here.come("eli"))) == 1


def test_the_batch_with_the_higher_priority_comes_first(site):
    here = site()
    here.ask(1, batch="early")
    here.ask(2, batch="late")
    Batches(here.store).prefer("late", 3)
    assert here.judge(here.come("ada")) == [2, 1]


@pytest.mark.parametrize(
    "change",
    [
        lambda batches: batches.ask("b", 0), lambda batches: batches.ask("b", 101),
        lambda batches: batches.prefer("b", float("nan")), lambda batches: batches.prefer("b", float("inf")),
        lambda batches: batches.close("another"), lambda batches: batches.reopen(""),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(site, change):
    here = site()
    here.ask(1)
    with pytest.raises(ConfigError):
        change(Batches(here.store))
    assert len(here.judge(here.come("ada"))) == 1


def test_whoever_settles_after_all_what_they_skipped_takes_nobodys_place(site):
    here = site()
    here.ask(1, overlap=2)
    lee = here.come("lee", "lead")
    turn = here.queue.settle(lee.person, 1).asked.turn
    here.queue.skip(lee.person, turn)
    assert here.queue.settle(lee.person, 1).asked.turn == turn
    assert lee.answer(turn, choice="tie").status_code == 200
    assert len(here.judge(here.come("ada"))) == len(here.judge(here.come("ben"))) == 1
