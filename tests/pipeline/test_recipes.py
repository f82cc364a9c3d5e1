"""The recipes: each is whole, each is dry-run, one is run small."""

import json
import shutil

import pytest
import yaml

from preferably.errors import ConfigError
from preferably.feedback.records import Completion, Group, Message, Preference
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.store import Store
from preferably.pipeline.align import align
from preferably.pipeline.outlook import outlook
from preferably.pipeline.plan import read_align
from preferably.pipeline.starter import recipes, write_starter

RECIPES = ["brand-voice", "constitution", "harmless", "not-sure", "shorter"]
SMALL = {"max_steps": 2, "batch_size": 4, "sample_prompts": 2, "sample_tokens": 4}


def supplied(job, folder):
    """The files that the recipes ask for, in the folder of one."""
    for name in ("demonstrations", "pairs"):
        shutil.copy(job.place / f"{name}.jsonl", folder)
    asked = [json.loads(line) | {"answer": "yes"} for line in (job.place / "ask.jsonl").read_text().splitlines()]
    held = [
        json.loads(line)
        | {"topic": f"t{at % 2}", "kind": ["harm", "look_alike"][at % 2], "known": "yes", "answer": "no"}
        for at, line in enumerate((job.place / "prompts.jsonl").read_text().splitlines())
    ]
    job.rows(f"{folder.name}/training_prompts.jsonl", asked)
    job.rows(f"{folder.name}/held_out_prompts.jsonl", held)
    job.rows(f"{folder.name}/safety.jsonl", [{"prompt": f"s{at}", "harmful": at % 2 == 0} for at in range(4)])
    group = Group((Message("user", "a"),), tuple(Completion((Message("assistant", said),)) for said in "bc"))
    with Store(folder / "desk.db") as store:
        store.say([Entry(group, Preference(0, labeler="ada"))])


def test_there_are_recipes_each_with_what_it_is_for():
    assert list(recipes()) == RECIPES
    assert (
        recipes()["shorter"]
        == "Shorter answers that still answer. Nothing here needs a judge on a server: rules.py scores"
    )


@pytest.mark.parametrize("recipe", [None, *RECIPES])
def test_a_recipe_comes_with_all_that_it_names_and_is_dry_run(job, recipe, monkeypatch):
    folder = job.place / "desk"
    written = write_starter(folder / "align.yaml", recipe)
    assert written[0] == folder / "align.yaml" and all(place.exists() for place in written)
    supplied(job, folder)
    monkeypatch.chdir(folder)
    if recipe == "constitution":  # the tiny model has a context of 128
        written[0].write_text(written[0].read_text().replace("stop_kl: 20", "stop_kl: 20, sample_tokens: 32"))
    settings = read_align("align.yaml", {"model": job()["model"], "device": "cpu"})
    monkeypatch.setattr("preferably.training.pace.ENOUGH", 0.01)  # how near it comes is measured elsewhere
    found = {one.stage.name: one for one in outlook(settings)}
    seen = {name: one.state for name, one in found.items()}
    assert set(seen.values()) == {"new"} and {"sft", "ready"} <= set(seen)
    assert not [(one.stage.name, one.refused) for one in found.values() if one.refused]
    trained = [one for one in found.values() if one.stage.kind in ("sft", "train")]
    assert len(trained) >= 2 and all(one.seconds > 0 and one.memory > 1e6 for one in trained), trained
    if recipe == "constitution":
        # 30 prompts, all of whose answers are ranked by the judge; what the reward model takes nobody can know yet.
        assert "at most: 30 rankings, with what is to be sampled" in trained[1].why
        assert trained[2].why.startswith("estimated on ") and "at least: what gives the reward" in trained[2].why
    assert any(name.endswith(f"evaluate-{settings.train[0].name}") for name in seen)
    audits = {name.split("audit-")[1].split("-")[0] for name in seen if "audit-" in name}
    assert audits == {"harmless": {"safety"}, "not-sure": {"honesty"}, "shorter": {"run"}}.get(recipe, set())
    assert not (folder / "runs").exists()


def test_nothing_is_overwritten_and_a_name_that_there_is_not_is_told(job):
    write_starter(job.place / "align.yaml")
    (job.place / "judge.yaml").write_text("mine")
    with pytest.raises(ConfigError, match=r"judge.yaml exists already"):
        write_starter(job.place / "other.yaml")
    assert not (job.place / "other.yaml").exists() and (job.place / "judge.yaml").read_text() == "mine"
    with pytest.raises(ConfigError, match="no recipe 'short'. There are: brand-voice: Brand voice"):
        write_starter(job.place / "x" / "align.yaml", "short")


def test_the_recipe_for_shorter_answers_is_run_small(job, monkeypatch):
    folder = job.place / "desk"
    write_starter(folder / "align.yaml", "shorter")
    supplied(job, folder)
    rules = (folder / "rules.py").read_text()
    # Words of a tiny model of letters are few.
    (folder / "rules.py").write_text(rules.replace("ENOUGH = 40", "ENOUGH = 1").replace("LEAST = 3", "LEAST = 1"))
    monkeypatch.chdir(folder)
    changes = {
        "model": job()["model"], "device": "cpu", "dtype": "float32", "ready.limit": 2, "ready.max_tokens": 4,
        "preferences.0.max_tokens": 12, "preferences.0.limit": 20, "evaluate.max_tokens": 8, "evaluate.samples": 1,
        "check.max_rejected": 0.5, "audit.0.run.max_tokens": 4, "audit.0.run.limit": 4,
    }  # fmt: skip
    for name, value in SMALL.items():
        changes |= {f"sft.{name}": value, f"train.0.{name}": value}
    changes["train.0.held_out"] = 0.4
    settings = read_align("align.yaml", changes)
    watch = job.watch()
    made = align(settings, watcher=watch, skip=["ready", "check"])
    assert made.stopped_by is None and ("ready", True) in watch.gates
    account = json.loads((folder / "runs" / "shorter" / "align.json").read_text())
    assert account["state"] == "finished" and [one["round"] for one in account["rounds"]] == [1, 2]
    assert all(one["quality"]["n"] == 12 for one in account["rounds"])
    [first, last] = [one for one in account["stages"] if one["kind"] == "audit"]
    for number, one in enumerate((first, last), 1):  # four prompts tell no gain and no loss, and nothing is refused
        seen = {found["name"]: found["outcome"] for found in one["figures"]["findings"]}
        assert (one["round"], one["figures"]["outcome"]) == (number, "not sure")
        assert (seen["training: gain"], seen["diversity"], seen["refusals"]) == ("not sure", "not sure", "good")
    config = yaml.safe_load((folder / "runs/shorter/round-2/dpo/config.yaml").read_text())
    assert config["model"] == "runs/shorter/round-1/dpo/model"
    assert (folder / "runs" / "shorter" / "round-2" / "dpo" / "MODEL_CARD.md").exists()
