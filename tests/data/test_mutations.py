"""Rows and files with something broken: never a crash or a hang, and every row is counted.

Two rows in three have something broken. `make fuzz` takes two million rows, and any seed; here is a tenth of them.
"""

import csv
import gzip
import io
import json
import os
import random

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from preferably.data.accounting import CODES, REPAIRS, WARNINGS
from preferably.data.load import load_feedback
from preferably.errors import DataError

ROWS = int(os.environ.get("PREFERABLY_FUZZ_ROWS", 200_000))
SEED = os.environ.get("PREFERABLY_FUZZ_SEED", "0")
FILE = 500  # rows of a file

U, A, B = (
    {"role": "user", "content": "q"},
    {"role": "assistant", "content": "yes"},
    {"role": "assistant", "content": "n\u00f6"},
)
TALK = "\n\nHuman: one\n\nAssistant: two\n\nHuman: three\n\nAssistant: "
SHAPES = {
    "pairs": [
        {"prompt": "p \u4f60", "chosen": "c\n", "rejected": "r, \"q\""},
        {"prompt": [U], "chosen": [A], "rejected": [B]},
        {"chosen": [U, A], "rejected": [U, B]},
        {"chosen": TALK + "yes", "rejected": TALK + "no"},
        {"instruction": "do", "input": "this", "output": "so", "chosen": "a", "rejected": "b"},
        {"prompt": "p", "chosen": "c", "rejected": "r", "strength": 2, "score_chosen": 0.5, "score_rejected": -1},
    ],
    "demonstrations": [
        {"prompt": "p", "completion": "c\U0001f600"},
        {"messages": [{"role": "system", "content": "s"}, U, A, U, B]},
        {"prompt": [U], "completion": [A]},
        {"instruction": "do", "output": "so"},
        {"text": "once"},
        {"prompt": "p", "completion": "c", "label": True},
    ],
}  # fmt: skip
ODD = [
    None, True, 0, -1, 1.5, 10**30, "", " ", "\x1b[0m", "\u202e", "caf\u00c3\u00a9", "\ufffd", "x" * 3000, [], {},
    [None], [[]], [{}], ["a"], {"role": "user"}, [{"role": "user", "content": None}], [U, U], [A], [U, A, A],
    {"a": [1, {"b": None}]},
]  # fmt: skip
BYTES = [
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\\u0000", b"\\ud800", b"\\u202e", b"\r", b"\x00", b"\xff",
    b"\xc3", b"\xe2\x80\xa8", b"NaN", b"1e999", b"9" * 5000, b"[" * 2000, b"null", b"'", b"//", b" ", b"\t", b"\x1b",
]  # fmt: skip
STARTS = [
    b"", b"{", b"[", b'{"prompt": "p"}\n', b"prompt,chosen\n", b"PAR1", b"\x1f\x8b\x08\x00", b"\xff\xfe",
    b"\xef\xbb\xbf",
]  # fmt: skip


def mutated_row(rng, feedback):
    """A valid row of any shape, with up to three columns changed, dropped, renamed or added."""
    row = dict(rng.choice(SHAPES[feedback]))
    if rng.random() < 0.5:
        name = rng.choice([name for name, value in row.items() if isinstance(value, str)] or ["text"])
        row[name] = f"{row.get(name, '')}{rng.randrange(10**6)}"
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
        name = rng.choice(list(row) or ["prompt"])
        kind = rng.randrange(5)
        if kind == 0:
            row.pop(name, None)
        elif kind == 1:
            row[rng.choice((name.upper(), name + "_", "messages", "prompt", "text", "chosen", "\u202e"))] = row.pop(
                name, None
            )
        else:
            row[name] = rng.choice(ODD)
    return row


def mutated_bytes(rng, data, times):
    """`data` with bytes changed, dropped, doubled, put in, or cut off."""
    data = bytearray(data)
    for _ in range(times):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del data[at : at + rng.randrange(1, 40)]
        elif kind == 2:
            data[at:at] = data[at : at + rng.randrange(1, 40)]
        elif kind == 3:
            data[at:at] = rng.choice(BYTES)
        elif rng.random() < 0.1:
            del data[at:]
    return bytes(data)


def json_lines(rng, rows):
    """Lines of which half have broken bytes, but none has a newline more or less: as many rows as lines with text."""
    lines = []
    for row in rows:
        line = json.dumps(row, ensure_ascii=rng.random() < 0.5).encode()
        if rng.random() < 0.5:
            line = mutated_bytes(rng, line, rng.randrange(1, 4)).replace(b"\n", b" ").replace(b"\r", b" ")
        lines.append(line)
    lines[0] = json.dumps(rows[0]).encode()
    return b"\n".join(lines), sum(1 for line in lines if line.strip(b" \t\r\n"))


