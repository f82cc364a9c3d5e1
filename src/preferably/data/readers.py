"""Files to rows: JSON lines or a JSON array, plain or gzipped, told apart by what they hold and not by their names."""

import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from preferably.data.accounting import Reject
from preferably.errors import DataError

ROW_BYTES = 64 * 2**20  # a longer line is skipped in pieces, so that memory stays flat
ARRAY_BYTES = 2**30  # an array is held in memory as a whole
BOM = b"\xef\xbb\xbf"
WHITESPACE = b" \t\r\n"  # what JSON calls whitespace; bytes.strip() would take more

# The first bytes of files that people pass by mistake.
FOREIGN = {
    b"PK\x03\x04": "a zip archive",
    b"PAR1": "a Parquet file",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}


def read_rows(path: str | Path) -> Iterator[tuple[int, dict[str, Any] | Reject]]:
    """Each row of a file as (line, row), or (line, `Reject`) where the row cannot be read.

    Lines count from 1; elements of a JSON array are counted as lines. Blank lines are no rows. A file that cannot be
    read at all raises `DataError`, at the first `next()` or, for a broken gzip stream, where it breaks.
    """
    file = str(path)
    if Path(path).is_dir():
        raise DataError(f"{file} is a directory; give the files in it, one by one.")
    if not Path(path).exists():
        raise DataError(f"{file} does not exist.")
    if not Path(path).is_file():  # a pipe can block for ever, a device never ends
        raise DataError(f"{file} is not a regular file; save the rows as a .jsonl file first.")
    empty = True
    try:
        with open(path, "rb") as raw:
            for line, row in _rows(_decompressed(raw, file), file):
                empty = False
                yield line, row
    except (OSError, EOFError, zlib.error) as problem:
        raise DataError(f"{file} cannot be read: {problem}. Is the file complete?") from problem
    if empty:
        raise DataError(f"{file} holds no rows.")


def _decompressed(raw: io.BufferedReader, file: str) -> io.BufferedReader:
    stream = raw
    if raw.peek(2)[:2] == b"\x1f\x8b":
        stream = io.BufferedReader(gzip.GzipFile(fileobj=raw))
    head = stream.peek(8)
    for magic, kind in FOREIGN.items():
        if head.startswith(magic):
            raise DataError(f"{file} is {kind}; save it as JSON lines (.jsonl or .jsonl.gz) in UTF-8.")
    return stream


def _rows(stream: io.BufferedReader, file: str) -> Iterator[tuple[int, dict[str, Any] | Reject]]:
    """Decide between lines and an array from the first two lines that are not blank."""
    lines = _lines(stream)
    first, second = next(lines, None), next(lines, None)
    if first is None:
        return
    start = first[1] or b""
    if start.startswith(b"[") and (second is None or not _is_json(start)):
        # A whole array, on one line or over many. (An array on a line with others after it is a bad row.)
        document = b"\n".join([start, second[1] or b"", stream.read(ARRAY_BYTES)]) if second else start
        if len(document) > ARRAY_BYTES or (second and second[1] is None):
            raise DataError(f"{file} is a JSON array of more than {ARRAY_BYTES} bytes; save it as JSON lines.")
        yield from _array(document, file)
        return
    # A first line that stops where a row cannot stop is pretty-printed JSON, unless a whole row follows it.
    opens = start.startswith(b"{") and start[-1:] in b"{[:," and not start.endswith(b"},")
    if opens and second is not None and not _is_json(start) and not _is_json(second[1] or b""):
        raise DataError(
            f"{file} holds a JSON value that is spread over lines; expected one row per line, "
            "or one array of rows: [{...}, {...}]."
        )
    decoder = _Decoder()
    for line, text in chain([first], [second] if second else [], lines):
        if text is None:
            yield line, Reject(file, line, "row", "too_large", "larger than the reader holds in memory")
        else:
            yield line, _line(text, file, line, decoder)


def _lines(stream: io.BufferedReader) -> Iterator[tuple[int, bytes | None]]:
    r"""(number, text) of each line that is not blank, cut at \n alone; None for the text of one that is too long."""
    head = stream.peek(64)
    limit = ARRAY_BYTES if head.removeprefix(BOM).lstrip(WHITESPACE).startswith(b"[") else ROW_BYTES
    number = 0
    while text := stream.readline(limit):
        number += 1
        if number == 1:
            text = text.removeprefix(BOM)
        if len(text) >= limit and not text.endswith(b"\n"):
            while (piece := stream.readline(limit)) and not piece.endswith(b"\n"):
                pass
            yield number, None
        elif text := text.strip(WHITESPACE):
            yield number, text


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except RecursionError:
        return True  # deep, but nothing says that it is broken
    except ValueError:
        return False
    return True


