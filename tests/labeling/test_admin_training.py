"""The commands on the page are ones that the command line takes, and the counts those of the run."""

import shlex

import pytest
import typer
from typer.main import get_command

from preferably.cli.main import app
from preferably.data.load import load_feedback
from preferably.labeling.admin.train import commands, next_round
from preferably.labeling.lessons import Lesson, Lessons, lessons_of

ALL = Lessons([Lesson(kind, 1, 1, 1, 0, {}) for kind in ("pairs", "rankings", "labels")])


def parsed(line):
    """The parameters that the command line reads from a command, and the name of the command; it is not run."""
    program, *words = shlex.split(line)
    assert program == "preferably"
    command, context = get_command(app), None
    while hasattr(command, "commands"):
        name, *words = words
        context = typer.Context(command, info_name=name, parent=context)
        command = command.commands[name]
    return command.make_context(command.name, words, parent=context).params


@pytest.mark.parametrize("store", ["labels.db", "my labels; rm -rf ~.db", "postgresql://me@host/labels", "it's.db"])
def test_every_command_names_the_store_as_one_word(store):
    lines = [one.line for one in commands(store, ALL, "runs/my sft") + next_round(store, "p.jsonl", "round-2", 3)]
    check, dpo, reward, kto, sample, queue = map(parsed, lines)
    assert check["files"] == [store]
    for method, train in (("dpo", dpo), ("reward", reward), ("kto", kto)):
        assert train["method"] == method and train["data"] == [store] and train["model"] == ["runs/my sft"]
        assert train["output"] == [f"runs/{method}"]
    assert (sample["model"], sample["data"], sample["samples"]) == ("runs/dpo", "p.jsonl", 2)
    assert (queue["files"], queue["store"], queue["batch"], queue["overlap"]) == (
        ["round-2.jsonl"],
        store,
        "round-2",
        3,
    )
    assert str(sample["output"]) == queue["files"][0]


def test_what_cannot_be_learnt_from_has_no_command():
    assert [one.line.split()[1] for one in commands("x.db", Lessons([]), "m")] == ["data"]


@pytest.fixture
def here(site):
    made = site()
    made.ask(1, 2, 3, 4, 5, overlap=3)
    # 1: a majority; 2: no majority; 3: ties; 4: unsure; 5: two for b
    verdicts = {
        "ada": [0, 0, "tie", "unsure", 1],
        "ben": [0, 1, "tie", "unsure", 1],
        "chloe": [1, "tie", "tie", "unsure", 0],
    }
    for name, said in verdicts.items():
        assert len(made.judge(made.come(name), choose=lambda number, said=said: said[number - 1])) == 5
    return made


def test_the_counts_are_those_of_the_planted_verdicts_and_of_a_run(here):
    pairs, rankings = lessons_of(here.store).kinds
    assert (pairs.feedback, pairs.groups, pairs.read, pairs.used) == ("pairs", 2, 15, 6)
    assert pairs.rejected == {"no_majority": 3, "tie": 3, "unsure": 3}
    assert (rankings.feedback, rankings.groups) == ("rankings", 3)  # the tie is one
    assert len(load_feedback([here.store.name], "pairs").groups) == 2


def test_the_page_shows_them(here):
    lee = here.come("lee", "lead")
    text = lee.get("/admin/train?model=runs%2Fbase+2&prompts=p.jsonl").text
    store = shlex.quote(here.store.name)
    assert f"preferably train dpo --model &#39;runs/base 2&#39; --data {store} --output runs/dpo" in text
    assert "3 no majority" in text and "3 unsure" in text and "--batch round-2 --overlap 3" in text
    assert "kto" not in text


@pytest.mark.parametrize(
    "asked", ["model=-x", "model=a%0Ab", "model=%1B[2J", "store=x.db", "model=a&model=b", "model=" + "a" * 400]
)
def test_no_link_writes_another_command(here, asked):
    assert here.come("lee", "lead").get(f"/admin/train?{asked}").status_code == 400


def test_an_empty_store_says_so(site):
    text = site().come("lee", "lead").get("/admin/train").text
    assert "There is no judgment yet" in text and "train dpo" not in text


def test_no_process_is_started(here, monkeypatch):
    def never(*arguments, **options):
        raise AssertionError("a page started a process")

    monkeypatch.setattr("subprocess.Popen.__init__", never)
    monkeypatch.setattr("os.posix_spawn", never)
    assert here.come("lee", "lead").get("/admin/train").status_code == 200
