"""What is asked of whom: nobody twice, no more than are wanted, nothing lost when somebody does not come back."""

import os
import threading
from uuid import uuid4

import pytest
from labelers import answer, group, person
from sqlalchemy import select

from preferably.errors import ConfigError, DataError
from preferably.feedback.records import Flag, Group, Ranking, Rating
from preferably.feedback.store.labeling_tables import tasks
from preferably.feedback.store.store import Store
from preferably.feedback.views import pairs
from preferably.labeling.answers import AnswerError
from preferably.labeling.clock import Clock
from preferably.labeling.people import People, RefusedError
from preferably.labeling.project import project_of
from preferably.labeling.queue import AnsweredError, NotYoursError, Queue, Task

TASKS = int(os.environ.get("PREFERABLY_TASKS", "400"))


class SetClock(Clock):
    """A clock that tests move."""

    seconds = 0.0

    def __init__(self):
        object.__setattr__(self, "boot", "first")

    def steady(self):
        return SetClock.seconds


@pytest.fixture
def clock():
    SetClock.seconds = 0.0
    return SetClock()


def test_an_answer_is_a_judgment_in_the_places_of_the_group(store):
    queue = Queue(store, project_of({"version": "7"}))
    assert queue.add([Task(group(1))], "b") == {"queued": 1, "known": 0}
    ada = person(store, "ada", "careful")
    turn = queue.next(ada)
    first = turn.asked.group.completions[turn.asked.shown[0]].text
    receipt = queue.answer(ada, turn.asked.turn, answer(0, rationale=" it answers ", flags=["harmful"]))
    entries = list(store.entries())
    assert [entry.id for entry in entries] == [receipt.answer, f"{receipt.answer}.1"]
    verdict, flag = entries
    assert verdict.group.completions[verdict.judgment.choice].text == first
    assert verdict.judgment.strength == 2 and verdict.judgment.order == turn.asked.shown
    assert (verdict.guideline, verdict.rationale, verdict.seconds, verdict.seed) == (
        "7",
        "it answers",
        3.5,
        turn.asked.seed,
    )
    assert (verdict.judgment.labeler, verdict.judgment.labeler_group) == ("ada", "careful")
    assert isinstance(flag.judgment, Flag) and flag.judgment.name == "harmful"
    assert queue.next(ada) is None
    assert pairs(store.judged())[0].completions[0].text == first


def test_a_task_goes_to_as_many_people_as_are_wanted_and_to_nobody_twice(store):
    queue = Queue(store, project_of({}))
    queue.add([Task(group(n), overlap=2) for n in range(3)], "b")
    had = []
    for name in ("ada", "ben", "chloe"):
        someone = person(store, name)
        while (turn := queue.next(someone)) is not None:
            queue.answer(someone, turn.asked.turn, answer(1))
            had.append((turn.task, name))
    assert len(had) == len(set(had)) == 6
    assert all(sum(task == number for task, _ in had) == 2 for number, _ in had)


def test_what_is_sent_again_is_kept_once_and_what_is_changed_says_so(store):
    queue = Queue(store, project_of({}))
    queue.add([Task(group(1))], "b")
    ada = person(store, "ada")
    turn = queue.next(ada).asked.turn
    sent = answer(0, flags=["harmful"])
    assert queue.answer(ada, turn, sent) == queue.answer(ada, turn, sent)
    assert store.counts()["judgments"] == 2
    with pytest.raises(AnswerError, match="there already and differs"):
        queue.answer(ada, turn, sent | {"choice": 1})
    with pytest.raises(AnsweredError):
        queue.answer(ada, turn, answer(1))  # a double click, another tab, the button back
    queue.answer(ada, turn, answer(1, corrects=True))
    current = [entry.judgment for entry in store.entries(superseded=False)]
    assert store.counts() == {"items": 1, "judgments": 4, "superseded": 2}
    assert [one.raised for one in current if isinstance(one, Flag)] == [False]  # the flag was taken back
    assert queue.answer(ada, turn, sent).answer == sent["id"]  # a replay, a day later
    assert store.counts()["judgments"] == 4


