"""Figures that take a while: one worker, the last figure meanwhile, faults told."""

import os
import threading

import pytest

from preferably.errors import DataError
from preferably.labeling.beside import beside
from preferably.labeling.figures import Figures, Kept


@pytest.fixture
def here(site):
    made = site()
    made.ask(*range(1, 9), overlap=2)
    return made


def test_a_figure_is_of_the_store_as_it_is_and_kept_while_that_stays(here):
    ada, calls = here.come("ada"), []

    def count(store):
        calls.append(1)
        return store.counts()["judgments"]

    kept = Kept(here.store, count)
    assert kept.now(60).value == 0 == kept.now(60).value and len(calls) == 1
    here.judge(ada, limit=2)
    kept.took = 0.0  # it was quick: nothing is served that is old
    assert (kept.now(60).value, kept.now(60).behind, len(calls)) == (2, 0, 2)


def test_what_takes_long_shows_the_figure_before_and_how_far_behind_it_is(here):
    ada, go = here.come("ada"), threading.Event()
    go.set()

    def slow(store):
        count = store.counts()["judgments"]
        assert go.wait(60)
        return count

    kept = Kept(here.store, slow)
    assert kept.now(60).value == 0
    go.clear()
    here.judge(ada, limit=3)
    kept.took = 0.0
    told = kept.now(0.0)
    assert (told.value, told.behind) == (0, 3)
    assert kept.now(0.0).value == 0  # asked again: nobody works it out twice
    go.set()
    assert kept.now(60).value == 3


def test_what_took_long_is_not_worked_out_for_every_judgment(here):
    ada = here.come("ada")
    kept = Kept(here.store, lambda store: store.counts()["judgments"])
    assert kept.now(60).value == 0
    here.judge(ada, limit=1)
    kept.took = 3600.0
    assert kept.now(60).value == 0 and kept.working is None


def test_the_first_one_is_not_there_yet(here):
    go = threading.Event()
    kept = Kept(here.store, lambda store: go.wait(60))
    assert kept.now(0.0).value is None
    go.set()
    assert kept.now(60).value is True


def test_a_fault_is_told_and_tried_again(here):
    broken = [True]

    def make(store):
        if broken:
            raise OSError("the disk is gone")
        return 7

    kept = Kept(here.store, make)
    told = kept.now(60)
    assert told.value is None and told.fault == "the disk is gone"
    broken.clear()
    assert kept.now(60).value == 7


def test_roles_are_part_of_what_a_figure_is_of(here):
    ada, calls = here.come("ada"), []
    kept = Kept(here.store, calls.append)
    kept.now(60)
    kept.took = 0.0
    here.people.change(ada.person.id, role="lead")
    kept.now(60)
    assert len(calls) == 2


def test_a_process_of_its_own_finds_the_same_and_its_death_is_told(here):
    here.judge(here.come("ada"))
    here.judge(here.come("ben"), choose=lambda number: 1, flags=["harmful"])
    (within, one), (apart, other) = (Figures(here.store, 60, many).worth().value for many in (10**6, 1))
    assert within.as_json() == apart.as_json() and one == other and len(one) == 8
    with pytest.raises(DataError, match="exit code 3"):
        beside(ends, here.store)


def ends(store):
    os._exit(3)