def csv_records(rng, rows):
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=rng.choice(("\n", "\r\n")))
    writer.writerow(names)
    for row in rows:
        cells = [value if isinstance(value := row.get(name, ""), str) else json.dumps(value) for name in names]
        if rng.random() < 0.3:
            at = rng.randrange(len(cells))
            cells[at] = rng.choice(
                ('[{"role"', "[{'role': 'user'}]", "nan", "True", "\x00", '"', "a\nb", cells[at] * 3)
            )
        if rng.random() < 0.002:
            cells[-1] = "x" * 140_000
        if rng.random() < 0.05:
            cells = cells[:-1] if rng.random() < 0.5 else [*cells, "x"]
        writer.writerow(cells or ["x"])
    return text.getvalue().encode("utf-8", "surrogatepass"), len(rows)


def parquet_table(rng, rows):
    """One column holds one type, so values of another become text."""
    kinds: dict = {}
    for row in rows:
        for name, value in row.items():
            if value is not None:
                kinds.setdefault(name, type(value))
    texts = [
        {name: value if value is None or type(value) is kinds[name] else str(value) for name, value in row.items()}
        for row in rows
    ]
    columns = {}
    for name in kinds:
        values = [row.get(name) for row in texts]
        try:
            made = pyarrow.array(values)
        except (pyarrow.ArrowException, TypeError, OverflowError):
            made = None
        if made is None or "struct<>" in str(made.type):  # which Parquet cannot hold
            made = pyarrow.array([None if value is None else json.dumps(value) for value in values])
        columns[name] = made
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), buffer, row_group_size=rng.choice((7, 100, 1000)))
    return buffer.getvalue(), len(rows)


def json_array(rng, rows):
    return json.dumps(rows, indent=rng.choice((None, 1)), ensure_ascii=False).encode(), len(rows)


CONTAINERS = {
    "rows.jsonl": json_lines, "rows.json": json_array, "rows.csv": csv_records, "rows.parquet": parquet_table,
}  # fmt: skip


def balanced(path, feedback):
    """The account of a file that may be broken; None where it was refused as a whole, which is one clear line."""
    try:
        loaded = load_feedback([path], feedback, max_rejected=1)
    except DataError as refused:
        text = str(refused)
        assert path.name in text and text.isprintable() and len(text) < 3000
        return None
    counts = loaded.accounting
    counts.close()
    assert counts.used == len(loaded.groups)
    assert all(reject.file == str(path) and reject.line > 0 for reject in counts.rejects)
    assert counts.rejected.keys() <= CODES.keys() and counts.repaired.keys() <= REPAIRS.keys()
    assert counts.warned.keys() <= WARNINGS.keys()
    counts.describe()
    json.dumps(counts.as_json()).encode()
    return counts


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_mutated_row_is_counted(tmp_path, name):
    """Where the mutations keep the borders of rows, the number of rows that were written is the number read."""
    rng = random.Random(f"{name} {SEED}")
    used = rejected = deduplicated = refused = 0
    for number in range(max(1, ROWS // 5 // FILE)):
        feedback = ("pairs", "demonstrations")[number % 2]
        rows = [rng.choice(SHAPES[feedback]), *(mutated_row(rng, feedback) for _ in range(FILE - 1))]
        data, written = CONTAINERS[name](rng, rows)
        path = tmp_path / (name + (".gz" if number % 3 == 0 else ""))
        path.write_bytes(gzip.compress(data, 1) if number % 3 == 0 else data)
        counts = balanced(path, feedback)
        if counts is None:
            refused += 1
            continue
        assert counts.read == written
        used, deduplicated = used + counts.used, deduplicated + counts.deduplicated
        rejected += len(counts.rejects)
        path.unlink()
    assert min(used, rejected, deduplicated) > 0 and refused == 0


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_mutated_file_is_read_or_refused(tmp_path, name):
    """Any byte of the file or of its gzip stream: rows, rejects, or one error."""
    rng = random.Random(f"{name} {SEED}")
    size, read, refused = 20, 0, 0
    for number in range(max(1, ROWS // 20 // size)):
        feedback = ("pairs", "demonstrations")[number % 2]
        data, _ = CONTAINERS[name](rng, [mutated_row(rng, feedback) for _ in range(size)])
        zipped = number % 4 == 0
        path = tmp_path / (name + (".gz" if zipped else ""))
        inside = rng.random() < 0.5
        if not zipped or inside:
            data = mutated_bytes(rng, data, rng.randrange(1, 6))
        if zipped:
            data = gzip.compress(data, 1)
            data = data if inside else mutated_bytes(rng, data, rng.randrange(1, 4))
        path.write_bytes(data)
        counts = balanced(path, feedback)
        refused += counts is None
        read += counts.read if counts else 0
        path.unlink()
    assert read > 0 and refused > 0


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=300) | st.text(max_size=200).map(str.encode),
    st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.parquet", "a", "a.gz"]),
    st.sampled_from(STARTS),
    st.booleans(),
)  # fmt: skip
def test_any_bytes_are_read_or_refused(tmp_path, data, name, start, zipped):
    path = tmp_path / name
    path.write_bytes(gzip.compress(start + data) if zipped else start + data)
    balanced(path, "pairs")