def test_a_lease_that_ends_gives_the_task_to_others_and_a_late_answer_is_kept_and_marked(store, clock):
    queue = Queue(store, project_of({"lease_minutes": 10}), clock)
    queue.add([Task(group(1))], "b")
    ada, ben = person(store, "ada"), person(store, "ben")
    turn = queue.next(ada)
    SetClock.seconds = 599
    assert queue.next(ben) is None
    SetClock.seconds = 601
    other = queue.next(ben)
    assert other.task == turn.task
    assert queue.answer(ada, turn.asked.turn, answer(0)).late
    assert not queue.answer(ben, other.asked.turn, answer(0)).late
    assert store.counts()["judgments"] == 2


def test_looking_at_the_page_again_is_the_same_turn_and_keeps_the_lease(store, clock):
    queue = Queue(store, project_of({"lease_minutes": 10}), clock)
    queue.add([Task(group(1)), Task(group(2))], "b")
    ada, ben = person(store, "ada"), person(store, "ben")
    turn = queue.next(ada)
    SetClock.seconds = 500
    assert queue.next(ada).asked == turn.asked
    SetClock.seconds = 900
    assert queue.next(ben).task != turn.task


def test_leases_of_before_the_machine_was_started_again_are_over(store, clock):
    queue = Queue(store, project_of({}), clock)
    queue.add([Task(group(1))], "b")
    ada, ben = person(store, "ada"), person(store, "ben")
    queue.next(ada)
    object.__setattr__(clock, "boot", "second")
    assert queue.next(ben) is not None


def test_what_is_skipped_goes_to_others_and_does_not_come_back(store):
    queue = Queue(store, project_of({}))
    queue.add([Task(group(1))], "b")
    ada, ben = person(store, "ada"), person(store, "ben")
    turn = queue.next(ada)
    queue.skip(ada, turn.asked.turn)
    assert queue.next(ada) is None
    assert queue.next(ben).task == turn.task


def test_nobody_answers_or_sees_the_turn_of_another(store):
    queue = Queue(store, project_of({}))
    queue.add([Task(group(1))], "b")
    ada, ben = person(store, "ada"), person(store, "ben")
    turn = queue.next(ada).asked.turn
    for attempt in (
        lambda: queue.answer(ben, turn, answer(0)), lambda: queue.skip(ben, turn), lambda: queue.turn(ben, turn)
    ):  # fmt: skip
        with pytest.raises(NotYoursError):
            attempt()
    assert store.counts()["judgments"] == 0


def test_gold_is_hidden_among_the_others_and_its_answer_is_held_against_what_is_right(store):
    queue = Queue(store, project_of({"gold": {"share": 1.0}}))
    queue.add([Task(group(1), gold={"expected": {"choice": 0}, "why": "it answers"})], "gold")
    for name, right in (("ada", True), ("ben", False)):
        someone = person(store, name)
        turn = queue.next(someone)
        wanted = [turn.asked.group.completions[place].text for place in turn.asked.shown].index("answer a to 1")
        receipt = queue.answer(someone, turn.asked.turn, answer(wanted if right else 1 - wanted))
        assert (receipt.right, receipt.why) == (right, "it answers")


def test_a_group_of_labelers_gives_no_more_than_is_wanted_of_it(store):
    queue = Queue(store, project_of({"quotas": {"hasty": 3}}))
    queue.add([Task(group(n)) for n in range(10)], "b")
    counts = {}
    for name, kind in (("eli", "hasty"), ("fay", "hasty"), ("ada", "careful")):
        someone = person(store, name, kind)
        while (turn := queue.next(someone)) is not None:
            queue.answer(someone, turn.asked.turn, answer(0))
            counts[kind] = counts.get(kind, 0) + 1
    assert counts == {"hasty": 3, "careful": 7}


def test_whoever_settles_takes_no_place_and_decides(store):
    queue = Queue(store, project_of({}))
    queue.add([Task(group(1), overlap=3)], "b")
    texts = []
    for name, choose in (("ada", 0), ("ben", 0), ("chloe", 0)):
        someone = person(store, name)
        turn = queue.next(someone)
        wanted = turn.asked.shown.index(choose)
        queue.answer(someone, turn.asked.turn, answer(wanted))
    lead = person(store, "lee", role="lead")
    turn = queue.settle(lead, turn.task)
    queue.answer(lead, turn.asked.turn, answer(turn.asked.shown.index(1)))
    texts = [one.text for one in pairs(store.judged())[0].completions]
    assert texts[0] == turn.asked.group.completions[1].text
    with pytest.raises(DataError, match="as a labeler"):
        queue.settle(someone, turn.task)


