"""The same rows in every container: the same groups, the same counts, and places that lead to the row."""

import csv
import gzip
import io
import json
import sys

import pyarrow
import pytest
from pyarrow import parquet

from preferably.data import parquet_rows
from preferably.data.accounting import Accounting, Reject
from preferably.data.load import load_feedback
from preferably.data.readers import read_rows
from preferably.errors import DataError

U, YES, NO = (
    {"role": "user", "content": 'say "hi",\nplease'},
    {"role": "assistant", "content": "hi"},
    {"role": "assistant", "content": "\u4f60\u597d"},
)
PAIRS = [
    {
        "prompt": f"p{n}, \u00e9\u2028\U0001f600 \"q\" 'a'\n\n\tend ",
        "chosen": f"\r\nc\\{n}",
        "rejected": " r,",
        "score": n / 4,
        "note": None,
    }
    for n in range(300)
] + [
    {"prompt": "p1", "chosen": "c", "rejected": "c", "score": 1.0},
    {"prompt": "p1", "chosen": "true", "rejected": "1", "score": -3.0},
    {"prompt": "p1", "chosen": "true", "rejected": "1", "score": -2.0},
    {"prompt": "p2", "chosen": "", "rejected": "[1]"},
]
SETS = {
    "pairs": PAIRS,
    "pairs-of-messages": [
        {"prompt": [U], "chosen": [YES], "rejected": [NO], "strength": 2},
        {"prompt": [U], "chosen": [NO], "rejected": [YES]},
    ],
    "instructions": [
        {"instruction": "q", "input": "", "chosen": "yes", "rejected": "no"},
        {"instruction": "q", "input": "x", "chosen": "y", "rejected": "n"},
    ],
    "demonstrations": [{"messages": [U, YES]}, {"messages": [{"role": "system", "content": ""}, U, NO, U, YES]}],
    "labelled": [{"prompt": "p", "completion": "c", "label": True}, {"prompt": "p", "completion": "d", "label": False}],
}


def lines(rows):
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


def as_csv(rows, ends="\r\n"):
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=ends)
    writer.writerow(names)
    for row in rows:
        cells = [row.get(name) for name in names]
        writer.writerow([cell if isinstance(cell, str) else "" if cell is None else json.dumps(cell) for cell in cells])
    return text.getvalue().encode()


def as_parquet(rows, **options):
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), buffer, **options)
    return buffer.getvalue()


CONTAINERS = {
    "json": ("rows.json", lambda rows: json.dumps(rows).encode()),
    "pretty-json": ("rows.json", lambda rows: json.dumps(rows, indent=2, ensure_ascii=False).encode()),
    "utf16": ("rows.jsonl", lambda rows: lines(rows).decode().encode("utf-16")),
    "csv": ("rows.csv", as_csv),
    "csv-lf": ("rows.csv", lambda rows: as_csv(rows, "\n")),
    "csv-bom": ("rows.csv", lambda rows: b"\xef\xbb\xbf" + as_csv(rows)),
    "parquet": ("rows.parquet", as_parquet),
    "parquet-groups": ("rows", lambda rows: as_parquet(rows, row_group_size=7, compression="zstd")),
}


def load(path, feedback):
    loaded = load_feedback([path], feedback, max_rejected=0.9)
    counts = loaded.accounting.as_json()
    said = [(group.prompt, group.completions) for group in loaded.groups]
    return said, [counts[name] for name in ("read", "used", "deduplicated", "rejected")]


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("name", SETS)
def test_the_same_rows_give_the_same_groups(tmp_path, name, container, zipped):
    feedback = "demonstrations" if name in ("demonstrations", "labelled") else "pairs"
    (tmp_path / "reference.jsonl").write_bytes(lines(SETS[name]))
    expected = load(tmp_path / "reference.jsonl", feedback)
    assert expected[0]
    ending, write = CONTAINERS[container]
    path = tmp_path / (ending + (".gz" if zipped and "." in ending else ""))
    path.write_bytes(gzip.compress(write(SETS[name])) if zipped else write(SETS[name]))
    assert load(path, feedback) == expected


def read(folder, content, name="rows.csv"):
    path = folder / name
    path.write_bytes(content)
    account = Accounting()
    rows = [(line, row.code if isinstance(row, Reject) else row) for line, row in read_rows(path, account)]
    return rows, account


def test_csv_lines_are_those_of_the_file(tmp_path):
    content = as_csv(PAIRS)
    starts = content.decode().split("\r\n")  # the records, as only their ends and one newline in a cell are CR LF
    rows, _ = read(tmp_path, content)
    physical = content.decode().replace("\r\n", "\n").split("\n")
    for line, row in rows:
        assert physical[line - 1].startswith(('"' + row["prompt"][:4], row["prompt"]))
    assert len(rows) == len(PAIRS) < len(starts)


def test_cells_of_columns_that_hold_no_text(tmp_path):
    header = b"prompt,label,strength,ranks,messages,choice,note\n"
    good = b'1,true,2.5,"[1, 2]","[{""a"": null}]",tie,7\n'
    rows, account = read(tmp_path, header + good + b"x,,,,,0,\ny,FALSE,,,,both_bad,\nz,True,,,,, \n")
    assert [row for _, row in rows] == [
        {"prompt": "1", "label": True, "strength": 2.5, "ranks": [1, 2], "messages": [{"a": None}], "choice": "tie",
         "note": "7"},
        {"prompt": "x", "choice": 0, "note": ""},
        {"prompt": "y", "label": False, "choice": "both_bad", "note": ""},
        {"prompt": "z", "label": True, "note": " "},
    ]  # fmt: skip
    assert dict(account.repaired) == {"boolean_spelling": 2}
    bad = b'x,yes,,,,,\nx,,NaN,,,,\nx,,,"[1,",,,\nx,,,,[{\'a\': 1}],,\nx,,,,,left,\nx,"{""a"": 1, ""a"": 2}",,,,,\n'
    path = tmp_path / "bad.csv"
    path.write_bytes(header + bad)
    made = [row for _, row in read_rows(path)]
    assert [(row.field, row.code) for row in made] == [
        ("label", "bad_cell"), ("strength", "bad_number"), ("ranks", "bad_cell"), ("messages", "bad_cell"),
        ("choice", "bad_cell"), ("label", "duplicate_key"),
    ]  # fmt: skip
    assert "json.dumps" in made[3].reason


