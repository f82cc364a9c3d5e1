"""`preferably label` as a user types it: files into a store, and the store elsewhere."""

import json
from random import Random

import pytest

from preferably.feedback.records import Completion, Flag, Group, Message, Origin, Preference
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.store import Store

ROWS = [
    {"prompt": f"{letter}? ", "chosen": "yes", "rejected": "no no", "labeler": labeler}
    for letter in "abcdefgh"
    for labeler in ("ada", "ben")
]


@pytest.fixture
def place(tmp_path):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


@pytest.fixture
def told(command):
    def run(folder, *arguments, code=0, columns=200):
        done = command(folder, *arguments, columns=columns)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    return run


def test_files_into_a_store_out_of_it_and_copied(told, place):
    said = told(place, "label", "import", "rows.jsonl")
    assert "16 rows read: 16 used" in said
    assert "16 judgments added. preferably.db holds 16 judgments about 8 groups." in said
    assert "0 judgments added" in told(place, "label", "import", "rows.jsonl")
    assert "all.jsonl written" in told(place, "label", "export", "--output", "all.jsonl")
    assert "16 judgments of a store" in told(place, "label", "import", "all.jsonl", "--store", "again.db")
    assert "16 judgments about 8 groups copied to copy.db" in told(place, "label", "copy", "again.db", "copy.db")
    assert "8 pairs" in told(place, "data", "check", "copy.db") and "any two agree on 100%" in told(
        place, "data", "check", "copy.db"
    )


def test_a_run_learns_from_a_store(told, place, tiny_model_directory):
    told(place, "label", "import", "rows.jsonl")
    told(
        place, "train", "dpo", "--model", tiny_model_directory, "--data", "preferably.db", "--output", "run",
        "--max-steps", "2", "--batch-size", "2", "--sample-prompts", "0", "--device", "cpu",
    )  # fmt: skip
    account = json.loads((place / "run" / "data.json").read_text())
    assert (account["read"], account["used"], account["train"] + account["held_out"]) == (16, 16, 8)


@pytest.mark.parametrize("code, message, arguments", [
    (3, "There is no store at preferably.db", ("export", "--output", "x.jsonl")),
    (2, "file of JSON lines", ("export", "--output", "x.csv")),
    (2, "human, model or rule", ("import", "rows.jsonl", "--labeler-kind", "cat")),
    (3, "none.jsonl", ("import", "none.jsonl")),
    (3, "is not a store", ("import", "rows.jsonl", "--store", "rows.jsonl")),
    (3, "There is no store at none.db", ("copy", "none.db", "new.db")),
    (2, "PGPASSWORD", ("import", "rows.jsonl", "--store", "postgresql://me:pw@h/n")),
])  # fmt: skip
def test_what_cannot_be_done_is_one_clear_line(told, place, code, message, arguments):
    told = told(place, "label", *arguments, code=code)
    assert message in told and "Traceback" not in told and told.count("error:") == 1


def test_agreement_of_labelers_in_words_and_for_programs(told, place):
    told(place, "label", "import", "rows.jsonl")
    said = told(place, "label", "agreement")
    for words in (
        "8, 8 of them answered by two or more", "raw agreement", "1.00", "ada", "100%",
        "takes the shorter one in 100% of 8 choices", "8 of 8 that two or more judged are unanimous.",
    ):  # fmt: skip
        assert words in said
    found = json.loads(told(place, "label", "agreement", "--json"))
    assert found["agreement"]["raw agreement"]["value"] == 1 and found["labelers"]["ben"]["judged"] == 8
    assert found["labelers"]["ada"]["reliability"] is None and found["noise"] == 0
    led = json.loads(told(place, "label", "agreement", "--json", "--lead", "ben"))
    assert led["labelers"]["ben"]["role"] == "lead" and led["labelers"]["ada"]["leads"]["value"] == 1
    assert [(one["first"], one["second"]) for one in led["by_role"]] == [("labelers", "leads")]
    assert "'nobody' said nothing" in told(place, "label", "agreement", "--lead", "nobody", code=2)


LABELERS = {"ada": 0.9, "a labeler with quite a long name": 0.85, "eli": 0.85, "ida": 0.8, "gus": 0.5}


def test_what_agreement_prints_reads_at_eighty_columns(told, place):
    """With everything that there is to tell: roles, groups, models, somebody who does not look, disputes, flags."""
    rng, entries = Random(2), []
    for number in range(260):
        texts = [f"{word} answer to {number} " + "more words " * (number % 7) for word in ("one", "other")]
        made = tuple(
            Completion((Message("assistant", text),), Origin(model))
            for text, model in zip(texts, ("base", "tuned"), strict=True)
        )
        group = Group((Message("user", f"A question of some length, the number of which is {number}, to ask"),), made)
        better = rng.randrange(2)
        for at, name in enumerate(rng.sample(sorted(LABELERS), 4)):
            choice = better if rng.random() < LABELERS[name] else 1 - better
            order = (0, 1) if name == "gus" and choice == 0 or rng.random() < 0.5 else (1, 0)
            of = "Kenya" if name < "b" else "UK"
            said = Preference(choice, labeler=name, labeler_group=of, order=order)
            entries.append(Entry(group, said, seconds=0.2 if name == "gus" else 30.0 + at))
    entries.append(Entry(group, Flag("ambiguous prompt", labeler="ada")))
    with Store(place / "preferably.db") as store:
        store.say(entries)
    said = told(place, "label", "agreement", "--lead", "ada", columns=80)
    assert max(map(len, said.splitlines())) <= 80, said
    for words in ("labelers, leads", "ada (lead)", "looks random", "took less time than reading takes", "UK, Kenya",
                  "win rate of", "The most disputed:", "flagged as ambiguous by 1", "without it"):  # fmt: skip
        assert words in said
    wide = told(place, "label", "agreement", "--lead", "ada", columns=120)
    tables = (text.partition("\nLabelers\n")[2].partition("What stands out")[0] for text in (said, wide))
    whole = ["a labeler with quite a long name" in table for table in tables]
    assert whole == [False, True] and max(map(len, wide.splitlines())) <= 120


def test_an_import_that_fails_leaves_nothing_behind_of_any_file(told, place):
    """The second file is at fault: nothing of the first is kept, and no store is made for it."""
    (place / "bad.jsonl").write_text("{broken\n" * 4)
    (place / "cut.jsonl").write_text('{"group": "g", "content": {}}\n')
    for wrong in ("bad.jsonl", "cut.jsonl"):
        assert wrong.split(".")[0] in told(place, "label", "import", "rows.jsonl", wrong, code=3)
        assert not (place / "preferably.db").exists()
