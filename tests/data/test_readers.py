import gzip
import json
from pathlib import Path

import pytest

from preferably.data import json_rows
from preferably.data.accounting import Reject
from preferably.data.readers import read_rows
from preferably.errors import DataError

GOOD = b'{"a": "x"}'


def written(folder: Path, content: bytes, name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read(folder: Path, content: bytes, name: str = "rows.jsonl") -> list[tuple[int, object]]:
    return [
        (line, row.code if isinstance(row, Reject) else row) for line, row in read_rows(written(folder, content, name))
    ]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows", "rows.jsonl.gz"])
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        b'{"a": 1}\n{"a": 2}\n',
        b'\xef\xbb\xbf{"a": 1}\r\n{"a": 2}',
        b'[{"a": 1}, {"a": 2}]',
        b'\xef\xbb\xbf \n[\n  {\n    "a": 1\n  },\n\n  {"a":\r\n 2}\n]\n',
        b'[{"a": 1},\n{"a": 2}]',
    ],
)
def test_contents_decide_and_not_the_name(tmp_path, content, zipped, name):
    rows = read(tmp_path, gzip.compress(content) if zipped else content, name)
    assert [row for _, row in rows] == [{"a": 1}, {"a": 2}]


def test_lines_count_blank_lines_too(tmp_path):
    assert read(tmp_path, b'\n{"a": 1}\n\n \t\r\n{"a": 2}') == [(2, {"a": 1}), (5, {"a": 2})]


def test_only_a_line_feed_ends_a_row(tmp_path):
    text = "one\u2028two\u0085three\u2029four\x0bfive"
    content = json.dumps({"a": text.replace("\x0b", "")}, ensure_ascii=False).encode()
    assert read(tmp_path, content + b"\n" + GOOD) == [(1, {"a": text.replace("\x0b", "")}), (2, {"a": "x"})]


BAD_LINES = {
    "not_utf8": [b'{"a": "\xff"}', "{\"a\": \"é\"}".encode("latin-1")],
    "invalid_json": [
        b'{"a": ', b'{"a": 1,}', b"{'a': 1}", GOOD + GOOD, b"# a comment", b'{"a": "\x00"}', b"not json",
        b"{", b'{"a": "cut', b'{"a": "tab\there"}',
    ],
    "duplicate_key": [b'{"a": 1, "a": 2}', b'{"b": [{"a": 1, "a": 1}]}'],
    "bad_number": [b'{"a": NaN}', b'{"a": [-Infinity]}', b'{"a": 1e400}', b'{"a": ' + b"9" * 5000 + b"}"],
    "lone_surrogate": [rb'{"a": "\ud800"}', rb'{"\udc00": 1}', rb'{"a": [{"b": "\ud83dx"}]}'],
    "nul": [rb'{"a": "x\u0000y"}'],
    "too_deep": [b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"[" * 100_000],
    "not_an_object": [b"null", b"3", b'"text"', b"[1, 2]", b"[]", b"true"],
}  # fmt: skip


@pytest.mark.parametrize(("code", "line"), [(code, line) for code, lines in BAD_LINES.items() for line in lines])
def test_a_bad_line_is_one_reject_wherever_it_stands(tmp_path, code, line):
    assert read(tmp_path, GOOD + b"\n" + line + b"\n" + GOOD) == [(1, {"a": "x"}), (2, code), (3, {"a": "x"})]
    if not line.startswith(b"[["):  # in front, that is the start of an array
        assert read(tmp_path, line + b"\n" + GOOD) == [(1, code), (2, {"a": "x"})]


def test_escaped_surrogate_pairs_are_characters(tmp_path):
    assert read(tmp_path, rb'{"a": "\ud83d\ude00"}') == [(1, {"a": "\U0001f600"})]


