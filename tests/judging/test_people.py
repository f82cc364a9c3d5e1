"""People as a judge: what waits for them, and what their votes come to."""

import threading
import time

import pytest
from labelers import answer, group, person

import preferably
from preferably.errors import ConfigError
from preferably.evaluation.winrate import win_rate
from preferably.feedback.records import Group, Message
from preferably.feedback.store.store import Store
from preferably.judging.named import decided_by
from preferably.judging.people import PeopleJudge, WaitingError
from preferably.labeling.project import Project
from preferably.labeling.queue import Queue


def vote(store, name, choose):
    """Somebody answers all that there is for them; `choose(texts)` gives the better one, or a word."""
    queue, someone, count = Queue(store, Project()), person(store, name), 0
    while (turn := queue.next(someone)) is not None:
        texts = [turn.asked.group.completions[place].text for place in turn.asked.shown]
        chosen = choose(texts)
        queue.answer(someone, turn.asked.turn, answer(texts.index(chosen) if chosen in texts else chosen))
        count += 1
    return count


def likes(letter):
    return lambda texts: next(text for text in texts if f"answer {letter}" in text)


def test_pairs_wait_for_people_and_their_votes_come_back_in_the_places_asked(tmp_path):
    place = tmp_path / "p.db"
    groups = [group(n) for n in range(5)]
    groups[1] = Group(groups[1].prompt, groups[1].completions[::-1])
    judge = PeopleJudge(place)
    with pytest.raises(WaitingError, match=r"0 of 5 pairs .* run the same command again"):
        judge(groups)
    with Store(place) as store:
        assert vote(store, "ada", likes("a")) == 5
    found = judge(groups)
    assert [one.choice for one in found] == [0, 1, 0, 0, 0]
    assert all(one.strength == 2 for one in found)


def test_what_most_say_holds_and_without_a_majority_it_is_a_tie(tmp_path):
    place = tmp_path / "p.db"
    groups = [group(n) for n in range(3)]
    judge = PeopleJudge(place, overlap=3)
    with pytest.raises(WaitingError):
        judge(groups)
    with Store(place) as store:
        for name in ("ada", "ben"):
            vote(store, name, likes("a"))
        with pytest.raises(WaitingError, match="0 of 3"):
            judge(groups)
        vote(store, "chloe", likes("b"))
    assert [one.choice for one in judge(groups)] == [0, 0, 0]


@pytest.mark.parametrize(
    "words, expected",
    [(("a", "b"), "tie"), (("a", "unsure"), 0), (("unsure", "unsure"), "unsure"), (("tie", "a"), "tie")],
)
def test_two_votes(tmp_path, words, expected):
    place = tmp_path / "p.db"
    judge = PeopleJudge(place, overlap=2)
    with pytest.raises(WaitingError):
        judge([group(1)])
    with Store(place) as store:
        for name, word in zip(("ada", "ben"), words, strict=True):
            vote(store, name, likes(word) if len(word) == 1 else lambda texts, word=word: word)
    assert judge([group(1)])[0].choice == expected


def test_nobody_is_asked_about_two_equal_answers(tmp_path):
    one = group(1)
    same = Group(one.prompt, (one.completions[0],) * 2)
    assert PeopleJudge(tmp_path / "p.db")([same])[0].choice == "tie"
    with Store(tmp_path / "p.db") as store:
        assert Queue(store, Project()).next(person(store, "ada")) is None


def test_a_win_rate_is_of_each_pair_once_and_of_people(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    judge, score = decided_by("people:votes.db")
    assert isinstance(judge, PeopleJudge) and score is None
    prompts = [Group((Message("user", f"question {n}"),)) for n in range(10)]
    ours, theirs = ([[f"answer {letter} to {n}"] for n in range(10)] for letter in "ab")
    with pytest.raises(WaitingError):
        win_rate(prompts, ours, theirs, judge)
    with Store(tmp_path / "votes.db") as store:
        assert vote(store, "ada", likes("a")) == 10
    found = win_rate(prompts, ours, theirs, judge)
    assert (found.win_rate, found.wins, found.labeler_kind) == (1.0, 10, "human")


def test_an_evaluation_goes_on_once_the_votes_are_in(tmp_path, tiny):
    model, other = (tiny.write_model(tmp_path / name, seed=seed, std=0.3) for name, seed in (("a", 1), ("b", 2)))
    prompts = [Group((Message("text", f"q{n} "),)) for n in range(6)]
    place, seen = tmp_path / "votes.db", []

    def wait(done, of):
        seen.append((done, of))
        return time.monotonic() < deadline

    deadline = time.monotonic() + 60
    how = {"against": other, "data": prompts, "max_tokens": 8, "temperature": 1.0, "device": "cpu", "kl": False}

    def people():
        while not seen:
            time.sleep(0.01)
        with Store(place) as store:
            vote(store, "ada", lambda texts: texts[0] if texts[0] > texts[1] else texts[1])

    thread = threading.Thread(target=people)
    thread.start()
    judge = PeopleJudge(place, wait=wait)
    found = preferably.evaluate(model, judge=judge, output=tmp_path / "out", **how)
    thread.join()
    assert found.n == 6 and found.missing == 0 and seen[0][0] == 0
    again = preferably.evaluate(
        model, judge=PeopleJudge(place), output=tmp_path / "out", **how
    )  # nobody is asked again
    assert again.win_rate == found.win_rate


def test_nobody_cannot_judge(tmp_path):
    with pytest.raises(ConfigError, match="At least one person"):
        PeopleJudge(tmp_path / "p.db", overlap=0)


def test_more_people_can_be_asked_later_and_a_settled_pair_is_done(tmp_path):
    place = tmp_path / "p.db"
    with pytest.raises(WaitingError):
        PeopleJudge(place)([group(1)])
    with Store(place) as store:
        vote(store, "ada", likes("a"))
        assert PeopleJudge(place)([group(1)])[0].choice == 0
        with pytest.raises(WaitingError, match="0 of 1"):
            PeopleJudge(place, overlap=2)([group(1)])
        assert vote(store, "ben", likes("b")) == 1
        assert PeopleJudge(place, overlap=2)([group(1)])[0].choice == "tie"
        queue, lead = Queue(store, Project()), person(store, "lee", role="lead")
        turn = queue.settle(lead, 1)
        texts = [turn.asked.group.completions[at].text for at in turn.asked.shown]
        queue.answer(lead, turn.asked.turn, answer(texts.index(likes("b")(texts))))
    assert PeopleJudge(place, overlap=2)([group(1)])[0].choice == 1
