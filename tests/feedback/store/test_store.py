"""Judgments go in once, are never changed, and come out as they were, from SQLite and PostgreSQL alike."""

import dataclasses
import signal
import subprocess
import sys
import threading
from uuid import UUID, uuid4

import pytest

from preferably.errors import DataError
from preferably.feedback.records import Completion, Group, Label, Message, Origin, Preference, Ranking, Rating
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.store import Store
from preferably.feedback.views import pairs

PROMPT = (Message("system", "Be kind."), Message("user", "Ends in \u2028, 日本, a \x00 and half of a pair: \ud83d"))


def three(*texts):
    return Group(PROMPT, tuple(Completion((Message("assistant", text),)) for text in texts), tools="[]", source="s")


def test_what_goes_in_comes_out(store):
    group = three("a", "b", "c")
    turns = (
        Message("assistant", "", fields='{"tool_calls": []}'),
        Message("tool", "12"),
        Message("assistant", "x", False),
    )
    other = Group((Message("user", "Once"),), (Completion(turns, Origin("m", 0.5, 3)),), columns='{"id": 1}')
    given = [
        Entry(group, Preference(2, 1.5, "ada", "careful", order=(2, 0)), seed=2**40, guideline="v2", seconds=3.25),
        Entry(group, Preference("both_bad", labeler="ben", order=(1, 0)), rationale="Both\nlie."),
        Entry(group, Ranking((2, 1, 2), "chloe", order=(1, 2, 0)), labeler_kind="model", principle="honesty"),
        Entry(group, Rating("helpful", (0.1, None, 4.0), "dev"), labeler_kind="rule"),
        Entry(other, Label(True, 0, "eli")),
        Entry(group, Preference(None, labeler="fay", state="refused")),
    ]
    assert store.say(given) == [1, 2, 3, 4, 5, 6]
    back = list(store.entries())
    for one, other in zip(given, back, strict=True):
        kept = dataclasses.replace(other, number=0, said_at="")
        assert kept == one and other.said_at.endswith("+00:00")
    assert [one.number for one in back] == [1, 2, 3, 4, 5, 6]
    first, second = store.judged()
    assert first.group == group and first.judgments == tuple(one.judgment for one in (*given[:4], given[5]))
    assert second.group == given[4].group and second.judgments == (given[4].judgment,)
    assert store.counts() == {"items": 2, "judgments": 6, "superseded": 0}


def test_the_same_completions_in_another_order_are_one_group(store):
    one, other = three("a", "b", "c"), three("c", "a", "b")
    said = [
        Preference(0, labeler="x"),
        Ranking((1, 2, 3), "y", order=(2, 1, 0)),
        Rating("z", (1.0, 2.0, 3.0)),
        Label(True, 0),
    ]
    store.say([Entry(one, Preference(0, labeler="w"))])
    store.say([Entry(other, judgment) for judgment in said])
    (judged,) = store.judged()
    texts = [completion.text for completion in judged.group.completions]

    def place(*named):
        return tuple(texts.index(name) for name in named)

    by_w, preferred, ranked, rated, liked = judged.judgments
    assert (texts[by_w.choice], texts[preferred.choice], texts[liked.completion]) == ("a", "c", "c")
    assert preferred.order == place("c", "a") and ranked.order == place("b", "a", "c")
    assert [ranked.ranks[at] for at in place("c", "a", "b")] == [1, 2, 3]
    assert [rated.scores[at] for at in place("c", "a", "b")] == [1, 2, 3]
    won = {tuple(one.text for one in pair.completions) for pair in pairs([judged])}
    assert won == {("a", "b"), ("c", "a"), ("c", "b")}  # w said a over b, x c over a, y c over a over b


def test_sent_twice_is_kept_once(store, said):
    entry, more = said(), said(1, "ben")
    assert store.say([entry]) == store.say([entry]) == [1]
    assert store.say([entry, more])[0] == 1
    assert store.counts()["judgments"] == 2


def test_an_id_with_another_content_is_refused_and_nothing_of_the_call_kept(store, said):
    entry = said()
    store.say([entry])
    with pytest.raises(DataError, match="is there already and says something else"):
        store.say([said(1, "ben"), dataclasses.replace(entry, judgment=Preference(1, labeler="ada"))])
    with pytest.raises(DataError, match="say different things"):
        store.say([entry, dataclasses.replace(entry, judgment=Preference(1, labeler="ada"))])
    assert store.say([entry, entry]) == [1, 1] and store.counts()["judgments"] == 1