def test_messages_in_cells_of_text(tmp_path):
    spelled = json.dumps([U, YES])
    rows, account = read(tmp_path, as_csv([{"chosen": spelled, "rejected": '[{"a": 1}]', "prompt": '[{"value": 3}]'}]))
    assert rows == [(2, {"chosen": [U, YES], "rejected": '[{"a": 1}]', "prompt": '[{"value": 3}]'})]
    assert dict(account.repaired) == {"messages_in_cell": 1}
    assert read(tmp_path, as_csv([{"chosen": str([U, YES]), "rejected": "r"}]))[0] == [(2, "bad_cell")]


def test_csv_is_told_by_its_header_where_no_name_says_it(tmp_path):
    content = as_csv([{"prompt": "p", "chosen": "c", "rejected": "r"}])
    for name in ("rows", "rows.txt", "rows.gz"):
        assert read(tmp_path, content, name)[0] == [(2, {"prompt": "p", "chosen": "c", "rejected": "r"})]
    assert {row for _, row in read(tmp_path, b"a,b\n1,2\n", "rows")[0]} == {"invalid_json"}
    assert read(tmp_path, b"a,b\n1,2\n")[0] == [(2, {"a": "1", "b": "2"})]
    for separator in (b";", b"\t", b"|"):
        for name in ("rows.csv", "rows.txt"):
            with pytest.raises(DataError, match="expected commas"):
                read(tmp_path, content.replace(b",", separator), name)


def test_a_quote_that_is_never_closed_costs_one_row(tmp_path):
    rows = [b"p,c,r"] * 5 + [b'p,"c,r'] + [b"p,c,r"] * 50 + [b'p,"c",r', b"p,c,r"]
    made, _ = read(tmp_path, b"prompt,chosen,rejected\n" + b"\n".join(rows) + b"\n")
    assert [line for line, _ in made] == list(range(2, 2 + len(rows)))
    assert [line for line, row in made if row == "invalid_csv"] == [7]


def test_csv_of_old_macs(tmp_path):
    rows, account = read(tmp_path, b"prompt,chosen,rejected\rp,c,r\rq,c,r")
    assert [line for line, _ in rows] == [2, 3] and account.repaired["lone_cr"] == 2


def test_parquet_null_is_what_a_row_lacks(tmp_path):
    rows = [
        {"prompt": "p", "text": None, "extra": {"a": None, "b": [None, {"c": None, "d": 1}]}},
        {"prompt": None, "text": "t"},
    ]
    assert read(tmp_path, as_parquet(rows), "rows.parquet")[0] == [
        (1, {"prompt": "p", "extra": {"b": [None, {"d": 1}]}}),
        (2, {"text": "t"}),
    ]


def test_bad_rows_of_parquet_spoil_only_themselves(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_rows, "BATCH", 3)
    texts = [b"p0", b"\xff", b"a\0b", b"p3", b"p4", b"\xed\xa0\x80", b"p6"]
    unchecked = pyarrow.array(texts, pyarrow.binary()).buffers()
    data = pyarrow.Array.from_buffers(pyarrow.string(), len(texts), unchecked)
    floats = pyarrow.array([0.5, 1, 2, float("nan"), float("inf"), 1, 2])
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table({"prompt": data, "score": floats}), buffer)
    assert read(tmp_path, buffer.getvalue(), "rows.parquet")[0] == [
        (1, {"prompt": "p0", "score": 0.5}), (2, "not_utf8"), (3, "nul"), (4, "bad_number"), (5, "bad_number"),
        (6, "not_utf8"), (7, {"prompt": "p6", "score": 2.0}),
    ]  # fmt: skip


def test_a_row_of_parquet_can_be_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_rows, "ROW_BYTES", 1000)
    rows = [{"prompt": "p"}, {"prompt": "x" * 2000}, {"prompt": "q"}]
    assert read(tmp_path, as_parquet(rows), "rows.parquet")[0] == [(1, rows[0]), (2, "too_large"), (3, rows[2])]


def test_parquet_with_values_that_json_has_not(tmp_path):
    table = pyarrow.table({
        "prompt": pyarrow.array(["p", "q"]).dictionary_encode(),
        "at": pyarrow.array([0, 2**62], pyarrow.timestamp("us")),  # the second is after the year 9999
    })  # fmt: skip
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    (first, one), (second, other) = read(tmp_path, buffer.getvalue(), "rows.parquet")[0]
    assert (first, one["prompt"], one["at"].year, second, other) == (1, "p", 1970, 2, "bad_cell")


def test_parquet_without_columns_or_with_one_twice(tmp_path):
    twice = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 2, names=["prompt", "prompt"]), twice)
    with pytest.raises(DataError, match="two columns named 'prompt'"):
        read(tmp_path, twice.getvalue(), "rows.parquet")
    with pytest.raises(DataError, match="holds no rows"):
        read(tmp_path, as_parquet([]), "rows.parquet")


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"PAR1....PAR1")
    with pytest.raises(DataError, match=r"pip install 'preferably\[data\]'"):
        list(read_rows(path))
