import json
import subprocess
import sys

import pytest

from preferably.data import writers
from preferably.data.accounting import Accounting
from preferably.data.convert import convert_files, split_files
from preferably.data.hygiene import prompt_key
from preferably.data.load import load_feedback, rows_of
from preferably.errors import ConfigError, DataError


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


RANKED = {"prompt": "p", "completions": ["a", "b", "c"], "ranks": [3, 1, 1]}
RATED = {"prompt": "q", "completions": ["a", "b"], "ratings": [{"x": 1, "y": 4}, {"x": 2, "y": 1}]}
TIE = {"prompt": "t", "completions": ["a", "b"], "choice": "tie"}


@pytest.mark.parametrize(
    ("to", "axis", "expected"),
    [
        ("pairs", None, [
            {"prompt": "p", "chosen": "b", "rejected": "a"}, {"prompt": "p", "chosen": "c", "rejected": "a"},
            {"prompt": "q", "chosen": "a", "rejected": "b", "strength": 1.0},
        ]),
        ("pairs", "x", [{"prompt": "q", "chosen": "b", "rejected": "a", "strength": 1.0}]),
        ("rankings", None, [
            {"prompt": "p", "completions": ["b", "c", "a"], "ranks": [1, 1, 2]},
            {"prompt": "q", "completions": ["a", "b"], "ranks": [1, 2], "strength": 1.0},
            {"prompt": "t", "completions": ["a", "b"], "ranks": [1, 1]},
        ]),
        ("demonstrations", None, [
            {"prompt": "p", "completion": "b"}, {"prompt": "p", "completion": "c"}, {"prompt": "q", "completion": "a"},
        ]),
        ("prompts", None, [{"prompt": "p"}, {"prompt": "q"}, {"prompt": "t"}]),
    ],
)  # fmt: skip
def test_convert(tmp_path, to, axis, expected):
    path = lines(tmp_path / "in.jsonl", [RANKED, RATED, TIE, RANKED])
    done = convert_files([path], to, tmp_path / "out.json", axis=axis)
    assert json.loads((tmp_path / "out.json").read_text()) == expected
    assert done.written == len(expected)
    counts = done.accounting
    counts.close()
    assert counts.read == 4


def test_labels_come_from_pairs(tmp_path):
    path = lines(tmp_path / "in.jsonl", [{"prompt": "p", "chosen": "c", "rejected": "r"}])
    convert_files([path], "labels", tmp_path / "out.jsonl")
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [
        {"prompt": "p", "completion": "c", "label": True}, {"prompt": "p", "completion": "r", "label": False},
    ]  # fmt: skip


TREE = {
    "message_tree_id": "1",
    "prompt": {"role": "prompter", "text": "q", "replies": [
        {"role": "assistant", "text": "best", "rank": 0, "replies": [
            {"role": "prompter", "text": "more", "replies": [
                {"role": "assistant", "text": "x", "rank": None, "replies": []},
                {"role": "assistant", "text": "y", "rank": None, "replies": []},
            ]},
        ]},
        {"role": "assistant", "text": "worse", "rank": 1, "replies": []},
        {"role": "assistant", "text": "gone", "rank": 2, "deleted": True, "replies": []},
        {"role": "assistant", "text": "unranked", "rank": None, "replies": []},
    ]},
}  # fmt: skip


def test_message_trees(tmp_path):
    path = lines(tmp_path / "trees.jsonl", [TREE])
    done = convert_files([path], "rankings", tmp_path / "out.jsonl", trees=True)
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [
        {"prompt": [{"role": "user", "content": "q"}],
         "completions": [[{"role": "assistant", "content": "best"}], [{"role": "assistant", "content": "worse"}]],
         "ranks": [1, 2]},
    ]  # fmt: skip
    assert done.accounting.read == 2 and done.accounting.rejected == {"unjudged": 1}
    path = lines(tmp_path / "no.jsonl", [{"text": "t"}])
    with pytest.raises(DataError, match="missing_field"):
        convert_files([path], "rankings", tmp_path / "none.jsonl", trees=True)


