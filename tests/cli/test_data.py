"""`preferably data`, as a user types it."""

import json

import pytest

P = {"prompt": "question", "chosen": "yes", "rejected": "no no"}
CHOICE = {"prompt": "p", "completions": ["a", "b"]}


@pytest.fixture
def run(command, tmp_path):
    """`run(*arguments)`: the exit code, standard output and standard error, in a folder of its own, 80 columns wide."""

    def typed(*arguments):
        done = command(tmp_path, "data", *arguments, columns=80)
        return done.returncode, done.stdout, done.stderr

    return typed


def lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path.name


def test_check_says_what_is_wrong_and_leaves_with_1(run, tmp_path):
    name = lines(tmp_path / "a.jsonl", P, P, P | {"prompt": "other"}, P | {"rejected": "yes"})
    code, out, _ = run("check", name)
    assert code == 1
    for words in ("rows read", "4", "(equal 1)", "pair 4", "2 pairs", "a.jsonl:4", "A run would refuse this data."):
        assert words in out
    code, out, _ = run("check", name, "--max-rejected", "0.5")
    assert code == 0 and "A run would take this data" in out
    code, out, _ = run("check", name, "--json")
    assert code == 1 and json.loads(out)["rows"]["rejected"] == {"equal": 1}


@pytest.mark.parametrize("shape", ["none", "one", "many", "long", "wide", "labelers", "strange"])
def test_check_fits_into_80_columns(run, tmp_path, shape):
    """However few, many or long the rows are; and text cannot drive the terminal or be taken for markup."""
    rows = {
        "none": [{"nothing": 1}],
        "one": [P],
        "many": [P | {"prompt": f"q {at} of {at * at}", "id": at} for at in range(1500)],
        "long": [P | {"chosen": "word " * 30_000}],
        "wide": [P | {"x" * 300: "a column", "prompt": "p" * 500}, P | {"x" * 300: 1, "prompt": "p" * 500 + "!"}],
        "labelers": [CHOICE | {"choice": at % 2, "labeler": f"labeler {'x' * at} [bold]"} for at in range(40)]
        + [CHOICE | {"prompt": "q", "choice": 0, "labeler": "labeler "}],
        "strange": [P | {"prompt": "\x1b[31m[red]\u202e"}, P | {"prompt": "\x1b[31m[red]\u202e."}, P | {"chosen": 3}],
    }[shape]
    code, out, err = run("check", lines(tmp_path / "a.jsonl", *rows), "--feedback", "pairs")
    assert code == (1 if shape in ("none", "strange") else 0) and not err
    assert all(len(line) <= 80 for line in out.splitlines()), out
    assert "\x1b" not in out and "\u202e" not in out
    if shape == "many":
        assert "1,500" in out
    if shape == "labelers":
        assert "and 21 labelers more" in out and "[bold]" in out


def test_check_compares_with_held_out_files(run, tmp_path):
    train = lines(tmp_path / "a.jsonl", P, P | {"prompt": "other"})
    held = lines(tmp_path / "b.jsonl", P | {"chosen": "maybe"})
    code, out, _ = run("check", train, "--held-out", held)
    assert code == 1 and "trained on: 1 (b.jsonl:1)" in out


def test_check_counts_tokens_as_a_run_would(run, tmp_path, tiny_model_directory):
    name = lines(tmp_path / "a.jsonl", P, P | {"prompt": "p" * 200})
    code, out, _ = run("check", name, "--model", tiny_model_directory, "--max-rejected", "0.5")
    assert code == 0 and "too_long 1" in out and "at most 128" in " ".join(out.split())  # a long path breaks the line
    code, out, _ = run("check", name, "--model", tiny_model_directory, "--max-length", "8")
    assert code == 1 and "too_long 2" in out


