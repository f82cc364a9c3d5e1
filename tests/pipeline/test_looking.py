"""What `preferably advise` looks at: data, model, machine."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from preferably.errors import ConfigError, DataError, ModelError
from preferably.feedback.records import Completion, Group, Label, Message, Origin, Preference
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.store import Store
from preferably.models.loading import load
from preferably.models.sampler import Decoding
from preferably.pipeline.looking import look, look_at_data, look_at_judge, look_at_model

LETTERS = "abcdefgh"


def rows(path, some):
    path.write_text("".join(json.dumps(row) + "\n" for row in some))
    return str(path)


def group(prompt, *said, model=None):
    origin = Origin(model) if model else None
    made = tuple(Completion((Message("assistant", one),), origin) for one in said)
    return Group((Message("user", prompt),), made)


def test_each_kind_of_feedback_is_counted_and_every_row_with_it(tmp_path):
    pairs = [
        {"prompt": one, "chosen": "yes indeed", "rejected": "no", "labeler": who, "strength": 1}
        for one in LETTERS for who in ("ada", "ben")
    ]  # fmt: skip
    pairs[1] |= {"chosen": "no", "rejected": "yes indeed"}  # of 8 questions two people answer 7 alike
    pairs.append({"prompt": "z", "chosen": "", "rejected": "no"})
    shown = [{"prompt": one, "completion": "yes"} for one in "abxy"]
    paths = [rows(tmp_path / "pairs.jsonl", pairs), rows(tmp_path / "shown.jsonl", shown)]
    data = look_at_data(paths)
    facts = data.facts()
    assert (facts["pairs"], facts["demonstrations"], facts["labels"]) == (7, 4, 0)
    assert facts["prompts"] == 10  # b to h of the pairs (a is a draw and gives none), and a, x, y beside b
    assert (facts["agreement"].value, facts["agreement"].n) == (7 / 8, 8)
    assert facts["strong"] == 1 and facts["longer"].value == 1 and not facts["busy"]
    assert len(facts["stops"]) == 1 and "empty 1" in facts["stops"][0]
    assert data.found["pairs"].accounting.read == 17 and data.found["demonstrations"].accounting.read == 4


def test_a_leak_stops_and_what_cannot_be_read_is_an_error(tmp_path):
    pairs = rows(tmp_path / "pairs.jsonl", [{"prompt": one, "chosen": "y", "rejected": "n"} for one in LETTERS])
    held = rows(tmp_path / "held.jsonl", [{"prompt": "a"}])
    assert "Held-out rows" in look_at_data([pairs], [held]).facts()["stops"][0]
    with pytest.raises(DataError, match="does not exist"):
        look_at_data([str(tmp_path / "none.jsonl")])
    with pytest.raises(DataError, match="None of the 1 rows can be used"):
        look_at_data([rows(tmp_path / "bad.jsonl", [{"prompt": 3}])])


def test_a_store_is_read_for_pairs_and_for_thumbs(tmp_path):
    with Store(tmp_path / "desk.db") as store:
        store.say([Entry(group(one, "yes", "no"), Preference(0, labeler="ada")) for one in "abc"])
    facts = look_at_data([str(tmp_path / "desk.db")]).facts()
    assert (facts["pairs"], facts["labels"]) == (3, 0)  # a pair could be read as two thumbs, and nobody gave any
    with Store(tmp_path / "thumbs.db") as store:
        store.say([Entry(group(one, "yes"), Label(one != "a", labeler="ada")) for one in "abc"])
    facts = look_at_data([str(tmp_path / "thumbs.db")]).facts()
    assert (facts["pairs"], facts["labels"], facts["good"]) == (0, 3, 2 / 3)


def test_who_judges_is_told_apart(tmp_path, tiny_model_directory):
    (tmp_path / "judge.yaml").write_text("server: http://127.0.0.1:1/v1\nmodel: m\nrubric: better\n")
    (tmp_path / "rules.py").write_text("def score(prompts, completions):\n    return [0.0 for _ in completions]\n")
    assert look_at_judge(None) == {}
    assert look_at_judge(str(tmp_path / "judge.yaml")) == {"judge": True}
    assert look_at_judge(f"{tmp_path}/rules.py:score") == {"function": True}
    for wrong in ("people", f"{tmp_path}/rules.py:none", "neither"):
        with pytest.raises(ConfigError):
            look_at_judge(wrong)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="Cannot load a model"):
        look_at_judge(str(tmp_path / "empty"))
    with pytest.raises(ConfigError, match="is a language model, and scores nothing"):
        look_at_judge(str(tiny_model_directory))
    shutil.copytree(tiny_model_directory, tmp_path / "fitted")
    save_file({"weight": torch.zeros(1, 35)}, tmp_path / "fitted" / "linear.safetensors")
    assert look_at_judge(str(tmp_path / "fitted")) == {"function": True}


def test_answers_are_the_models_own_by_name_or_by_likelihood(tmp_path, tiny_model_directory):
    from preferably.evaluation.compare import answers

    name = str(tiny_model_directory)
    prompts = [group(f"{one}{two}") for one in LETTERS for two in "xy"]
    loaded = load(name, device="cpu")
    drawn = answers(loaded, prompts, Decoding(1.0, max_tokens=24), samples=2, seed=5)
    own = [group(one.prompt_text, *(said.text or "a" for said in two)) for one, two in zip(prompts, drawn, strict=True)]
    seen = look_at_model(name, own, asked=16, device="cpu")
    assert seen["own"] == "yes" and "16 prompts" in seen["why"]["own"]
    assert seen["ready"] is False and "never end" in seen["why"]["ready"]  # a random model seldom ends
    assert seen["weights"] == sum(one.numel() for one in loaded.policy.parameters())
    # A random model finds everything about as likely; one whose answers are named needs no such look.
    for model, found in ((name, "yes"), ("gpt", "no")):
        named = [group(one.prompt_text, "yes", "no", model=model) for one in prompts]
        idle = look_at_model(name, named, asked=0, device="cpu")
        assert idle["own"] == found and idle["why"]["ready"] == "the model was not run"
    half = [group(str(at), "yes", "no", model=name if at % 2 else "gpt") for at in range(8)]
    assert look_at_model(name, half, asked=0, device="cpu")["own"] == "mixed"


def test_answers_that_the_model_would_not_give_are_not_its_own(tiny_model_directory, monkeypatch):
    prompts = [group(one, "yes", "no") for one in LETTERS]
    apart = iter([[-1.0] * 8, [-1.5, -1.4, -1.6, -1.5, -1.5, -1.4, -1.6, -1.5]])  # its own, then theirs
    monkeypatch.setattr("preferably.pipeline.looking._likelihoods", lambda loaded, groups: next(apart))
    monkeypatch.setattr("preferably.pipeline.looking.texts", lambda drawn: [["said"]] * len(drawn))
    seen = look_at_model(str(tiny_model_directory), prompts, asked=8, device="cpu")
    # The mean is 0.5, the standard error 0.0756 / sqrt(8) = 0.0267, Student's t of 7 degrees 2.365.
    assert seen["own"] == "no"
    assert seen["why"]["own"] == "0.50 +- 0.06 nats a token less likely to it than its own (8 prompts)"


def test_a_situation_has_what_was_seen_and_how_it_is_known(tmp_path, tiny_model_directory):
    pairs = rows(tmp_path / "pairs.jsonl", [{"prompt": one, "chosen": "y", "rejected": "n"} for one in LETTERS])
    (tmp_path / "readiness.json").write_text(json.dumps({"ready": True, "verdict": "ready"}))
    seen = look(
        look_at_data([pairs]), "research", model=str(tiny_model_directory), asked=0, device="cpu",
        readiness=tmp_path / "readiness.json",
    )  # fmt: skip
    assert (seen.pairs, seen.want, seen.ready, seen.own, seen.gpu) == (8, "research", True, None, "")
    assert seen.cores >= 1 and seen.told("ready").startswith("ready (")
    (tmp_path / "readiness.json").write_text("[]")
    with pytest.raises(ConfigError, match="is no readiness.json"):
        look(look_at_data([pairs]), "research", readiness=tmp_path / "readiness.json")