def test_bad_elements_of_an_array_spoil_only_themselves(tmp_path):
    content = rb'[{"a": NaN}, {"a": 1, "a": 2}, 7, {"a": "\ud800"}, {"a": "' + b"\xff" + rb'"}, {"a": "x"}]'
    codes = ["bad_number", "duplicate_key", "not_an_object", "lone_surrogate", "not_utf8", {"a": "x"}]
    assert read(tmp_path, content) == list(enumerate(codes, 1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no rows"),
        (b"\n \n", "holds no rows"),
        (b"[]", "holds no rows"),
        (b"[{}, ", "not a whole JSON array"),
        (b"[{},]", "not a whole JSON array"),
        (b"[{} {}]", "comma"),
        (b'[{"a": 1}\n', "not a whole JSON array"),
        (b'[\n{"a": 1}] x', "more after the end"),
        (b'[\n{"a": 1}, \xff]', "line 2 column 11"),
        (b"[\n" + b"[" * 100_000, "nested too deep"),
        (b'{\n  "a": 1,\n  "b": 2\n}\n', "one row per line"),
        (b'{"data": [\n{"a": 1}]}', "one row per line"),
        ('{"a": 1}'.encode("utf-32"), "UTF-32"),
        ('{"a": 1}'.encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (b"PAR1....", "Parquet"),
        (b"PK\x03\x04....", "zip"),
        # Named: gzip writes the second it was called in, and processes that share the tests must agree on their names.
        pytest.param(gzip.compress(GOOD * 1000)[:-9], "cannot be read", id="gzip-cut"),
        pytest.param(gzip.compress(GOOD)[:-20] + b"\xff" * 20, "cannot be read", id="gzip-broken"),
    ],
)
def test_a_file_that_is_not_rows_is_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, content)
    assert "rows.jsonl" in str(caught.value)


def test_one_object_that_holds_a_list_is_one_row_and_not_rows(tmp_path):
    assert read(tmp_path, b'{"data": [{"a": 1}, {"a": 2}]}', "rows.json") == [(1, {"data": [{"a": 1}, {"a": 2}]})]


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        list(read_rows(tmp_path / "missing.jsonl"))
    with pytest.raises(DataError, match="is a directory"):
        list(read_rows(tmp_path))
    with pytest.raises(DataError, match="regular file"):
        list(read_rows("/dev/zero"))


def test_a_huge_row_is_skipped_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(json_rows, "ROW_BYTES", 64)
    content = GOOD + b'\n{"a": "' + b"x" * 500 + b'"}\n' + GOOD
    assert read(tmp_path, content) == [(1, {"a": "x"}), (2, "too_large"), (3, {"a": "x"})]
    assert read(tmp_path, content.split(b"\n", 1)[1]) == [(1, "too_large"), (2, {"a": "x"})]
    assert len(read(tmp_path, b"[" + b",".join([GOOD] * 50) + b"]")) == 50


def test_an_array_is_read_through_a_window(tmp_path, monkeypatch):
    """Cut at every byte: in names, in numbers, in escapes, in characters, between elements."""
    rows = [{"a": "\u00e9\U0001f600\\"}, {"b": [1.5e3, -2, None, True]}, {"c": "[{]},"}, {}]
    text = json.dumps(rows, indent=1) + "\n\n"
    for content in (text, json.dumps(rows, ensure_ascii=False)):
        for size in (1, 2, 3, 5, 7):
            monkeypatch.setattr(json_rows, "PIECE", size)
            assert read(tmp_path, content.encode(), "a.json") == list(enumerate(rows, 1))
    assert read(tmp_path, b'[1.25, -3e2, "x", {"a": 10}]', "a.json")[-1] == (4, {"a": 10})


@pytest.mark.parametrize("size", [1, 8, 2**18])
def test_an_error_in_an_array_names_the_place(tmp_path, monkeypatch, size):
    monkeypatch.setattr(json_rows, "PIECE", size)
    with pytest.raises(DataError, match=r"line 4 column 8 \(element 3\)"):
        read(tmp_path, b'[\n{"a": "\xc3\xa9"},\n{"a": 2}, \n {"b": oops}]', "a.json")


def test_an_element_without_an_end_is_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr(json_rows, "ROW_BYTES", 1000)
    monkeypatch.setattr(json_rows, "PIECE", 64)
    with pytest.raises(DataError, match="no end of the element in 1000 bytes"):
        read(tmp_path, b'[{"a": 1},\n{"a": "' + b"x" * 9000 + b'"}]', "a.json")