def test_show_reads_as_a_person_does(run, tmp_path):
    rows = [
        CHOICE | {"choice": "both_bad", "labeler": "ann"},
        {"prompt": "p", "completions": ["x", "y", "z"], "ranks": [2, 1, 1]},
        CHOICE | {"ratings": [{"helpful": 4}, {"helpful": 1.5}]},
        {
            "messages": [{"role": "user", "content": "hi\x1b[2J"}, {"role": "assistant", "content": "w" * 3000}],
            "label": True,
        },
        {"prompt": "p"} | {"chosen": 3, "rejected": "r"},
    ]
    name = lines(tmp_path / "a.jsonl", *rows)
    code, out, _ = run("show", name)
    assert code == 0 and out.count("a.jsonl:") == 3
    for words in ("ann: both_bad", "ranks 2, 1, 1", "helpful: 4, 1.5", "completion 2"):
        assert words in out
    code, out, _ = run("show", name, "--row", "4")
    assert code == 0 and "said: good" in out and "1,000 characters more" in out and "\x1b" not in out
    assert "hi<U+001B>[2J" in out
    assert len(run("show", name, "--row", "4", "--full")[1]) > 3000
    assert "rejected: a.jsonl:5 chosen: wrong_type" in run("show", name, "--row", "5")[1].replace("\n", " ")
    code, _, err = run("show", name, "--row", "77")
    assert code == 3 and "no row on line 77" in err


def test_show_marks_what_a_model_learns(run, tmp_path, tiny_model_directory):
    talk = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "train": False}]
    talk += [{"role": "user", "content": "w"}, {"role": "assistant", "content": "b"}]
    name = lines(tmp_path / "a.jsonl", {"messages": talk}, P, {"prompt": "only"}, CHOICE | {"choice": "tie"})
    code, out, _ = run("show", name, "-n", "4", "--model", tiny_model_directory)
    assert code == 0
    for words in (
        "User: w",
        "Assistant:\u27e6 b</s>\u27e7",
        "question\u27e6yes</s>\u27e7",
        "question\u27e6no no</s>\u27e7",
        "only\n",
        "nothing to learn from",
    ):
        assert words in out, words
    assert "\u27e6 a" not in out


def test_convert_and_split_print_counts_that_add_up(run, tmp_path):
    name = lines(
        tmp_path / "a.jsonl", *(P | {"prompt": f"question {at} {at * at}"} for at in range(20)), P | {"chosen": 1}
    )
    code, out, _ = run("convert", name, "--to", "labels", "--output", "out.csv", "--max-rejected", "0.1")
    assert (
        code == 0 and "21 rows read: 20 used, 1 rejected, 0 duplicates" in out and "40 labels written to out.csv" in out
    )
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 41
    code, out, _ = run("split", name, "--output", "parts", "--held-out", "0.2", "--max-rejected", "0.1")
    assert code == 0 and "16 rows in train.jsonl, 4 in held_out.jsonl, 1 in rejected.jsonl" in out and "20 used" in out
    assert (tmp_path / "parts" / "train.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("check", "none.jsonl"), 3, "none.jsonl does not exist"),
        (("check", "a.jsonl", "--feedback", "pears"), 2, "no kind of feedback 'pears'"),
        (("check", "a.jsonl", "--max-length", "9"), 2, "need --model"),
        (("check", "a.jsonl", "--axis", "helpful"), 2, "'helpful'"),
        (("check", "a.jsonl", "--model", "nowhere/at/all"), 4, "Cannot load"),
        (("convert", "a.jsonl", "--to", "pairs", "--output", "a.jsonl"), 3, "exists already"),
        (("convert", "a.jsonl", "--to", "pairs", "--output", "a.xlsx"), 2, "does not say how"),
        (("convert", "a.jsonl", "--to", "rows", "--output", "b.jsonl"), 2, "no kind of feedback"),
        (("convert", "a.jsonl", "--to", "pairs", "--from", "argilla", "--output", "b.jsonl"), 2, "oasst"),
        (("split", "a.jsonl", "--output", "parts", "--held-out", "9"), 2, "Cannot hold out 9"),
    ],
)
def test_a_mistake_is_one_line(run, tmp_path, arguments, code, says):
    lines(tmp_path / "a.jsonl", P)
    left, _, err = run(*arguments)
    assert left == code and says in err and len([line for line in err.splitlines() if line.startswith("error:")]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl"]