@pytest.mark.parametrize(
    "kind, sent, match",
    [
        ("pair", {"choice": 2}, "choice is"),
        ("pair", {"choice": True}, "choice is"),
        ("pair", {"choice": 0, "strength": None}, "strength is missing"),
        ("pair", {"choice": "tie", "strength": 1}, "of a choice between"),
        ("pair", {"choice": 0, "strength": 9}, "strength is"),
        ("pair", {"choice": "tie", "id": "7"}, "UUID"),
        ("pair", {"choice": "tie", "flags": ["ugly"]}, "flags are"),
        ("pair", {"choice": "tie", "seconds": -1}, "seconds is"),
        ("ranking", {"ranks": [1, 3]}, "without a gap"),
        ("ranking", {"ranks": "12"}, "ranks are"),
        ("rating", {"scores": {"clear": [1, 6]}}, "from 1 to 5"),
        ("rating", {"scores": {"clear": [None, None]}}, "nothing was rated"),
        ("rating", {"scores": {}}, "for each of clear"),
        ("thumbs", {"thumbs": [None, None]}, "no thumb"),
        ("edit", {"text": " "}, "text is"),
        ("edit", {"text": "x", "of": 5}, "of is"),
    ],
)
def test_an_answer_that_cannot_be_kept_is_told_and_not_kept(store, kind, sent, match):
    queue = Queue(store, project_of({"rubric": [{"name": "clear"}]}))
    queue.add([Task(group(1), kind)], "b")
    ada = person(store, "ada")
    with pytest.raises(AnswerError, match=match):
        queue.answer(ada, queue.next(ada).asked.turn, {"id": str(uuid4())} | sent)
    assert store.counts()["judgments"] == 0


def test_rankings_ratings_and_edits_come_to_what_was_meant(store):
    queue = Queue(store, project_of({"rubric": [{"name": "clear"}, {"name": "kind"}]}))
    queue.add([Task(group(1, 3), "ranking")], "r")
    ada = person(store, "ada")
    turn = queue.next(ada)
    queue.answer(ada, turn.asked.turn, {"id": str(uuid4()), "ranks": [2, 1, 2]})
    (said,) = [entry.judgment for entry in store.entries()]
    assert isinstance(said, Ranking) and said.ranks[turn.asked.shown[1]] == 1 and sorted(said.ranks) == [1, 2, 2]
    queue.add([Task(group(2), "rating")], "s")
    turn = queue.next(ada)
    queue.answer(ada, turn.asked.turn, {"id": str(uuid4()), "scores": {"clear": [5, 1], "kind": [None, 3]}})
    found = {e.judgment.axis: e.judgment for e in store.entries() if isinstance(e.judgment, Rating)}
    assert found["clear"].scores[turn.asked.shown[0]] == 5 and found["kind"].scores[turn.asked.shown[0]] is None
    queue.add([Task(group(3, 1), "edit")], "e")
    turn = queue.next(ada)
    queue.answer(ada, turn.asked.turn, {"id": str(uuid4()), "text": "a better answer", "of": 0})
    made = [one for one in pairs(store.judged()) if one.prompt_text == "question 3"]
    assert [one.text for one in made[0].completions] == ["a better answer", "answer a to 3"]
    assert made[0].completions[0].origin.model == "edited by a labeler"


@pytest.mark.parametrize("overlap, people, count", [(1, 64, TASKS), (3, 16, 60)])
def test_many_at_one_instant_get_no_task_too_often(place, overlap, people, count):
    with Store(place) as store:
        queue = Queue(store, project_of({}))
        queue.add([Task(group(n), overlap=overlap) for n in range(count)], "b")
        everybody = [person(store, f"p{n}") for n in range(people)]
        had, faults, go = [], [], threading.Barrier(people)

        def work(someone):
            try:
                go.wait()
                while (turn := queue.next(someone)) is not None:
                    had.append((turn.task, someone.name))
                    queue.answer(someone, turn.asked.turn, answer("tie", strength=None))
            except Exception as error:
                faults.append(error)

        threads = [threading.Thread(target=work, args=(someone,)) for someone in everybody]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert not faults and len(had) == len(set(had)) == overlap * count
        assert store.counts()["judgments"] == overlap * count