def _line(text: bytes, file: str, line: int, decoder: "_Decoder") -> dict[str, Any] | Reject:
    try:
        decoded = text.decode("utf-8")
        value, end = decoder.decode(decoded, 0)
        if end < len(decoded):
            raise json.JSONDecodeError("more after the end of the value", decoded, end)
    except UnicodeDecodeError as problem:
        reason = f"byte {problem.start + 1} is not UTF-8; save the file as UTF-8"
        return Reject(file, line, "row", "not_utf8", reason)
    except RecursionError:
        return Reject(file, line, "row", "too_deep", "nested too deep")
    except json.JSONDecodeError as problem:
        return Reject(file, line, "row", "invalid_json", f"{problem.msg} at column {problem.pos + 1}")
    return _checked(value, decoded, file, line, decoder)


def _array(document: bytes, file: str) -> Iterator[tuple[int, dict[str, Any] | Reject]]:
    """The elements one by one: a bad value spoils its row, broken JSON spoils the file, as no row ends are known."""
    decoder, position, index, text = _Decoder(), 0, 0, ""
    try:
        text = document.decode("utf-8")
        position = _skip(text, 1)
        while text[position : position + 1] != "]" or index:
            start, index = position, index + 1
            value, position = decoder.decode(text, position)
            yield index, _checked(value, text[start:position], file, index, decoder)
            position = _skip(text, position)
            if text[position : position + 1] == "]":
                break
            if text[position : position + 1] != ",":
                raise json.JSONDecodeError("expected a comma or the end of the array", text, position)
            position = _skip(text, position + 1)
        if text[position + 1 :].strip():
            raise json.JSONDecodeError("more after the end of the array", text, position + 1)
    except UnicodeDecodeError as problem:
        raise DataError(f"{file} is not UTF-8 at byte {problem.start + 1}; save it as UTF-8.") from problem
    except RecursionError as problem:
        raise DataError(f"{file} is nested too deep in element {index} of the array.") from problem
    except json.JSONDecodeError as problem:
        where = f"line {problem.lineno} column {problem.colno} (element {index})"
        raise DataError(f"{file} is not a whole JSON array: {problem.msg} at {where}.") from problem


def _skip(text: str, position: int) -> int:
    while text[position : position + 1] in (" ", "\t", "\r", "\n"):
        position += 1
    return position


def _checked(value: Any, text: str, file: str, line: int, decoder: "_Decoder") -> dict[str, Any] | Reject:
    """What JSON allows and a row must not hold."""
    if decoder.problem:
        return Reject(file, line, "row", *decoder.problem)
    if not isinstance(value, dict):
        return Reject(file, line, "row", "not_an_object", f"a row is an object, this is a {_kind(value)}")
    if "\\u" in text and (problem := _bad_character(value)):  # UTF-8 itself can hold neither of the two
        return Reject(file, line, "row", *problem)
    return value


def _kind(value: Any) -> str:
    names = {list: "list", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")


def _bad_character(value: Any) -> tuple[str, str] | None:
    pending = [value]
    while pending:  # a stack of our own: a deep row must not exhaust Python's
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(item.keys())
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, str):
            if "\0" in item:
                return "nul", "a NUL character in a string"
            if any("\ud800" <= character <= "\udfff" for character in item):
                return "lone_surrogate", "half of a surrogate pair in a string"
    return None


class _Decoder:
    """JSON as the standard has it. Python's decoder keeps the last of two equal keys and reads NaN; this one tells."""

    def __init__(self) -> None:
        self.problem: tuple[str, str] | None = None  # (code, reason) of the value that was decoded last
        self._json = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_float=self._float,
            parse_int=self._int,
            parse_constant=self._constant,
        )

    def decode(self, text: str, position: int) -> tuple[Any, int]:
        """The value at `position` and where it ends; raises what `json` raises."""
        self.problem = None
        return self._json.raw_decode(text, position)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            self.problem = ("duplicate_key", f"the key {twice!r} is there twice")
        return made

    def _float(self, text: str) -> float:
        number = float(text)
        if number in (float("inf"), float("-inf")):
            self.problem = ("bad_number", "a number too large to hold")
        return number

    def _int(self, text: str) -> int:
        if len(text) > 1000:  # Python refuses to convert more than 4300 digits, and no id or label has so many
            self.problem = ("bad_number", f"an integer of {len(text)} digits")
            return 0
        return int(text)

    def _constant(self, name: str) -> float:
        self.problem = ("bad_number", f"{name} is not JSON")
        return 0.0
