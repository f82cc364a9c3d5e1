"""What a judge says goes into the store: once, whatever ends in between."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise

import pytest
from fault_server import AGAIN, MARK, ODD, FaultServer, reply, verdict
from sqlalchemy import delete

from preferably.errors import ConfigError
from preferably.feedback.records import Completion, Group, Message, Preference, Ranking, Rating
from preferably.feedback.store.erasing import sign_anew
from preferably.feedback.store.kept_replies import KeptReplies
from preferably.feedback.store.store import Store
from preferably.feedback.store.tables import replies
from preferably.feedback.views import pairs
from preferably.judging.constitution import Principle, read_constitution, revised, rows_of, unchanged
from preferably.judging.labeling import label
from preferably.judging.llm import LanguageJudge
from preferably.judging.settings import judge_settings, read_judges
from preferably.judging.verdicts import decide, labeler_named
from preferably.remote import waiting
from preferably.remote.server import RemoteError


def group(*texts, ask="What is it?"):
    return Group((Message("user", ask),), tuple(Completion((Message("assistant", text),)) for text in texts))


def judge(server, store, **more):
    plain = {"server": server.url, "model": "m", "schema": "no", "logprobs": "no", "timeout": 5, "deadline": 20}
    return LanguageJudge(judge_settings(plain | more), KeptReplies(store))


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "preferably.db") as opened:
        yield opened


def shown(body):
    mark = MARK.search(body["messages"][0]["content"])[1]
    found = re.findall(rf"--- reply ?([A-Z]?) {mark}\n(.*?)\n--- end", body["messages"][1]["content"], re.DOTALL)
    return mark, found or re.findall(rf"--- (reply) {mark}\n(.*?)\n--- end", body["messages"][1]["content"], re.DOTALL)


def longest(body):
    """Prefers the longest, of however many."""
    mark, found = shown(body)
    order = [letter for letter, text in sorted(found, key=lambda one: -len(one[1]))]
    asked = body["messages"][1]["content"]
    if "Order all" in asked:
        return reply(json.dumps({"mark": mark, "order": order}))
    if "Rate the" in asked:
        scores = {axis: min(5, len(found[0][1])) for axis in re.findall(r"^- (\w+):", asked, re.MULTILINE)}
        return reply(json.dumps({"mark": mark, "scores": scores}))
    return reply(json.dumps({"mark": mark, "better": order[0]}))


def chosen(entry):
    """The text that was preferred."""
    return entry.group.completions[entry.judgment.choice].text


def test_verdicts_in_both_orders_are_two_judgments_and_make_a_pair(store):
    with FaultServer(answer=longest) as server:
        told = label(judge(server, store, name="the judge"), [group("a", "bbb"), group("cccc", "d")], store)
    kept = list(store.entries())
    firsts = [one.group.completions[one.judgment.order[0]].text for one in kept]
    assert sorted(chosen(one) for one in kept) == ["bbb", "bbb", "cccc", "cccc"]
    assert sorted(firsts) == ["a", "bbb", "cccc", "d"]
    assert {one.labeler_kind for one in kept} == {"model"} and {one.judgment.labeler for one in kept} == {"the judge"}
    assert {one.guideline for one in kept} == {kept[0].guideline} and kept[0].guideline.startswith("pair-")
    assert (told.asked, told.states["ok"], told.same, told.changed, told.consistency) == (4, 4, 2, 0, 1.0)
    assert told.choices == {"first": 2, "second": 2}
    assert [one.completions[0].text for one in pairs(store.judged())] == ["bbb", "cccc"]


def test_verdicts_that_change_with_the_order_are_counted_and_make_no_pair(store):
    def first(body):
        return reply(json.dumps({"mark": shown(body)[0], "better": "A"}))

    with FaultServer(answer=first) as server:
        told = label(judge(server, store), [group("a", "b"), group("c", "d")], store)
    assert (told.same, told.changed, told.choices["first"]) == (0, 2, 4)
    assert not pairs(store.judged()) and store.counts()["judgments"] == 4


def test_one_order_by_chance_is_half_the_price_and_both_sides_come_first(store):
    groups = [group(f"a{n}", f"bb{n}") for n in range(40)]
    with FaultServer(answer=longest) as server:
        told = label(judge(server, store), groups, store, orders="random")
        assert told.asked == len(server.seen) == 40
    first = [one.judgment.choice == one.judgment.order[0] for one in store.entries()]
    assert 8 < sum(first) < 32 and all(chosen(one).startswith("bb") for one in store.entries())


def test_asked_again_nothing_is_asked_and_nothing_kept_twice(store):
    groups = [group(f"a{n}", f"bb{n}") for n in range(5)]
    with FaultServer(answer=longest) as server:
        label(judge(server, store), groups, store)
        before = list(store.entries())
        told = label(judge(server, store), groups, store)
        assert len(server.seen) == 10 and told.cached == 10 and list(store.entries()) == before


def test_verdicts_are_kept_in_the_order_of_the_questions_whichever_reply_comes_first(store):
    """What is learnt from them would else be another model after each run."""
    groups = [group(f"a{n:02}", f"bbb{n:02}") for n in range(20)]
    with FaultServer(answer=longest) as server:
        late = lambda tries, body: tries == 1 and any(f"bbb{n:02}" in str(body) for n in range(0, 20, 4))  # noqa: E731
        server.plan = lambda tries, body, random: "503 ms=60" if late(tries, body) else ""
        label(judge(server, store, concurrency=8), groups, store)
        came = [body for body in server.seen if not body.fault]
    assert [chosen(one) for one in store.entries()] == [f"bbb{n:02}" for n in range(20) for _ in range(2)]
    assert len(came) == 40 and len(server.seen) > 40


def test_a_question_that_is_asked_anew_and_answered_otherwise_keeps_its_first_verdict(store, tmp_path):
    """The replies are gone, and the server is not of the same mind: nothing is refused, and nothing made up."""
    groups = [group(f"a{n}", f"bb{n}") for n in range(3)]
    with FaultServer(answer=longest) as server:
        label(judge(server, store), groups[:2], store)
        before = list(store.entries())
        with store.writing() as connection:
            connection.execute(delete(replies))
        server.answer = lambda body: reply(json.dumps({"mark": shown(body)[0], "better": "A"}))
        told = label(judge(server, store), groups, store)
        assert told.cached == 0 and len(server.seen) == 4 + 6
        kept = list(store.entries())
        assert kept[:4] == before and len(kept) == 6
        with Store(tmp_path / "other.db") as other:  # what the same judge said elsewhere goes together with it
            label(judge(server, other), groups, other)
            found = list(other.entries())
            store.say(found)
            other.say([*kept, *found])
            assert store.counts()["judgments"] == other.counts()["judgments"] == 6


def test_where_asking_ends_early_what_came_is_kept(store):
    groups = [group(f"a{n:02}", f"bbb{n:02}") for n in range(6)]
    with FaultServer(answer=longest) as server:
        server.delay = lambda body: 2.0 if "bbb00" in str(body) else 0.0
        server.plan = lambda tries, body, random: "401" if "bbb05" in str(body) else ""
        with pytest.raises(RemoteError):
            label(judge(server, store, concurrency=4), groups, store)
    assert {chosen(one) for one in store.entries()} >= {"bbb01", "bbb02", "bbb03"}


def test_what_fails_is_not_kept_and_asked_the_next_time(store):
    groups = [group(f"a{n}", f"bb{n}") for n in range(5)]
    with FaultServer(answer=longest) as server:
        server.plan = lambda tries, body, random: "400" if "bb3" in str(body) else ""
        told = label(judge(server, store), groups, store)
        assert (told.states["ok"], told.states["failed"], store.counts()["judgments"]) == (8, 2, 8)
        assert sum(told.why.values()) == 2
        server.plan = lambda *_: ""
        told = label(judge(server, store), groups, store)
        assert (told.states["ok"], told.cached, store.counts()["judgments"]) == (10, 8, 10)


def test_what_is_invalid_or_refused_is_kept_as_such(store):
    with FaultServer(lambda tries, body, random: "refusal" if "bb0" in str(body) else "words") as server:
        told = label(judge(server, store), [group(f"a{n}", f"bb{n}") for n in range(3)], store)
    assert told.states == {"invalid": 4, "refused": 2}
    assert [one.judgment.state for one in store.entries()].count("refused") == 2 and not pairs(store.judged())


def test_the_seed_of_an_order_is_kept_and_another_one_makes_no_other_judgment(store):
    groups = [group(f"a{n}", f"bb{n}") for n in range(4)]
    with FaultServer(answer=longest) as server:
        label(judge(server, store), groups[:1], store)  # in both orders: nothing is drawn
        label(judge(server, store), groups[1:], store, orders="random", seed=7)
        assert sorted(one.seed or 0 for one in store.entries()) == [0, 0, 7, 7, 7]
        first, asked = list(store.entries()), len(server.seen)
        for seed in range(8, 14):  # orders come again, and with them judgments that are there
            label(judge(server, store), groups[1:], store, orders="random", seed=seed)
    kept = list(store.entries())
    assert kept[:5] == first and len(kept) == 2 + 6 and len(server.seen) == asked + 3  # three in the other order
    again = [replace(one, number=0, seed=one.seed and one.seed + 1) for one in kept]
    assert store.say(again) == [one.number for one in kept]
    with store.writing() as connection:
        assert sign_anew(connection, kept[0].judgment.labeler, "somebody") == 8
    store.say([replace(one, judgment=replace(one.judgment, labeler="somebody")) for one in again])
    assert store.counts()["judgments"] == 8


def test_several_completions_are_ranked(store):
    with FaultServer(answer=longest) as server:
        told = label(judge(server, store), [group("a", "bbb", "cc")], store, kind="ranking")
    assert told.asked == 2
    kept = [one.judgment for one in store.entries()]
    assert [one.ranks for one in kept] == [(3, 1, 2)] * 2 and kept[0].order == kept[1].order[::-1]
    assert all(isinstance(one, Ranking) for one in kept)


def test_all_pairs_of_several_are_compared_but_equal_ones(store):
    with FaultServer(answer=longest) as server:
        told = label(judge(server, store), [group("a", "bbb", "a")], store)
        assert told.asked == 4 and len(server.seen) == 2  # one request answers for both pairs
    assert [chosen(one) for one in store.entries()] == ["bbb"] * 4
    assert len({frozenset(one.judgment.order) for one in store.entries()}) == 2


def test_ratings_of_all_completions_are_one_judgment_an_axis(store):
    with FaultServer(answer=longest) as server:
        server.plan = lambda tries, body, random: "words" if "\nccc\n" in body["messages"][1]["content"] else ""
        axes = {"helpful": "of use", "honest": "true"}
        told = label(
            judge(server, store, axes=axes, scale=5), [group("a", "bb", "ccc"), group("ccc")], store, kind="rating"
        )
    assert told.asked == 4 and told.states == {"ok": 2, "invalid": 2}
    kept = [one.judgment for one in store.entries()]
    rated = {
        one.judgment.axis: {
            text.text: score for text, score in zip(one.group.completions, one.judgment.scores, strict=True)
        }
        for one in store.entries()
        if one.judgment.state == "ok"
    }
    assert rated == dict.fromkeys(axes, {"a": 1.0, "bb": 2.0, "ccc": None})
    assert all(isinstance(one, Rating) for one in kept) and len(kept) == 4
    assert [one.state for one in kept].count("invalid") == 2  # the group of which nothing is known


def test_each_label_carries_the_principle_it_was_asked_by(store, tmp_path):
    file = tmp_path / "constitution.yaml"
    file.write_text("name: desk\nversion: 3\nprinciples:\n- {id: honest, text: Prefer what is true.}\n"
                    "- {id: brief, text: Prefer what is brief.}\n", encoding="utf-8")  # fmt: skip
    principles = read_constitution(file).all
    with FaultServer(answer=longest) as server:
        label(judge(server, store), [group(f"a{n}", f"bb{n}") for n in range(20)], store, principles=principles)
        by_name = {f"desk/3/{name}": text for name, text in (("honest", "what is true"), ("brief", "what is brief"))}
        for one in store.entries():
            [sent] = [
                seen.body
                for seen in server.seen
                if shown(seen.body)[1][0][1] == one.group.completions[one.judgment.order[0]].text
            ]
            assert by_name[one.principle] in sent["messages"][0]["content"]
    assert {one.principle for one in store.entries()} == set(by_name)


KILLED = """
import sys
sys.path.insert(0, sys.argv[3])
from test_labeling import group, judge_at
from preferably.feedback.store.store import Store
from preferably.judging.labeling import label
with Store(sys.argv[1]) as store:
    label(judge_at(sys.argv[2], store), [group(f"a{n}", f"bb{n}") for n in range(60)], store)
