"""JSON to rows: one object a line, or one array of objects. Never more of it in memory than a row or a window."""

import codecs
import io
import json
import re
from collections.abc import Iterator
from typing import Any

from preferably.data.accounting import Accounting, Reject
from preferably.data.json_values import Decoder, Problem, kind_of, not_utf8, problem_in
from preferably.data.streams import PIECE
from preferably.errors import DataError

ROW_BYTES = 16 * 2**20  # a longer line is skipped in pieces; decoded, text can take four times as much
WHITESPACE = b" \t\r\n"  # what JSON calls whitespace; bytes.strip() would take more
SPACE = re.compile(r"[ \t\r\n]*")
CR = re.compile(rb"(?<=\})[ \t]*\r[ \t\r]*(?=\{)")  # never inside of a value: there it would be escaped
ESCAPED = re.compile("[\udc80-\udcff]")  # bytes that were not UTF-8, after errors="surrogateescape"


def json_rows(
    stream: io.BufferedReader, file: str, account: Accounting
) -> Iterator[tuple[int, dict[str, Any] | Reject]]:
    """The rows of UTF-8 text that holds lines of JSON or one array; `stream` must be at its start."""
    if _is_array(stream.peek(), file):
        if file.lower().removesuffix(".gz").endswith((".jsonl", ".ndjson")):
            account.repair("array_in_jsonl")
        yield from _Array(stream, file).rows()
        return
    decoder = Decoder()
    for number, text, ended in _lines(stream, account):
        if text is None:
            yield number, Reject(file, number, "row", "too_large", f"longer than {ROW_BYTES} bytes")
        else:
            yield number, _line(text, ended, file, number, decoder)


def _is_array(head: bytes, file: str) -> bool:
    """Decide between lines and an array from the first two lines that are not blank."""
    first, _, rest = head.lstrip(WHITESPACE).partition(b"\n")
    first = first.strip(WHITESPACE)
    second, end, _ = rest.lstrip(WHITESPACE).partition(b"\n")
    if first.startswith(b"["):
        # A whole array, on one line or over many. (An array on a line with others after it is a bad row.)
        return not (second and _is_json(first))
    # A first line that stops where a row cannot stop is pretty-printed JSON, unless a whole row follows it.
    opens = first.startswith(b"{") and first[-1:] in b"{[:," and not first.endswith(b"},")
    whole = end or len(head) < PIECE // 2  # a second line that goes on behind the head says nothing
    if opens and second and whole and not _is_json(first) and not _is_json(second):
        raise DataError(
            f"{file} holds a JSON value that is spread over lines; expected one row per line, "
            "or one array of rows: [{...}, {...}]."
        )
    return False


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except RecursionError:
        return True  # deep, but nothing says that it is broken
    except ValueError:
        return False
    return True


def _lines(stream: io.BufferedReader, account: Accounting) -> Iterator[tuple[int, bytes | None, bool]]:
    r"""(number, text, whether it ended) of each line that is not blank; None for the text of one that is too long.

    Lines are cut at \n, and at a lone \r only where that stands between two objects.
    """
    number = 0
    while text := stream.readline(ROW_BYTES):
        number += 1
        ended = text.endswith(b"\n")
        if len(text) >= ROW_BYTES and not ended:
            while (piece := stream.readline(PIECE)) and not piece.endswith(b"\n"):
                pass
            yield number, None, True
            continue
        if text.endswith(b"\r\n"):
            account.repair("crlf")
        text = text.strip(WHITESPACE)
        if not text:
            account.repair("blank_line")
        elif b"\r" not in text:
            yield number, text, ended
        else:
            first, *others = CR.split(text)
            yield number, first, ended or bool(others)
            for piece in others:
                account.repair("lone_cr")
                number += 1
                yield number, piece, True


def _line(text: bytes, ended: bool, file: str, line: int, decoder: Decoder) -> dict[str, Any] | Reject:
    try:
        decoded = text.decode("utf-8")
        value = decoder.whole(decoded)
    except UnicodeDecodeError as problem:
        return Reject(file, line, "row", *not_utf8(text, problem.start))
    except RecursionError:
        return Reject(file, line, "row", "too_deep", "nested too deep")
    except json.JSONDecodeError as problem:
        cut = "" if ended else "; it is the last line and has no end: is the file complete?"
        return Reject(file, line, "row", "invalid_json", f"{problem.msg} at column {problem.pos + 1}{cut}")
    return _row(value, decoded, file, line, decoder.problem)


