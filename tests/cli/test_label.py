"""`preferably label` as a user types it: files into a store, and the store elsewhere."""

import json
import os
import subprocess
import sys

import pytest

ROWS = [
    {"prompt": f"{letter}? ", "chosen": "yes", "rejected": "no no", "labeler": labeler}
    for letter in "abcdefgh"
    for labeler in ("ada", "ben")
]


@pytest.fixture
def place(tmp_path):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def command(folder, *arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-c", "from preferably.cli.main import main; main()", *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_files_into_a_store_out_of_it_and_copied(place):
    said = command(place, "label", "import", "rows.jsonl")
    assert "16 rows read: 16 used" in said
    assert "16 judgments added. preferably.db holds 16 judgments about 8 groups." in said
    assert "0 judgments added" in command(place, "label", "import", "rows.jsonl")
    assert "all.jsonl written" in command(place, "label", "export", "--output", "all.jsonl")
    assert "16 judgments of a store" in command(place, "label", "import", "all.jsonl", "--store", "again.db")
    assert "16 judgments about 8 groups copied to copy.db" in command(place, "label", "copy", "again.db", "copy.db")
    assert "8 pairs" in command(place, "data", "check", "copy.db") and "any two agree on 100%" in command(
        place, "data", "check", "copy.db"
    )


def test_a_run_learns_from_a_store(place, tiny_model_directory):
    command(place, "label", "import", "rows.jsonl")
    command(
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
def test_what_cannot_be_done_is_one_clear_line(place, code, message, arguments):
    told = command(place, "label", *arguments, code=code)
    assert message in told and "Traceback" not in told and told.count("error:") == 1


def test_agreement_of_labelers_in_words_and_for_programs(place):
    command(place, "label", "import", "rows.jsonl")
    said = command(place, "label", "agreement")
    for words in ("8, 8 of them answered by two or more", "raw agreement", "1.00", "ada", "100%"):
        assert words in said
    found = json.loads(command(place, "label", "agreement", "--json"))
    assert found["agreement"]["raw agreement"]["value"] == 1 and found["labelers"]["ben"]["judged"] == 8
    assert found["labelers"]["ada"]["reliability"] is None and found["noise"] == 0


def test_an_import_that_fails_leaves_nothing_behind_of_any_file(place):
    """The second file is at fault: nothing of the first is kept, and no store is made for it."""
    (place / "bad.jsonl").write_text("{broken\n" * 4)
    (place / "cut.jsonl").write_text('{"group": "g", "content": {}}\n')
    for wrong in ("bad.jsonl", "cut.jsonl"):
        assert wrong.split(".")[0] in command(place, "label", "import", "rows.jsonl", wrong, code=3)
        assert not (place / "preferably.db").exists()