"""


def judge_at(url, store):
    plain = {"server": url, "model": "m", "schema": "no", "logprobs": "no", "concurrency": 4}
    return LanguageJudge(judge_settings(plain), KeptReplies(store))


def test_killed_twenty_times_it_pays_again_for_what_was_on_its_way_and_no_more(tmp_path):
    """`kill -9` at moments that chance takes; each time the same command goes on."""
    from pathlib import Path
    from random import Random

    random, place = Random(5), tmp_path / "preferably.db"
    with FaultServer(answer=longest, delay=0.02) as server:
        kills = 0
        for _ in range(200):
            process = subprocess.Popen(
                [sys.executable, "-c", KILLED, str(place), server.url, str(Path(__file__).parent)],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, stderr=subprocess.PIPE,
            )  # fmt: skip
            asked = len(server.seen)
            while kills < 20 and process.poll() is None and len(server.seen) < asked + 1 + random.randrange(8):
                time.sleep(0.002)
            if kills < 20 and process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            _, error = process.communicate()
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL, error.decode()[-2000:]
        twice = len(server.seen) - len({one.key for one in server.seen})
        assert twice <= 4 * kills and len({one.key for one in server.seen}) == 120
    with Store(place) as store:
        kept = list(store.entries())
        assert len(kept) == 120 and all(chosen(one).startswith("bb") for one in kept)


def test_a_server_that_ends_leaves_what_was_said_in_the_store(store):
    with FaultServer(answer=longest) as server:
        server.plan = lambda *_: "401" if len(server.seen) >= 9 else ""
        with pytest.raises(RemoteError):
            label(judge(server, store, concurrency=1), [group(f"a{n}", f"bb{n}") for n in range(20)], store)
    assert store.counts()["judgments"] == 9


class Replies(dict):
    """In memory, as each commit takes as long as all else of a question."""

    def known(self, keys):
        return {key: self[key] for key in keys if key in self}

    def put(self, key, body):
        assert key not in self
        return self.setdefault(key, body)


def test_ten_thousand_judgments_by_a_server_that_fails_at_one_in_five(store, monkeypatch):
    """Every question is one judgment in the store, and that is what the server said to it, in that order. It was paid
    for once, and nobody asked before the server wanted it."""
    monkeypatch.setattr(waiting, "FIRST", 0.002)
    monkeypatch.setattr(waiting, "LONGEST", 0.02)

    def plan(tries, body, random):
        at = random.random()
        if at < 0.15:
            return "silent" if at < 0.0003 else random.choice(AGAIN)
        return random.choice(list(ODD)) if at < 0.2 else ""

    with FaultServer(plan) as server:
        plain = {"server": server.url, "model": "m", "schema": "no", "logprobs": "no", "timeout": 10, "deadline": 60}
        asked = LanguageJudge(judge_settings(plain | {"concurrency": 16}), Replies())
        told = label(asked, [group(f"one {n}", f"two {n}") for n in range(5000)], store)
        assert len(server.seen) <= 1.35 * 10_000 and server.most <= 16
        assert asked.client.spending.requests >= len(server.seen)
        tries = defaultdict(list)
        for one in server.seen:
            tries[one.key].append(one)
        entries = list(store.entries())
        kept = {tuple(one.group.completions[at].text for at in one.judgment.order): one.judgment for one in entries}
        assert len(tries) == told.asked == len(entries) == len(kept) == 10_000
        for several in tries.values():
            last = several[-1]
            mark, found = shown(last.body)
            said, state = kept[tuple(text for _, text in found)], ODD.get(last.fault, "ok")
            assert server.delivered[last.key] == 1 and said.state == state
            word = verdict(mark)
            expected = None if state != "ok" else "tie" if word == "tie" else said.order["AB".index(word)]
            assert said.choice == expected
            for before, after in pairwise(several):
                assert after.came >= before.answered + before.wait or not before.wait
    assert told.states == Counter(one.state for one in kept.values()) and told.states["refused"] > 30


def answers(critique, revision):
    def answer(body):
        return reply(critique if "Say in a few sentences" in body["messages"][0]["content"] else revision)

    return answer


PRINCIPLES = [Principle(f"desk/1/{n}", f"Principle {n}.") for n in range(3)]


def test_a_reply_is_criticised_and_written_anew(store):
    with FaultServer(answer=answers("It boasts.", "<think>hm</think> A plain reply. ")) as server:
        one = group("Boast!")
        [made] = revised(judge(server, store), [one], PRINCIPLES, rounds=2)
        assert made.text == "A plain reply." and made.critiques == ("It boasts.", "It boasts.") and not made.why
        assert len(set(made.principles)) == 2 and len(server.seen) == 4
        third = server.seen[2].body["messages"]
        assert "A plain reply." in third[1]["content"] and "Boast!" not in third[1]["content"]
        number = made.principles[0].rpartition("/")[2]
        assert f"Principle {number}." in server.seen[0].body["messages"][0]["content"]
    [row] = rows_of([made])
    assert row["chosen"][-1]["content"] == "A plain reply." and row["rejected"][-1]["content"] == "Boast!"
    assert row["principles"] == list(made.principles) and row["prompt"][0]["content"] == "What is it?"


def test_a_step_that_comes_to_nothing_ends_one_revision_and_not_the_others(store):
    with FaultServer(answer=answers("x", "y")) as server:
        server.plan = lambda tries, body, random: "refusal" if "bad" in str(body) else ""
        good, bad = revised(judge(server, store), [group("fine"), group("bad")], PRINCIPLES)
        assert good.text == "y" and bad.why.startswith("critique refused") and bad.text == ""
        assert len(list(rows_of([good, bad]))) == 1


def test_what_comes_out_as_it_was_is_no_pair(store):
    with FaultServer(answer=answers("Fine as it is.", "same")) as server:
        assert not list(rows_of(revised(judge(server, store), [group("same")], PRINCIPLES)))


@pytest.mark.parametrize(("text", "told"), [
    ("name: a\nversion: 1\nprinciples: []", "principles"), ("version: 1\nprinciples: [{id: a, text: b}]", "name"),
    ("name: a\nprinciples: [{id: a, text: b}]", "version"), ("name: a\nversion: 1\nprinciples: [{id: a}]", "text"),
    ("name: a\nversion: 1\nprinciples: [{id: a, text: b}, {id: a, text: c}]", "two principles"),
])  # fmt: skip
def test_a_file_that_is_no_constitution_is_one_error(tmp_path, text, told):
    file = tmp_path / "c.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        read_constitution(file)


def test_more_rounds_than_principles_are_refused(store):
    with FaultServer() as server, pytest.raises(ConfigError, match="rounds is 1 to 3"):
        revised(judge(server, store), [group("a")], PRINCIPLES, rounds=4)


def test_a_verdict_is_a_preference_with_the_order_it_was_shown_in(store):
    with FaultServer() as server:
        label(judge(server, store), [group("a", "b")], store)
        for one in store.entries():
            said = one.judgment
            assert isinstance(said, Preference) and one.shown
            [seen] = [
                seen for seen in server.seen if shown(seen.body)[1][0][1] == one.group.completions[said.order[0]].text
            ]
            word = verdict(shown(seen.body)[0])
            assert said.choice == ("tie" if word == "tie" else said.order["AB".index(word)])


def test_another_seed_or_version_is_no_other_verdict_on_the_same_question(store, tmp_path):
    groups = [group(f"a{n}", f"bb{n}") for n in range(4)]
    with FaultServer(answer=longest) as server:
        label(judge(server, store), groups, store)
        label(judge(server, store), groups, store, seed=1)
        assert store.counts()["judgments"] == 8 == len(server.seen)
        for version in (1, 2):  # of a constitution, with the same words
            label(judge(server, store), groups, store, principles=[Principle(f"desk/{version}/a", "Be true.")])
        assert len(server.seen) == 16 and store.counts()["judgments"] == 24


def test_a_rating_of_which_a_part_failed_is_kept_once_it_is_whole(store):
    groups = [group("a", "bb")]
    with FaultServer(answer=longest) as server:
        server.plan = lambda tries, body, random: "400" if "\nbb\n" in str(body["messages"][1]["content"]) else ""
        told = label(judge(server, store), groups, store, kind="rating")
        assert told.states == {"ok": 1, "failed": 1} and store.counts()["judgments"] == 0
        server.plan = lambda *_: ""
        label(judge(server, store), groups, store, kind="rating")
    [kept] = store.entries()
    assert sorted(kept.judgment.scores) == [1.0, 2.0]


def test_a_reference_that_no_row_has_is_one_error_and_is_no_part_of_what_is_kept(store):
    with_it = [Group(one.prompt, one.completions, columns='{"answer": "42"}') for one in [group("a", "bb")]]
    with FaultServer(answer=longest) as server:
        with pytest.raises(ConfigError, match="anwser"):
            label(judge(server, store, reference="anwser"), with_it, store)
        label(judge(server, store, reference="answer"), with_it, store)
        assert "\n42\n" in server.seen[0].body["messages"][1]["content"]
    assert {one.group.columns for one in store.entries()} == {""}


def test_of_a_conversation_the_last_turn_is_revised(store):
    turns = (Message("assistant", "Hello."), Message("user", "Why?"), Message("assistant", "So."))
    one = Group((Message("user", "What is it?"),), (Completion(turns),))
    with FaultServer(answer=answers("It is short.", "Because it is.")) as server:
        [made] = revised(judge(server, store), [one], PRINCIPLES)
        asked = server.seen[0].body["messages"][1]["content"]
    assert "Why?" in asked.partition("So.")[0] and "Hello." in asked.partition("So.")[0]
    [row] = rows_of([made])
    assert [turn["content"] for turn in row["chosen"]] == ["Hello.", "Why?", "Because it is."]
    assert [turn["content"] for turn in row["rejected"]] == ["Hello.", "Why?", "So."]


def test_white_space_around_a_reply_is_no_revision(store):
    with FaultServer(answer=answers("Fine.", "same")) as server:
        [made] = revised(judge(server, store), [group("same\n")], PRINCIPLES)
    assert unchanged(made) and not list(rows_of([made]))


def test_a_store_gives_groups_in_an_order_of_its_own_and_their_verdicts_are_not_kept_twice(store):
    """A file has its completions as they come; read from the store they are sorted."""
    groups = [group("zz", "a"), group("a2", "zz2")]
    with FaultServer(answer=longest) as server:
        label(judge(server, store), groups, store)
        again = [one.group for one in store.judged()]
        told = label(judge(server, store), again, store)
        assert len(server.seen) == 4 and told.cached == 4
    assert store.counts()["judgments"] == 4 and told.same == 2


def test_a_rule_s_verdicts_are_the_same_in_whatever_order_a_group_comes(store, tmp_path):
    (tmp_path / "rules.py").write_text("def longer(prompts, texts):\n    return [float(len(one)) for one in texts]\n")
    rule = labeler_named(f"{tmp_path}/rules.py:longer")
    first = decide(rule, [group("zzz", "a")], store)
    again = decide(rule, [group("a", "zzz")], store)
    assert store.counts()["judgments"] == first.asked and again.cached == again.asked
    assert {chosen(one) for one in store.entries()} == {"zzz"}


def test_the_key_of_one_server_is_for_no_other(tmp_path):
    file = tmp_path / "panel.yaml"
    file.write_text(
        "server: http://127.0.0.1:8000/v1\nkey_env: MY_KEY\nmodel: one\n"
        "panel:\n  - model: one\n  - {model: two, server: 'http://127.0.0.1:8001/v1'}\n"
        "  - {model: three, server: 'http://127.0.0.1:8002/v1', key_env: OTHER}\n"
    )
    assert [one.key_env for one in read_judges(file)] == ["MY_KEY", "", "OTHER"]
