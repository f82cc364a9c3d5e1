"""What a model was trained on is told where it is asked again: by run, by what that began from, never by what came
before the model that it is held against."""

import json

import pytest
import yaml

from preferably.data.load import load_feedback
from preferably.evaluation.audit import Audit
from preferably.evaluation.memory import remembering, seen
from preferably.feedback.records import Completion, Group, Message, Preference
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.store import Store

GOOD = Audit("safety", "m", "b", "good", "Nothing bad was found.", (), ())


def rows(file, *prompts):
    file.write_text("".join(json.dumps({"prompt": one, "completion": "yes"}) + "\n" for one in prompts))
    return str(file)


@pytest.fixture
def runs(tmp_path):
    """`base` -> `sft` on a, b -> `first` on c, d, of which it held d out -> `second` on e, and on what is not here."""

    def run(name, model, *data):
        (tmp_path / name / "model").mkdir(parents=True)
        (tmp_path / name / "model" / "config.json").write_text("{}")
        (tmp_path / name / "config.yaml").write_text(yaml.safe_dump({"model": str(model), "data": list(data)}))
        return str(tmp_path / name)

    sft = run("sft", "hub/base", rows(tmp_path / "shown.jsonl", "a", "b"))
    first = run("first", sft, rows(tmp_path / "first.jsonl", "c", "d"))
    rows(tmp_path / "first" / "held_out.jsonl", "d")
    second = run("second", f"{first}/model", rows(tmp_path / "second.jsonl", "e"), "hub/pairs")
    asked = rows(tmp_path / "asked.jsonl", "A!", "c", "d", "e", "new")
    return sft, first, second, asked


def test_a_run_is_asked_of_its_own_data(runs):
    sft, first, second, asked = runs
    assert seen(sft, asked) == ([f"{asked}:1"], [])
    assert seen(first, asked) == ([f"{asked}:2"], [])
    assert seen(second, asked) == ([f"{asked}:4"], ["hub/pairs, which is no file here"])


def test_an_audit_is_told_of_all_since_the_model_before_and_clears_nothing(runs):
    sft, first, second, asked = runs
    groups, noted = load_feedback([asked], "prompts").groups, []
    found = remembering(GOOD, second, sft, groups, noted.append)
    [finding] = found.findings
    assert finding.outcome == found.outcome == "not sure" and found.settings["trained_on"] == 2
    assert f"2 of 5 prompts are in what it was trained on ({asked}:2, {asked}:4): there" in finding.words
    assert finding.plain.startswith("it was trained on 2 of 5 prompts that it was asked")
    assert found.verdict == "Nothing bad was found. Not sure: it was trained on 2 of 5 prompts."
    assert len(noted) == 1 and "trained on hub/pairs, which is no file here: whether" in noted[0]
    assert remembering(GOOD, second, "hub/base", groups, noted.append).settings["trained_on"] == 3
    bad = Audit("safety", "m", "b", "bad", "It harms.", (), ())
    kept = remembering(bad, first, sft, groups, noted.append)
    assert (kept.outcome, kept.verdict, len(kept.findings)) == ("bad", "It harms.", 1)


def test_what_was_never_trained_on_and_a_model_without_a_run_change_nothing(runs, tmp_path):
    sft, first, second, _ = runs
    other = load_feedback([rows(tmp_path / "other.jsonl", "d", "new")], "prompts").groups
    assert remembering(GOOD, first, sft, other, print) is GOOD
    asked = load_feedback([runs[3]], "prompts").groups
    assert remembering(GOOD, first, first, asked, print) is GOOD
    assert remembering(GOOD, str(tmp_path), sft, asked, print) is GOOD
    assert remembering(GOOD, "hub/base", sft, asked, print) is GOOD


@pytest.mark.parametrize("spoilt", ['{"text": "a story"}\n', "{", '{"prompt": 3}\n'])
def test_data_that_tells_no_prompts_ends_no_audit(runs, tmp_path, spoilt):
    """Of text alone, of a file that broke, or of one with other rows by now, nothing is known; of the rest it is."""
    sft, *_, asked = runs
    groups, noted = load_feedback([asked], "prompts").groups, []
    (tmp_path / "shown.jsonl").write_text(spoilt)
    assert remembering(GOOD, sft, "hub/base", groups, noted.append) is GOOD
    assert len(noted) == 1 and "shown.jsonl, which cannot be read for prompts (" in noted[0]
    config = {"model": "hub/base", "data": [str(tmp_path / "shown.jsonl")], "ptx_data": [str(tmp_path / "first.jsonl")]}
    (tmp_path / "sft" / "config.yaml").write_text(yaml.safe_dump(config))
    found, [unread] = seen(sft, asked)
    assert found == [f"{asked}:2", f"{asked}:3"] and unread.startswith(str(tmp_path / "shown.jsonl"))


def test_what_was_made_in_python_or_lies_in_a_database_is_not_taken_for_nothing(runs, tmp_path):
    sft, *_, asked = runs
    (tmp_path / "sft" / "config.yaml").write_text(yaml.safe_dump({"model": "hub/base", "data": []}))
    assert seen(sft, asked) == ([], ["groups that were made in Python, which no file here holds"])
    store = f"sqlite:///{tmp_path}/desk.db"
    with Store(store) as desk:
        one, other = (Completion((Message("assistant", text),)) for text in ("yes", "no"))
        desk.say([Entry(Group((Message("user", "d"),), (one, other)), Preference(0, labeler="ada"))])
    (tmp_path / "sft" / "config.yaml").write_text(yaml.safe_dump({"model": "hub/base", "data": [store]}))
    assert seen(sft, asked) == ([f"{asked}:3"], [])
