"""Every kind of bad input to the readers, by number: R is rejected, F is mended and counted, W is warned of, A aborts.

The numbers are those of the list that this package was built against; docs/data.md says what becomes of each.
"""

import gzip
import io
import json
import os
import tarfile
import unicodedata
import zipfile

import pyarrow
import pytest
from pyarrow import parquet

from preferably.data import csv_rows, parquet_rows, streams
from preferably.data.accounting import Accounting, Reject
from preferably.data.load import load_feedback
from preferably.data.readers import read_rows
from preferably.errors import DataError

PAIR = {"prompt": "p", "chosen": "c", "rejected": "r"}
LINE = json.dumps(PAIR).encode()


def read(folder, content, name="rows.jsonl"):
    """What `content` gives: rows and codes by line, the rejects, and the account of repairs."""
    path = folder / name
    path.write_bytes(content)
    account = Accounting()
    rows = list(read_rows(path, account))
    rejects = [row for _, row in rows if isinstance(row, Reject)]
    return [(line, row.code if isinstance(row, Reject) else row) for line, row in rows], rejects, account


def loaded(folder, rows, name="rows.jsonl"):
    path = folder / name
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return load_feedback([path], "pairs", max_rejected=0.9)


REJECTED = [
    ("01-invalid-utf8", b'{"prompt": "\xff"}', "not_utf8", "byte 13 of the row, 0xff"),
    ("02-latin-1", '{"prompt": "caf\u00e9"}'.encode("latin-1"), "not_utf8", "Latin-1 it would be '\u00e9'"),
    ("05-lone-surrogate", rb'{"prompt": "\ud800"}', "lone_surrogate", "surrogate"),
    ("06-nul", rb'{"prompt": "a\u0000"}', "nul", "NUL"),
    ("14-broken-json", b'{"prompt": "p"', "invalid_json", "column 15"),
    ("15-trailing-comma", b'{"prompt": "p",}', "invalid_json", "column"),
    ("16-single-quotes", b"{'prompt': 'p'}", "invalid_json", "double quotes"),
    ("17-two-objects", LINE + LINE, "invalid_json", "more after the end"),
    ("18-scalar", b"7", "not_an_object", "number"),
    ("18-array", b"[1]", "not_an_object", "list"),
    ("18-null", b"null", "not_an_object", "null"),
    ("21-duplicate-keys", b'{"prompt": "p", "prompt": "q"}', "duplicate_key", "'prompt'"),
    ("22-nan", b'{"score": NaN}', "bad_number", "NaN"),
    ("22-infinity", b'{"score": -Infinity}', "bad_number", "Infinity"),
    ("22-1e400", b'{"score": 1e400}', "bad_number", "too large"),
    ("23-5000-digits", b'{"id": ' + b"9" * 5000 + b"}", "bad_number", "5000 digits"),
    ("24-deep", b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too_deep", "deep"),
    ("26-truncated", LINE[:-4], "invalid_json", ""),
    ("28-comment", b"// a comment", "invalid_json", "column 1"),
]


@pytest.mark.parametrize(
    ("line", "code", "reason"), [case[1:] for case in REJECTED], ids=[case[0] for case in REJECTED]
)
def test_rejected_with_file_line_and_code(tmp_path, line, code, reason):
    for content, at in ((LINE + b"\n" + line + b"\n" + LINE, 2), (line + b"\n" + LINE, 1), (LINE + b"\n\n" + line, 3)):
        rows, (reject,), _ = read(tmp_path, content)
        assert (at, code) in rows and (reject.line, reject.code) == (at, code) and reason in reject.reason
        assert reject.file.endswith("rows.jsonl") and [row for _, row in rows if row != code] == [PAIR] * (
            len(rows) - 1
        )


def test_26_truncated_last_line_is_hinted_at(tmp_path):
    assert "is the file complete?" in read(tmp_path, LINE + b"\n" + LINE[:-4])[1][0].reason
    assert "complete" not in read(tmp_path, LINE[:-4] + b"\n" + LINE)[1][0].reason


def test_31_a_line_over_the_cap(tmp_path, monkeypatch):
    monkeypatch.setattr("preferably.data.json_rows.ROW_BYTES", 1000)
    rows, _, _ = read(tmp_path, LINE + b'\n{"a": "' + b"x" * 5000 + b'"}\n' + LINE)
    assert rows == [(1, PAIR), (2, "too_large"), (3, PAIR)]


CR_ROWS = b'{"a": 1}\r{"a": 2}\r\r{"a": oops}\r{"a": 4}'
REPAIRED = [
    ("03-utf16-le", "\ufeff".encode("utf-16-le") + LINE.decode().encode("utf-16-le"), [PAIR], {"utf16": 1}),
    ("03-utf16-be", "\ufeff".encode("utf-16-be") + LINE.decode().encode("utf-16-be"), [PAIR], {"utf16": 1}),
    ("04-bom", b"\xef\xbb\xbf" + LINE, [PAIR], {"bom": 1}),
    ("08-crlf", LINE + b"\r\n" + LINE + b"\r\n", [PAIR, PAIR], {"crlf": 2}),
    ("08-lone-cr", CR_ROWS, [{"a": 1}, {"a": 2}, "invalid_json", {"a": 4}], {"lone_cr": 3}),
    ("20-array-in-jsonl", b"[" + LINE + b",\n" + LINE + b"]", [PAIR, PAIR], {"array_in_jsonl": 1}),
    ("27-blank-lines", b"\n" + LINE + b"\n \t\n\n" + LINE, [PAIR, PAIR], {"blank_line": 3}),
]


@pytest.mark.parametrize(
    ("content", "rows", "repaired"), [case[1:] for case in REPAIRED], ids=[case[0] for case in REPAIRED]
)
def test_mended_and_counted(tmp_path, content, rows, repaired):
    got, _, account = read(tmp_path, content)
    assert [row for _, row in got] == rows and dict(account.repaired) == repaired


def test_08_a_carriage_return_inside_of_a_row_is_one_reject(tmp_path):
    assert read(tmp_path, b'{"a": "x\ry"}\n' + LINE)[0] == [(1, "invalid_json"), (2, PAIR)]


ACCEPTED = [
    ("07-line-separators", '{"a": "one\u2028two\u0085three"}'.encode(), [{"a": "one\u2028two\u0085three"}]),
    ("25-no-last-newline", LINE + b"\n" + LINE, [PAIR, PAIR]),
]


@pytest.mark.parametrize(("content", "rows"), [case[1:] for case in ACCEPTED], ids=[case[0] for case in ACCEPTED])
def test_accepted_as_it_is(tmp_path, content, rows):
    got, _, account = read(tmp_path, content)
    assert [row for _, row in got] == rows and not account.repaired and not account.warned


WARNED = [
    ("09-ansi", "\x1b[2Jgone", "control_character", "U+001B"),
    ("09-c1", "a\x9bb", "control_character", "U+009B"),
    ("10-bidi", "a\u202eb", "hidden_character", "U+202E"),
    ("10-zero-width", "pay\u200bpal", "hidden_character", "U+200B"),
    ("10-joiner-in-a-word", "pay\u200dpal", "hidden_character", "U+200D"),
    ("10-homoglyph", "p\u0430ypal", "homoglyph", "U+0430"),
    ("12-mojibake", "caf\u00e9".encode().decode("cp1252"), "mojibake", "U+00C3 U+00A9"),
    ("12-mojibake-quote", "it\u2019s".encode().decode("cp1252"), "mojibake", "U+00E2 U+20AC U+2122"),
    ("13-replacement", "caf\ufffd", "replacement_character", "U+FFFD"),
    ("13-private-use", "\ue000", "replacement_character", "U+E000"),
]


@pytest.mark.parametrize(("text", "code", "shown"), [case[1:] for case in WARNED], ids=[case[0] for case in WARNED])
@pytest.mark.parametrize("field", ["prompt", "chosen"])
def test_used_and_warned_of(tmp_path, field, text, code, shown):
    found = loaded(tmp_path, [PAIR, PAIR | {field: text, "note": text}])
    assert [group.prompt_text for group in found.groups][1:] == [text if field == "prompt" else "p"]
    assert {kind: warned.count for kind, warned in found.accounting.warned.items()} == {code: 1, "unread_column": 1}
    assert found.accounting.warned[code].first == [f"{tmp_path / 'rows.jsonl'}:2 {shown}"]
    assert text not in found.accounting.describe() and shown in found.accounting.describe()


def test_11_composition(tmp_path):
    composed, decomposed = "caf\u00e9", unicodedata.normalize("NFD", "caf\u00e9")
    for first, second in ((composed, decomposed), (decomposed, composed)):
        rows = [PAIR | {"prompt": first}, PAIR | {"prompt": second}, PAIR | {"prompt": first}, PAIR]
        accounting = loaded(tmp_path, rows).accounting
        assert (accounting.used, accounting.deduplicated) == (3, 1)
        assert accounting.warned["composition"].first == [f"{tmp_path / 'rows.jsonl'}:2"]
        assert accounting.warned.keys() == {"composition"}


def test_09_to_13_ordinary_text_is_not_warned_of(tmp_path):
    texts = [
        "tab\there\nand\r\nthere", "na\u00efve caf\u00e9, \u00c5ngstr\u00f6m, \u00c2ge, N\u00c3O, \u00e2ne",
        "\u043f\u0440\u0438\u0432\u0435\u0442, world", "\u0394x = 3\u03bcm", "\u05e9\u05dc\u05d5\u05dd",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\u65e5\u672c\u8a9e",
        "\u201cquoted\u201d \u2014 it\u2019s 5\u20ac", "\u0915\u094d\u200d\u0937",
    ]  # fmt: skip
    found = loaded(tmp_path, [PAIR | {"prompt": text} for text in texts])
    assert found.accounting.used == len(texts) and not found.accounting.warned


def parquet_bytes(columns, **options):
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), buffer, **options)
    return buffer.getvalue()