def test_the_same_completions_are_not_given_to_somebody_twice_in_another_batch(store):
    queue = Queue(store, project_of({}))
    queue.add([Task(group(1), overlap=2)], "one")
    queue.add([Task(group(1), overlap=2)], "two")
    ada = person(store, "ada")
    queue.answer(ada, queue.next(ada).asked.turn, answer(0))
    assert queue.next(ada) is None and queue.next(person(store, "ben")) is not None


def test_queued_again_for_more_people_a_task_is_open_again(store):
    queue = Queue(store, project_of({}))
    queue.add([Task(group(1))], "b")
    ada, ben = person(store, "ada"), person(store, "ben")
    queue.answer(ada, queue.next(ada).asked.turn, answer(0))
    assert queue.next(ben) is None
    assert queue.add([Task(group(1), overlap=2, priority=7.0)], "b") == {"queued": 0, "known": 1}
    with store.snapshot() as connection:  # what was put in an order stays in it
        assert connection.execute(select(tasks.c.priority)).scalar_one() == 0
    queue.answer(ben, queue.next(ben).asked.turn, answer(0))
    assert queue.next(person(store, "chloe")) is None


def test_gold_counts_as_it_was_answered_first(store):
    queue = Queue(store, project_of({"gold": {"share": 1.0}}))
    queue.add([Task(group(1), gold={"expected": {"choice": 0}})], "gold")
    ada = person(store, "ada")
    turn = queue.next(ada)
    right = turn.asked.shown.index(
        next(at for at, one in enumerate(turn.asked.group.completions) if one.text == "answer a to 1")
    )
    assert queue.answer(ada, turn.asked.turn, answer(1 - right)).right is False
    assert queue.answer(ada, turn.asked.turn, answer(right, corrects=True)).right is False  # they were told meanwhile


def test_a_changed_edit_takes_the_earlier_one_back(store):
    queue = Queue(store, project_of({}))
    queue.add([Task(group(1, 1), "edit")], "e")
    ada = person(store, "ada")
    turn = queue.next(ada).asked.turn
    for number, text in enumerate(("first edit", "second edit", "third edit")):
        queue.answer(ada, turn, {"id": str(uuid4()), "text": text, "of": 0, "corrects": number > 0})
    made = [[one.text for one in pair.completions] for pair in pairs(store.judged())]
    assert made == [["third edit", "answer a to 1"]]
    assert store.counts()["superseded"] == 2


@pytest.mark.parametrize(
    "task, match",
    [
        (Task(Group(group(1).prompt, (group(1).completions[0],) * 2)), "nothing to compare"),
        (Task(group(1), overlap=0), "for 1 to 100 people"),
        (Task(group(1), overlap=5_000_000_000), "for 1 to 100 people"),
        (Task(group(1), priority=float("inf")), "finite number"),
    ],
)
def test_what_cannot_be_asked_is_not_queued(store, task, match):
    with pytest.raises(DataError, match=match):
        Queue(store, project_of({})).add([task], "b")


def test_an_answer_that_the_store_refuses_for_good_is_no_busy_server(store):
    queue = Queue(store, project_of({}))
    queue.add([Task(group(1)), Task(group(2))], "b")
    ada = person(store, "ada")
    sent = answer(0)
    queue.answer(ada, queue.next(ada).asked.turn, sent)
    with pytest.raises(AnswerError, match="there already"):
        queue.answer(ada, queue.next(ada).asked.turn, sent | {"id": sent["id"].upper()})


def test_of_many_who_use_one_invitation_one_comes_in_and_one_admin_stays(store):
    people = People(store)
    code, came = people.invite("labeler"), []

    def come(name):
        try:
            came.append(people.accept(code, name)[0])
        except RefusedError:
            pass

    admins = [person(store, name, role="admin") for name in ("mia", "noa")]

    def leave(one):
        try:
            people.change(one.id, role="labeler")
        except RefusedError:
            pass

    work = [threading.Thread(target=come, args=(f"p{n}",)) for n in range(6)]
    work += [threading.Thread(target=leave, args=(one,)) for one in admins]
    [thread.start() for thread in work]
    [thread.join() for thread in work]
    assert len(came) == 1
    assert sum(one.role == "admin" for one in people.all()) == 1


@pytest.mark.parametrize("name", ["", "\u200b", "Ann\u200b", "\x9b31m", "a" * 61])
def test_a_name_can_be_seen(store, name):
    with pytest.raises(ConfigError, match="all of which can be seen"):
        person(store, name)