def test_of_a_model_the_first_answer_to_a_question_stays(store, said, pair):
    """Its id is that of the question; about another group, or by somebody else, it is none of these."""
    first = said(0, "big", labeler_kind="model", rationale="so")
    again = dataclasses.replace(first, judgment=Preference("tie", 0.1, "big"), rationale="")
    assert store.say([first]) == store.say([again]) == [1] and store.say([again, first]) == [1, 1]
    assert [one.rationale for one in store.entries()] == ["so"]
    for other in (
        dataclasses.replace(again, group=pair("Another?")),
        dataclasses.replace(again, judgment=Preference(0, labeler="small")),
        dataclasses.replace(again, labeler_kind="rule"),
    ):
        with pytest.raises(DataError, match="is there already and says something else"):
            store.say([other])
    assert store.counts() == {"items": 1, "judgments": 1, "superseded": 0}


def test_a_correction_takes_the_place_of_what_it_corrects_and_both_are_kept(store, said):
    first = said(0)
    second = said(1, supersedes=first.id)
    third = said("tie", supersedes=second.id)
    store.say([first])
    store.say([second, third])
    assert store.say([second]) == [2]  # sent again, after it was corrected itself
    assert [one.judgment.choice for one in store.entries(superseded=False)] == ["tie"]
    chosen = [one.judgment.choice for one in store.entries()]
    assert chosen[2] == "tie" and sorted(chosen[:2]) == [0, 1]  # by the order in which the store has the completions
    assert [one.choice for one in store.judged()[0].judgments] == ["tie"]
    assert store.counts() == {"items": 1, "judgments": 3, "superseded": 2}


@pytest.mark.parametrize("change, message", [
    ({"supersedes": "nothing"}, "which is not there"),
    ({"by": "ben"}, "by another labeler or about another group"),
    ({"group": True}, "by another labeler or about another group"),
])  # fmt: skip
def test_a_correction_of_something_else_is_refused(store, said, pair, change, message):
    first = said()
    store.say([first])
    more = {"supersedes": first.id} | change
    if "group" in change:
        more["group"] = pair("Another?")
    with pytest.raises(DataError, match=message):
        store.say([said(1, **more)])


def test_two_corrections_of_one_judgment_are_refused(store, said):
    first = said()
    store.say([first])
    second = said(1, supersedes=first.id)
    store.say([second])
    with pytest.raises(DataError, match=f"corrected by '{second.id}' already"):
        store.say([said("tie", supersedes=first.id)])


@pytest.mark.parametrize("judgment, more, message", [
    (Preference(2), {}, "chose 2"), (Preference(0, order=(0, 0)), {}, "compares"), (Preference(None), {}, "chose None"),
    (Preference(0, -1.0), {}, "strength"), (Preference(0, float("nan")), {}, "strength"),
    (Preference(True), {}, "chose True"), (Preference(5, state="invalid"), {}, "expected None of what is invalid"),
    (Ranking((1,)), {}, "ranks"), (Ranking((0, 1)), {}, "ranks"), (Ranking((1, 2), order=(0, 0)), {}, "order"),
    (Ranking((1.5, 2)), {}, "whole numbers"), (Ranking((1,), state="failed"), {}, "ranks"),
    (Rating("a", (1.0,)), {}, "rates 1"), (Rating("a", (1.0, float("inf"))), {}, "finite"),
    (Label(True, 2), {}, "completion 2"), (Label("yes"), {}, "'yes'"), (Preference(0, labeler="a\0"), {}, "NUL"),
    (Preference(0, labeler=None), {}, "NoneType"), (Preference(0), {"rationale": "\ud800"}, "half a character"),
    (Preference(0), {"id": ""}, "for an id"), (Preference(0), {"id": UUID(int=1)}, "for an id"),
    (Preference(0), {"seconds": -1.0}, "seconds"), (Preference(0), {"seed": 2**63}, "64 bits"),
    (Preference(0), {"seed": 1.5}, "64 bits"), (Preference(0), {"supersedes": "\ud800"}, "half a character"),
    (Preference(0), {"labeler_kind": "cat"}, "'cat'"), (Preference(0), {"said_at": "x" * 40}, "ISO 8601"),
    (Preference(0, state="maybe"), {}, "'maybe'"),
])  # fmt: skip
def test_what_does_not_fit_its_group_is_refused(tmp_path, pair, judgment, more, message):
    with Store(tmp_path / "s.db") as store:
        with pytest.raises(DataError, match=message):
            store.say([Entry(pair(), judgment, **more)])
        with pytest.raises(DataError, match="without completions"):
            store.say([Entry(Group((Message("user", "?"),)), Label(True))])
        assert store.counts()["judgments"] == 0