GOOD_PARQUET = parquet_bytes({name: [value + str(n) for n in range(2000)] for name, value in PAIR.items()})


def zip_bytes(name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, LINE)
    return buffer.getvalue()


def tar_bytes(name, link=None):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        if link:
            entry.type, entry.linkname = tarfile.SYMTYPE, link
        archive.addfile(entry)
    return buffer.getvalue()


ZIPPED = gzip.compress(b"".join(b'{"a": "%d"}\n' % n for n in range(9000)))
ABORTED = [
    ("03-utf16-cut", "rows.jsonl", "\ufeff".encode("utf-16-le") + b"{\x00\x00", "begins as utf-16-le"),
    ("03-utf16-no-mark", "rows.jsonl", LINE.decode().encode("utf-16-be"), "UTF-16 without a byte order mark"),
    ("19-pretty-printed", "rows.jsonl", json.dumps(PAIR, indent=2).encode(), "one row per line"),
    ("29-empty", "rows.jsonl", b"", "holds no rows"),
    ("29-empty-gzip", "rows.jsonl.gz", gzip.compress(b""), "holds no rows"),
    ("30-only-a-header", "rows.csv", b"prompt,chosen,rejected\n", "holds no rows"),
    ("72-gzip-cut", "rows.jsonl.gz", ZIPPED[:-9], "Is the file complete"),
    ("72-gzip-cut-in-the-middle", "rows.jsonl.gz", ZIPPED[: len(ZIPPED) // 2], "Is the file complete"),
    ("72-gzip-checksum", "rows.jsonl.gz", ZIPPED[:-8] + b"abcd" + ZIPPED[-4:], "CRC"),
    ("72-gzip-garbage-behind", "rows.jsonl.gz", ZIPPED + b"more", "gzip"),
    ("72-gzip-twice", "rows.jsonl.gz", gzip.compress(ZIPPED), "gzip inside of gzip"),
    ("74-json-named-csv", "rows.csv", LINE + b"\n", "named as CSV and holds JSON"),
    ("74-json-named-parquet", "rows.parquet", LINE + b"\n", "named as Parquet and holds JSON"),
    ("74-csv-named-jsonl", "rows.jsonl", b"prompt,chosen,rejected\na,b,c\n", "named as JSON and holds CSV"),
    ("74-parquet-named-jsonl", "rows.jsonl", GOOD_PARQUET, "named as JSON and holds Parquet"),
    ("74-parquet-named-csv", "rows.csv.gz", gzip.compress(GOOD_PARQUET), "named as CSV and holds Parquet"),
    ("74-html", "rows.jsonl", b"<!DOCTYPE html><html>", "an HTML page"),
    ("74-lfs-pointer", "rows.jsonl", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    ("75-zip-dots", "rows.jsonl", zip_bytes("../../rows.jsonl"), "zip archive"),
    ("75-zip-absolute", "rows.zip", zip_bytes("/etc/rows.jsonl"), "zip archive"),
    ("75-tar-dots", "rows.jsonl", tar_bytes("../rows.jsonl"), "tar archive"),
    ("75-tar-link", "rows.tar", tar_bytes("rows.jsonl", "/etc/passwd"), "tar archive"),
    ("75-tar-gz", "rows.jsonl.gz", gzip.compress(tar_bytes("../rows.jsonl")), "tar archive"),
    ("76-parquet-magic-in-front", "rows.parquet", b"PARX" + GOOD_PARQUET[4:], "does not begin as Parquet"),
    ("76-parquet-magic-at-the-end", "rows.parquet", GOOD_PARQUET[:-4] + b"PARX", "not a whole Parquet file"),
    ("76-parquet-cut", "rows.parquet", GOOD_PARQUET[: len(GOOD_PARQUET) // 2], "not a whole Parquet file"),
    ("76-parquet-only-magic", "rows.parquet", b"PAR1", "not a whole Parquet file"),
    ("76-parquet-footer-length", "rows.parquet", GOOD_PARQUET[:-8] + b"\xff\xff\xff\x7fPAR1", "not a whole Parquet"),
    ("76-parquet-footer-zero", "rows.parquet", GOOD_PARQUET[:-8] + b"\0\0\0\0PAR1", "not a whole Parquet"),
    ("76-parquet-pages", "rows.parquet", b"PAR1" + b"\xff" * 400 + GOOD_PARQUET[404:], "not a whole Parquet"),
    ("76-parquet-gzip-cut", "rows.parquet.gz", gzip.compress(GOOD_PARQUET)[:-100], "Is the file complete"),
    ("77-csv-two-columns-of-a-name", "rows.csv", b"prompt,prompt\na,b\n", "two columns named 'prompt'"),
    ("77-csv-semicolons", "rows.csv", b"prompt;chosen;rejected\na;b;c\n", "expected commas"),
    ("77-csv-header", "rows.csv", b'"prompt"x,chosen\na,b\n', "not the header"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "message"), [case[1:] for case in ABORTED], ids=[case[0] for case in ABORTED]
)
def test_aborted_with_one_clear_error(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, content, name)
    text = str(caught.value)
    assert name in text and "\n" not in text and "Traceback" not in text
    assert os.listdir(tmp_path) == [name]


def test_30_only_rejects(tmp_path):
    with pytest.raises(DataError, match="None of the 2 rows can be used"):
        loaded(tmp_path, [{}, {"prompt": "p"}])


@pytest.mark.parametrize("zeros", [b"\0", b" ", b"\n"], ids=["73-zeros", "73-spaces", "73-newlines"])
@pytest.mark.parametrize("cap", ["BOMB_FREE", "BOMB_BYTES"])
def test_73_gzip_bomb(tmp_path, monkeypatch, zeros, cap):
    monkeypatch.setattr(streams, cap, 10**6)
    bomb = gzip.compress(LINE + b"\n" + zeros * 40 * 2**20)
    with pytest.raises(DataError, match="gzip bomb" if cap == "BOMB_FREE" else "unzips to more than 1000000 bytes"):
        read(tmp_path, bomb, "rows.jsonl.gz")


def test_73_a_bomb_is_refused_before_its_rows_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "BOMB_FREE", 10**6)
    path, account = tmp_path / "rows.jsonl.gz", Accounting()
    path.write_bytes(gzip.compress(LINE + b"\n" * 2 * 2**20))
    with pytest.raises(DataError, match="gzip bomb"):
        next(read_rows(path, account))
    assert not account.repaired  # not one blank line


def test_73_a_parquet_file_in_a_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "BOMB_FREE", 10**6)
    with pytest.raises(DataError, match="gzip bomb"):
        read(tmp_path, gzip.compress(b"PAR1" + b"\0" * 40 * 2**20), "rows.parquet.gz")


def test_73_what_repeats_itself_is_no_bomb(tmp_path):
    assert len(read(tmp_path, gzip.compress((LINE + b"\n") * 20_000), "rows.jsonl.gz")[0]) == 20_000


def test_77_parquet_that_claims_more_rows_than_it_can_hold(tmp_path, monkeypatch):
    constant = parquet_bytes({"prompt": pyarrow.array(["p"] * 200_000)})
    monkeypatch.setattr(parquet_rows, "MANY", 10**5)
    with pytest.raises(DataError, match=r"says that it holds 200000 rows in \d+ bytes"):
        read(tmp_path, constant, "rows.parquet")


def test_77_parquet_whose_footer_lies_about_the_rows(tmp_path):
    # 2000 rows are the varint 0xa0 0x1f; 3000 are 0xf0 0x2e, of the same length
    footer = int.from_bytes(GOOD_PARQUET[-8:-4], "little") + 8
    lying = GOOD_PARQUET[:-footer] + GOOD_PARQUET[-footer:].replace(b"\xa0\x1f", b"\xf0\x2e")
    assert lying != GOOD_PARQUET
    with pytest.raises(DataError, match="not a whole Parquet file|says that it holds"):
        read(tmp_path, lying, "rows.parquet")


CSV = [
    ("77-ragged", b"p,c\n", "wrong_columns"),
    ("77-ragged-long", b"p,c,r,x\n", "wrong_columns"),
    ("77-open-quote", b'p,"c,r\n', "invalid_csv"),
    ("77-bare-quote", b'p,"c"d,r\n', "invalid_csv"),
    ("77-cell-over-128-KiB", b"p,c," + b"x" * 131_073 + b"\n", "too_large"),
    ("77-quoted-cell-over-128-KiB", b'p,c,"' + b"x\n" * 70_000 + b'"\n', "too_large"),
    ("01-in-csv", b"p,c,\xff\n", "not_utf8"),
    ("06-in-csv", b"p,c,\0\n", "nul"),
]


@pytest.mark.parametrize(("record", "code"), [case[1:] for case in CSV], ids=[case[0] for case in CSV])
def test_bad_records_of_csv(tmp_path, record, code):
    good = b"p,c,r\n"
    content = b"prompt,chosen,rejected\n" + good + record + good + good
    rows, _, _ = read(tmp_path, content, "rows.csv")
    last = content.count(b"\n")
    assert rows == [(2, PAIR), (3, code), (last - 1, PAIR), (last, PAIR)]


def test_77_newlines_in_quotes_are_text(tmp_path):
    content = b'prompt,chosen,rejected\r\n"a\nb",c,"r\r\n"\r\n\r\np,c,r'
    rows, _, account = read(tmp_path, content, "rows.csv")
    assert rows == [(2, {"prompt": "a\nb", "chosen": "c", "rejected": "r\r\n"}), (6, PAIR)]
    assert dict(account.repaired) == {"blank_line": 1}


def test_77_no_line_and_no_record_is_held_that_is_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_rows, "RECORD", 500)
    good = "p,c,r\n"
    for bad, lines in (
        ("x" * 2000 + "\n", [3, 4]),
        ('p,"' + "y,y,y\n" * 200, None),
        ('p,"a\n' + "x" * 2000 + "\n", None),
    ):
        rows, _, _ = read(tmp_path, ("prompt,chosen,rejected\n" + good + bad + good).encode(), "rows.csv")
        assert rows[0] == (2, PAIR) and rows[1] == (3, "too_large")
        assert rows[-1] == (("prompt,chosen,rejected\n" + good + bad).count("\n") + 1, PAIR)
        if lines:
            assert [line for line, _ in rows[1:]] == lines


def test_78_pyarrow_has_a_floor():
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())["project"]
    (wanted,) = [need for need in project["optional-dependencies"]["data"] if need.startswith("pyarrow")]
    assert [int(part) for part in wanted.removeprefix("pyarrow>=").split(".")] > [14, 0, 1]
