"""What reads a store and writes to it beside the store's own calls does the same in either database."""

import json
from collections import Counter

import pytest
from fault_server import FaultServer
from labelers import answer, group, person
from typer.testing import CliRunner

import preferably
from preferably.cli.main import app
from preferably.data.load import load_feedback
from preferably.feedback.records import Completion, Group, Message, Origin, Preference
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.kept_replies import KeptReplies
from preferably.feedback.store.store import Store
from preferably.judging.labeling import label
from preferably.judging.llm import LanguageJudge
from preferably.judging.people import PeopleJudge, WaitingError
from preferably.judging.settings import judge_settings
from preferably.judging.verdicts import decide, labeler_named
from preferably.labeling.project import Project
from preferably.labeling.queue import Queue


def done(*arguments):
    found = CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "160"})
    assert found.exit_code == 0, found.output + repr(found.exception)
    return found.output


def test_commands_take_files_in_and_out_and_training_reads_what_they_hold(place, tmp_path):
    rows = [
        {"prompt": f"p{n}", "chosen": f"a{n}", "rejected": f"b{n}", "labeler": name} for n in range(3) for name in "xy"
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done("label", "import", file, "--store", place)
    done("label", "import", file, "--store", place)  # a second time adds nothing
    done("label", "export", "--store", place, "--output", tmp_path / "all.jsonl")
    assert len((tmp_path / "all.jsonl").read_text().splitlines()) == 3 + 6 + 1
    told = json.loads(done("label", "agreement", "--store", place, "--json"))
    assert told["questions"] == 3 and told["agreement"]["raw agreement"]["value"] == 1.0
    assert "rows read 6 used 6" in " ".join(done("data", "check", place).split())
    read = load_feedback([place], "pairs")
    assert (read.accounting.read, read.accounting.used) == (6, 6)
    found = sorted((one.prompt_text, *(each.text for each in one.completions)) for one in read.groups)
    assert found == [(f"p{n}", f"a{n}", f"b{n}") for n in range(3)]


def test_replies_are_kept_once(place):
    kept = KeptReplies(place)
    assert kept.known(["a"]) == {} and kept.put("a", {"said": "\u0000 1"}) == {"said": "\u0000 1"}
    assert kept.put("a", {"said": 2}) == {"said": "\u0000 1"}  # the first is what was paid for
    kept.store.close()
    assert KeptReplies(place).known(["a", "b"]) == {"a": {"said": "\u0000 1"}}


def test_replies_that_are_kept_elsewhere_are_known_and_a_place_that_is_not_there_is_not_made(place, tmp_path):
    one, two = KeptReplies(tmp_path / "one.db", place, tmp_path / "none.db"), KeptReplies(place)
    for kept, key, body in ((two, "a", 1), (two, "b", 2), (one, "b", 3)):
        kept.put(key, {"said": body})
    assert one.known(["a", "b", "c"]) == {"a": {"said": 1}, "b": {"said": 3}}
    assert KeptReplies(tmp_path / "one.db").known(["a"]) == {} and not (tmp_path / "none.db").exists()


def test_a_language_model_and_a_rule_write_what_a_training_reads(place, tmp_path, tiny_model_directory, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.py").write_text("def short(prompts, texts):\n    return [-float(len(text)) for text in texts]\n")
    made = [tuple(Completion((Message("assistant", text),)) for text in (f"a{n}", f"bb{n}")) for n in range(6)]
    groups = [Group((Message("user", f"question {n}"),), completions) for n, completions in enumerate(made)]
    rule = labeler_named("rules.py:short")
    with FaultServer() as server, Store(place) as store:
        settings = judge_settings({"server": server.url, "model": "m", "schema": "no", "logprobs": "no"})
        for cached in (0, 12):  # the second time asks for nothing
            judge = LanguageJudge(settings, KeptReplies(store))
            told = label(judge, groups, store)
            assert (told.asked, told.states["ok"], told.cached, len(server.seen)) == (12, 12, cached, 12)
            assert decide(rule, groups, store).states["ok"] == 6
        kinds = Counter(entry.labeler_kind for entry in store.entries())
    assert kinds == {"model": 12, "rule": 6}
    run = preferably.train(
        "dpo", model=tiny_model_directory, data=str(place), output=tmp_path / "run", max_steps=1, batch_size=2,
        sample_prompts=0, held_out=0, device="cpu",
    )  # fmt: skip
    read = load_feedback([place], "pairs").accounting
    assert (run.path / "model").is_dir() and read.read == 18 and read.used >= 6


def test_people_judge_and_their_votes_come_back(place):
    groups, judge = [group(n) for n in range(2)], PeopleJudge(place)
    with pytest.raises(WaitingError, match="0 of 2"):
        judge(groups)
    with Store(place) as store:
        queue, ada = Queue(store, Project()), person(store, "ada")
        while (turn := queue.next(ada)) is not None:
            queue.answer(ada, turn.asked.turn, answer(turn.asked.shown.index(1)))
    assert [one.choice for one in judge(groups)] == [1, 1]


def test_few_people_and_a_judge_give_one_figure(place):
    def entry(at, choice, kind, labeler):
        made = tuple(Completion((Message("assistant", f"{name} {at}"),), Origin(model=name)) for name in ("new", "old"))
        return Entry(Group((Message("user", str(at)),), made), Preference(choice, labeler=labeler), labeler_kind=kind)

    with Store(place) as store:
        store.say([entry(at, int(at % 3 == 0), "model", "judge") for at in range(150)])
        store.say([entry(at, int(at % 4 == 0), "human", "ada") for at in range(120)])
    found = preferably.by_people(place, "new", "old").corrected
    assert (found.n, found.more, found.people, found.judge) == (120, 30, 0.75, 100 / 150)