def _row(value: Any, text: str, file: str, line: int, problem: Problem | None) -> dict[str, Any] | Reject:
    """What JSON allows and a row must not hold."""
    if problem:
        return Reject(file, line, "row", *problem)
    if not isinstance(value, dict):
        return Reject(file, line, "row", "not_an_object", f"a row is an object, this is a {kind_of(value)}")
    if "\\u" in text and (problem := problem_in(value)):  # UTF-8 itself can hold neither NUL nor half a pair
        return Reject(file, line, "row", *problem)
    return value


class _Array:
    """An array, looked at through a window that holds the element at hand and little more."""

    def __init__(self, stream: io.BufferedReader, file: str) -> None:
        self._stream, self._file = stream, file
        self._utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text, self._at, self._ended = "", 0, False
        self._line, self._column = 1, 1  # of the first character in the window

    def rows(self) -> Iterator[tuple[int, dict[str, Any] | Reject]]:
        """The elements one by one. A bad value spoils its row; broken JSON the file, as no row ends are known."""
        decoder, index = Decoder(), 0
        try:
            self._next()
            self._at += 1  # the bracket
            while self._next() != "]" or index:
                index += 1
                value, text = self._value(decoder)
                yield index, self._checked(value, text, index, decoder.problem)
                if self._next() == "]":
                    break
                if self._next() != ",":
                    raise json.JSONDecodeError("expected a comma or the end of the array", self._text, self._at)
                self._at += 1
                self._next()
            self._at += 1
            if self._next():
                raise json.JSONDecodeError("more after the end of the array", self._text, self._at)
        except RecursionError as problem:
            raise DataError(f"{self._file} is nested too deep in element {index} of the array.") from problem
        except json.JSONDecodeError as problem:
            line, column = self._place(problem.pos)
            raise DataError(
                f"{self._file} is not a whole JSON array: {problem.msg} at line {line} column {column} "
                f"(element {index}). Mend it, or save it as JSON lines, where a broken row spoils only itself."
            ) from problem

    def _checked(self, value: Any, text: str, index: int, problem: Problem | None) -> dict[str, Any] | Reject:
        if not text.isascii() and (found := ESCAPED.search(text)):
            before = text[: found.start()].encode("utf-8", "surrogateescape")
            byte = found[0].encode("utf-8", "surrogateescape")
            return Reject(self._file, index, "row", *not_utf8(before + byte, len(before)))
        return _row(value, text, self._file, index, problem)

    def _value(self, decoder: Decoder) -> tuple[Any, str]:
        """The value at hand and its text. The window grows until a comma or bracket is seen behind the value."""
        size = PIECE
        while True:
            broken = None
            try:
                value, end = decoder.decode(self._text, self._at)
                after = SPACE.match(self._text, end).end()  # type: ignore[union-attr]
                if self._ended or self._text[after : after + 1] in (",", "]"):
                    text, self._at = self._text[self._at : end], end
                    return value, text
            except json.JSONDecodeError as problem:
                broken = problem
            if len(self._text) - self._at > ROW_BYTES:
                said = f"{broken.msg}, or" if broken else "found"
                reason = f"{said} no end of the element in {ROW_BYTES} bytes"
                raise json.JSONDecodeError(reason, self._text, broken.pos if broken else self._at)
            if self._ended and broken:
                raise broken
            self._more(size)
            size *= 2

    def _next(self) -> str:
        """The next character that is not whitespace, which is then at hand; "" at the end."""
        while True:
            self._at = SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._more(PIECE)

    def _more(self, size: int) -> None:
        """Read on, and forget what lies behind."""
        self._line, self._column = self._place(self._at)
        piece = self._stream.read(size)
        self._ended = not piece
        self._text, self._at = self._text[self._at :] + self._utf8.decode(piece, final=not piece), 0

    def _place(self, at: int) -> tuple[int, int]:
        """Line and column of a position in the window."""
        newlines = self._text.count("\n", 0, at)
        if not newlines:
            return self._line, self._column + at
        return self._line + newlines, at - self._text.rfind("\n", 0, at)
