"""What the labelers behind a job are worth: files and stores together, whichever completion a row names first."""

import json

from preferably.feedback.records import Completion, Group, Message, Preference
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.store import Store
from preferably.pipeline.labelers import labelers_behind


def pair(prompt, chosen, rejected, labeler=""):
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected} | ({"labeler": labeler} if labeler else {})


def rows(path, some):
    path.write_text("".join(json.dumps(row) + "\n" for row in some))
    return str(path)


def test_all_sources_are_one_table_and_each_is_counted(tmp_path):
    # ada and ben answer ten questions, and differ in two; cem, in a store, says what ada says.
    said = [pair(f"q{at}", "yes", "no", "ada") for at in range(10)]
    said += [pair(f"q{at}", *(("yes", "no") if at > 1 else ("no", "yes")), "ben") for at in range(10)]
    unnamed = [pair(f"z{at}", "yes", "no") for at in range(3)]
    files = [rows(tmp_path / "said.jsonl", said), rows(tmp_path / "unnamed.jsonl", unnamed)]
    with Store(tmp_path / "desk.db") as store:
        for at in range(10):
            group = Group((Message("text", f"q{at}"),), tuple(Completion((Message("text", t),)) for t in ("no", "yes")))
            store.say([Entry(group, Preference(1, labeler="cem"))])
    found = labelers_behind([*files, str(tmp_path / "desk.db")])
    assert [(one["judgments"], one["named"], one["labelers"]) for one in found["sources"]] == [
        (20, 20, 2), (3, 0, 0), (10, 10, 1),
    ]  # fmt: skip
    worth = found["labelers"]
    assert (found["schema"], worth["questions"], set(worth["labelers"])) == (1, 10, {"ada", "ben", "cem"})
    # Of three verdicts on a question: all alike in eight, one of three pairs alike in two. (8 + 2 / 3) / 10.
    assert round(worth["agreement"]["raw agreement"]["value"], 4) == round((8 + 2 / 3) / 10, 4)
    assert worth["labelers"]["ada"]["agrees"]["value"] == 18 / 20


def test_without_a_name_nothing_is_told_and_of_one_labeler_no_agreement(tmp_path):
    nobody = labelers_behind([rows(tmp_path / "a.jsonl", [pair("q", "yes", "no"), {"prompt": "torn"}])])
    assert nobody["labelers"] is None and nobody["sources"][0]["judgments"] == 1
    one = labelers_behind([rows(tmp_path / "b.jsonl", [pair("q", "yes", "no", "ada")])])
    assert one["labelers"]["agreement"]["raw agreement"]["value"] is None