def test_many_at_once_lose_nothing_and_double_nothing(store, place, said):
    """Eight threads with connections of their own, each of which says everything twice."""
    everything = [
        [said(number % 2, f"labeler {worker}", id=str(uuid4())) for number in range(25)] for worker in range(8)
    ]
    failed = []

    def work(entries):
        try:
            with Store(place) as mine:
                for entry in entries:
                    assert mine.say([entry]) == mine.say([entry])
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(entries,)) for entries in everything]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    kept = [entry.id for entry in store.entries()]
    assert sorted(kept) == sorted(entry.id for entries in everything for entry in entries)


def test_two_stores_that_open_at_once_make_one_schema(place):
    opened, failed = [], []

    def work():
        try:
            opened.append(Store(place))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and [store.counts()["judgments"] for store in opened] == [0] * 4
    for store in opened:
        store.close()


@pytest.mark.parametrize("change, message", [
    ({"tools": "find(x)"}, "JSON list"), ({"columns": "[1]"}, "JSON object"), ({"source": 3}, "source"),
    ({"prompt": (Message("robot", "?"),)}, "'robot'"), ({"prompt": (Message("user", None),)}, "no text"),
    ({"prompt": (Message("user", "?", fields="x"),)}, "JSON object"), ({"prompt": (Message("text", "?"),)}, "mixes"),
    ({"completions": (Completion((Message("assistant", "a"),), Origin("m", float("nan"))),)}, "temperature"),
    ({"completions": ()}, "without completions"), ({"completions": (Completion(()),)}, "empty ones"),
])  # fmt: skip
def test_a_group_that_could_not_be_read_again_is_refused(tmp_path, pair, change, message):
    with Store(tmp_path / "s.db") as store:
        with pytest.raises(DataError, match=message):
            store.say([Entry(dataclasses.replace(pair(), **change), Label(True))])
        assert store.counts()["judgments"] == 0


def test_what_the_store_gives_can_be_said_again(store, said):
    store.say([said(seconds=3, seed=7), said(seconds=-0.0, by="ben"), said(by="eli", shown=False)])
    back = list(store.entries())
    assert store.say(back) == [1, 2, 3] and [one.shown for one in back] == [True, True, False]


def test_whoever_goes_through_the_entries_may_write_meanwhile_and_sees_what_was_there_before(store, place, said):
    first = said(by="labeler 0")
    store.say([first, *(said(by=f"labeler {number}") for number in range(1, 1500))])
    seen = []
    for entry in store.entries(superseded=False):
        if not seen:
            with Store(place) as other:
                other.say([said(by="late")])
            store.say([said(1, by="labeler 0", supersedes=first.id)])
        seen.append(entry.judgment.labeler)
    assert seen == [f"labeler {number}" for number in range(1500)]


KILLED = """
import os, signal, sys
from preferably.feedback.records import Completion, Group, Message, Preference
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.store import Store
group = Group((Message("user", "q"),), tuple(Completion((Message("assistant", t),)) for t in "ab"))
store = Store(sys.argv[1])
print(store.say([Entry(group, Preference(0), f"kept {n}") for n in range(50)])[-1], flush=True)
real = store.insert
def insert(connection, table, rows):
    real(connection, table, rows)
    if table.name == "judgments":
        os.kill(os.getpid(), signal.SIGKILL)  # written, and not committed
store.insert = insert
store.say([Entry(group, Preference(0), f"lost {n}") for n in range(3000)])
"""


def test_a_process_that_is_killed_while_it_writes_leaves_what_was_acknowledged_and_nothing_else(place):
    ended = subprocess.run([sys.executable, "-c", KILLED, place], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL and ended.stdout == "50\n", ended.stderr
    with Store(place, create=False) as store:
        assert sorted(entry.id for entry in store.entries()) == sorted(f"kept {n}" for n in range(50))
