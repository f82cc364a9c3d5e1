"""`preferably label prioritize` as a user types it."""

import json

import pytest
import torch
from labelers import answer, person
from typer.testing import CliRunner

from preferably.cli.main import app
from preferably.errors import PreferablyError
from preferably.feedback.store.store import Store
from preferably.labeling.project import Project
from preferably.labeling.queue import Queue
from preferably.models.loading import load, save

ROWS = [{"prompt": f"what is {n}?", "completions": [f"it is {n}", f"{n} or {n + 1}, who knows"]} for n in range(6)]
ROWS.append({"prompt": "too long", "completions": ["x" * 300, "short"]})


@pytest.fixture
def place(tmp_path, here):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    command("queue", "rows.jsonl", "--batch", "first")
    return tmp_path


@pytest.fixture(scope="module")
def reward_models(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rewards")
    body = tiny.write_model(folder / "body")
    for name in ("one", "two"):
        torch.manual_seed(len(name) + ord(name[0]))
        save(load(body, axes={"reward": 1.0}, device="cpu", dtype="float32"), folder / name)
    return folder / "one", folder / "two"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


def command(*arguments, code=0):
    """What it prints; where it ends with an error, that."""
    done = CliRunner().invoke(app, ["label", *map(str, arguments)])
    if code:
        assert isinstance(done.exception, PreferablyError) and done.exception.exit_code == code
        return str(done.exception)
    assert done.exit_code == 0, done.exception
    return " ".join(done.output.split())


def priorities(folder):
    with Store(folder / "preferably.db") as store:
        queue, ada = Queue(store, Project()), person(store, "ada")
        asked = []
        while turn := queue.next(ada):
            asked.append(turn.asked.group.prompt_text)
            queue.answer(ada, turn.asked.turn, answer())
    return asked


def judged(folder, count):
    """Verdicts on other pairs, as many as a model needs."""
    rows = [{"prompt": f"why {n}?", "chosen": f"as {n}", "rejected": f"{n + 1} or so, maybe"} for n in range(count)]
    (folder / "judged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command("import", "judged.jsonl")


def test_by_what_the_verdicts_leave_open(place, tiny_model_directory):
    judged(place, 90)
    said = command("prioritize", "--batch", "first", "--model", tiny_model_directory, "--device", "cpu")
    assert "6 tasks of the batch first are asked in the order of how unsure it is which is the better" in said
    assert "one, by 90 verdicts so far." in said
    assert "1 keep their place: a model could not read them" in said
    first = said.partition("asked first")[2].split(" what is ")[1].split("?")[0]
    asked = priorities(place)
    assert asked[0] == f"what is {first}?" and asked[-1] == "too long" and len(asked) == 7
    said = command("prioritize", "--batch", "first", "--model", tiny_model_directory, code=3)
    assert "no open task that compares completions (0 open in all)" in said


def test_by_chance_as_long_as_there_are_few_verdicts(place, tiny_model_directory):
    said = command("prioritize", "--batch", "first", "--model", tiny_model_directory, "--device", "cpu")
    assert "in the order of chance: there are 0 verdicts so far, too few to tell what is not known." in said


def test_by_reward_models(place, reward_models):
    one, two = reward_models
    said = command("prioritize", "--batch", "first", "--reward", one, "--reward", two, "--device", "cpu")
    assert "6 tasks of the batch first are asked in the order of how much the reward models disagree." in said
    said = command("prioritize", "--batch", "first", "--reward", one, "--by", "uncertainty", "--device", "cpu")
    assert "how uncertain the verdict is" in said


def test_by_chance_and_again_with_the_same_seed(place):
    said = command("prioritize", "--batch", "first", "--by", "random", "--seed", "3")
    assert said == "7 tasks of the batch first are asked in the order of chance."
    asked = priorities(place)
    assert sorted(asked) == sorted(row["prompt"] for row in ROWS) and asked != [row["prompt"] for row in ROWS]


@pytest.mark.parametrize("code, message, arguments", [
    (2, "--by is doubt, information, uncertainty or random", ("--by", "luck", "--model", "m")),
    (2, "Give --model", ()),
    (2, "--by doubt goes with --model", ("--by", "uncertainty", "--model", "m")),
    (2, "--by doubt goes with --model", ("--by", "doubt", "--reward", "r")),
    (2, "leave it out", ("--noise", "0.2", "--model", "m")),
    (2, "either --model or --reward", ("--model", "m", "--reward", "r")),
    (2, "uncertainty only", ("--reward", "r")),
    (2, "r was given twice", ("--reward", "r", "--reward", "r")),
    (2, "random order needs no model", ("--by", "random", "--model", "m")),
    (3, "no batch 'first'; it has: none", ("--by", "random")),
])  # fmt: skip
def test_what_does_not_go_together_is_told(tmp_path, code, message, arguments):
    with Store(tmp_path / "preferably.db"):
        pass
    assert message in command("prioritize", "--batch", "first", *arguments, code=code)