def test_convert_refuses_before_it_reads(tmp_path):
    path = lines(tmp_path / "in.jsonl", [RANKED])
    with pytest.raises(DataError, match="in.jsonl exists already"):
        convert_files([path], "pairs", path)
    with pytest.raises(ConfigError, match="does not say how"):
        convert_files([path], "pairs", tmp_path / "out.xlsx")
    with pytest.raises(DataError, match="unjudged|tie"):
        convert_files([lines(tmp_path / "t.jsonl", [TIE])], "pairs", tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


WORDS = "apple river engine cloud violin harbour tiger lantern meadow copper".split()


def many(n):
    prompts = [f"{WORDS[at % 10]} {at} of {WORDS[at // 10 % 10]}?" for at in range(n)]
    rows = [{"prompt": text, "chosen": "c", "rejected": f"r{at}", "id": at} for at, text in enumerate(prompts)]
    near = [row | {"prompt": f"  {row['prompt'].upper()}!!", "id": -1 - row["id"]} for row in rows[:10]]
    return rows + near + rows[:2]


def test_split_loses_no_row_and_no_prompt_is_on_both_sides(tmp_path):
    path = lines(tmp_path / "in.jsonl", many(60))
    done = split_files([path], 0.25, 3, tmp_path / "parts")
    parts = [[row for _, row in rows_of([tmp_path / "parts" / f"{name}.jsonl"], Accounting())]
             for name in ("train", "held_out")]  # fmt: skip
    assert [len(part) for part in parts] == [done.train, done.held_out] and done.held_out == 18
    assert done.train + done.held_out == done.accounting.used == done.accounting.read == 72
    assert sorted(map(json.dumps, parts[0] + parts[1])) == sorted(map(json.dumps, many(60)))
    keys = [{prompt_key(row["prompt"]) for row in part} for part in parts]
    assert not keys[0] & keys[1]
    assert not (tmp_path / "parts" / "rejected.jsonl").exists()
    again = split_files([path], 0.25, 3, tmp_path / "again")
    assert (tmp_path / "again" / "train.jsonl").read_text() == (tmp_path / "parts" / "train.jsonl").read_text()
    assert again.train == done.train
    other = split_files([path], 0.25, 4, tmp_path / "other")
    assert (tmp_path / "other" / "train.jsonl").read_text() != (
        tmp_path / "parts" / "train.jsonl"
    ).read_text() and other


def test_split_takes_rows_of_any_kind_and_counts_what_it_cannot_read(tmp_path):
    rows = [{"text": "a tale of two"}, {"messages": [{"role": "user", "content": "hello there"}]}, RANKED, TIE,
            {"nothing": 1}]  # fmt: skip
    path = lines(tmp_path / "in.jsonl", rows)
    with pytest.raises(DataError, match="in.jsonl:5"):
        split_files([path], 1, 0, tmp_path / "parts")
    done = split_files([path], 1, 0, tmp_path / "parts", max_rejected=0.2)
    assert (done.train, done.held_out, done.accounting.rejected) == (3, 1, {"missing_field": 1})
    assert json.loads((tmp_path / "parts" / "rejected.jsonl").read_text()) == {"nothing": 1} and done.rejected == 1
    with pytest.raises(DataError, match="exists already"):
        split_files([path], 1, 0, tmp_path / "parts", max_rejected=0.2)
    with pytest.raises(ConfigError, match="whole number"):
        split_files([path], 1.5, 0, tmp_path / "more")


def test_converted_pairs_are_what_training_would_see(tmp_path):
    path = lines(tmp_path / "in.jsonl", [RANKED, RATED])
    convert_files([path], "pairs", tmp_path / "pairs.jsonl")
    one, other = (load_feedback([file], "pairs").groups for file in (path, tmp_path / "pairs.jsonl"))
    assert [(a.prompt, a.completions, a.strength) for a in one] == [
        (a.prompt, a.completions, a.strength) for a in other
    ]


HELD = """
import sys, time
from preferably.data import writers
from preferably.data.convert import convert_files, split_files

dumps, rows = writers.json.dumps, []

def dumps_and_then_hang(*given, **options):
    rows.append(given)
    if len(rows) > 400:
        print("writing", flush=True)
        time.sleep(600)
    return dumps(*given, **options)

writers.json.dumps = dumps_and_then_hang
files, output = [sys.argv[2]], sys.argv[3]
convert_files(files, "pairs", output) if sys.argv[1] == "convert" else split_files(files, 0.5, 0, output)
"""


@pytest.mark.parametrize("command", ["convert", "split"])
def test_killed_while_it_writes_there_is_nothing_that_passes_for_data(tmp_path, command):
    rows = [{"prompt": f"{at} {at * at}", "chosen": "c" * 200, "rejected": "r"} for at in range(500)]
    path = lines(tmp_path / "in.jsonl", rows)
    there = tmp_path / "there"
    output = there / "out.jsonl" if command == "convert" else there
    writing = subprocess.Popen(
        [sys.executable, "-c", HELD, command, str(path), str(output)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert writing.stdout.readline() == "writing\n"  # the second part of a split, after 250 rows
    finally:
        writing.kill()
        writing.communicate(timeout=60)
    left = list(there.iterdir())
    assert left and all(".jsonl.tmp-" in file.name for file in left) and any(file.stat().st_size for file in left)
    if command == "convert":
        assert convert_files([path], "pairs", output).written == len(rows_in(output)) == 500
    else:
        assert split_files([path], 0.5, 0, output).train == len(rows_in(output / "train.jsonl")) == 250
        assert len(rows_in(output / "held_out.jsonl")) == 250


def rows_in(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_split_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = lines(tmp_path / "in.jsonl", many(20))

    def broken(rows, text, file, ending):
        text.write("{")
        if "held_out" in str(file):
            raise OSError(28, "No space left on device")
        return 1

    monkeypatch.setattr(writers, "_write_json", broken)
    with pytest.raises(DataError, match=r"held_out.jsonl cannot be written: No space"):
        split_files([path], 0.5, 0, tmp_path / "parts")
    assert not list((tmp_path / "parts").iterdir())


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_a_file_that_came_meanwhile_is_not_overwritten(tmp_path, monkeypatch, links):
    path, other = lines(tmp_path / "in.jsonl", many(20)), tmp_path / "parts" / "held_out.jsonl"
    write = writers._write_json

    def slow(*given):
        other.write_text("of somebody else")
        return write(*given)

    def no_links(*given):
        raise OSError(95, "Operation not supported")

    if not links:
        monkeypatch.setattr(writers.os, "link", no_links)
    split_files([path], 0.5, 0, tmp_path / "fine")
    monkeypatch.setattr(writers, "_write_json", slow)
    with pytest.raises(DataError, match="held_out.jsonl exists already"):
        split_files([path], 0.5, 0, tmp_path / "parts")
    assert other.read_text() == "of somebody else" and list((tmp_path / "parts").iterdir()) == [other]


def test_strength_and_the_columns_of_prompts_go_with_what_is_converted(tmp_path):
    path = lines(
        tmp_path / "in.jsonl", [{"prompt": "p", "chosen": "c", "rejected": "r", "strength": 2.0, "answer": "4"}]
    )
    convert_files([path], "rankings", tmp_path / "ranked.jsonl")
    assert [one.strength for one in load_feedback([tmp_path / "ranked.jsonl"], "rankings").groups] == [2.0]
    asked = lines(tmp_path / "asked.jsonl", [{"prompt": "p", "answer": "4"}])
    convert_files([asked], "prompts", tmp_path / "prompts.jsonl")
    assert json.loads((tmp_path / "prompts.jsonl").read_text()) == {"answer": "4", "prompt": "p"}
