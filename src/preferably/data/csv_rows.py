"""CSV to rows: a header, then a row a record. Cells are text, but for the columns that never hold text."""

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from typing import Any

from preferably.data.accounting import Accounting, Reject
from preferably.data.json_values import Decoder, not_utf8, problem_in
from preferably.data.streams import PIECE
from preferably.errors import DataError

CELL = 128 * 1024  # characters; a longer cell is more often a quote that was never closed than text
RECORD = 16 * 2**20  # characters of one row, over all its lines

# Columns that hold something other than text in the shapes of formats.py: their cells are read as JSON.
JSON_COLUMNS = frozenset(
    """label kto_tag strength margin score score_chosen score_rejected choice preference ranks ratings completions
    messages conversations conversation_a conversation_b tools history models""".split()
)
TEXT_COLUMNS = frozenset(
    """prompt chosen rejected completion instruction input output system text response_a response_b winner output_1
    output_2""".split()
)
VERDICTS = frozenset(["tie", "both_bad", "unsure"])  # the words that `choice` may hold beside a number
BOOLEANS = {"True": True, "TRUE": True, "False": False, "FALSE": False}  # as Python and spreadsheets write them
SEPARATOR = re.compile(r"[,;\t|]")
REFUSED = re.compile("[\0\udc80-\udcff]")  # NUL, and bytes that were not UTF-8
MESSAGES = re.compile(r"""\s*\[\s*\{\s*['"](role|content|from|value)['"]\s*:""")


def names_columns(line: str) -> bool:
    """Whether the first line of a file is a header that names columns we know, with whichever separator."""
    names = {name.strip().strip('"') for name in SEPARATOR.split(line)}
    return len(names & (JSON_COLUMNS | TEXT_COLUMNS)) > 1


def csv_rows(
    stream: io.BufferedReader, file: str, account: Accounting
) -> Iterator[tuple[int, dict[str, Any] | Reject]]:
    """The records of UTF-8 text by the names of its header, each with the physical line where it starts.

    A record that is not CSV is rejected and reading goes on at the line after the one where it starts, so that a quote
    that is never closed cannot swallow the rows behind it.
    """
    csv.field_size_limit(max(csv.field_size_limit(), RECORD))  # for the whole process; shorter cells are cut by CELL
    lines = _Lines(stream)
    try:
        yield from _records(lines, file, account)
    finally:
        lines.detach()


def _records(lines: "_Lines", file: str, account: Accounting) -> Iterator[tuple[int, dict[str, Any] | Reject]]:
    records = csv.reader(lines, strict=True)
    header: list[str] = []
    decoder = Decoder()
    while True:
        line = lines.begin()
        try:
            cells = next(records, None)
        except (csv.Error, _TooLarge) as problem:
            if not header:
                raise DataError(f"{file}:{line} is not the header of a CSV file: {problem}.") from problem
            lines.again()
            code = "too_large" if isinstance(problem, _TooLarge) else "invalid_csv"
            yield line, Reject(file, line, "row", code, str(problem))
            continue
        if cells is None:
            return
        if lines.last.endswith("\r"):
            account.repair("lone_cr")
        if not cells:
            account.repair("blank_line")
        elif not header:
            header = _header(cells, file)
        else:
            yield line, _row(cells, header, file, line, account, decoder)


def _header(cells: list[str], file: str) -> list[str]:
    header = [cell.strip() for cell in cells]
    if REFUSED.search("".join(header)):
        raise DataError(f"{file} has a header that is not UTF-8 text; save the file as UTF-8.")
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise DataError(f"{file} has two columns named {twice[0]!r}; rename or remove one of them.")
    if len(header) == 1 and names_columns(header[0]) and (found := SEPARATOR.search(header[0])):
        raise DataError(f"{file} is separated by {found[0]!r}; expected commas. Save it as CSV with commas.")
    return header


def _row(
    cells: list[str], header: list[str], file: str, line: int, account: Accounting, decoder: Decoder
) -> dict[str, Any] | Reject:
    if len(cells) != len(header):
        reason = f"{len(cells)} cells, and the header has {len(header)} columns"
        return Reject(file, line, "row", "wrong_columns", reason)
    row: dict[str, Any] = {}
    for name, cell in zip(header, cells, strict=True):
        try:
            _check(cell)
            if name not in JSON_COLUMNS:
                row[name] = _text(cell, account, decoder)
            elif cell.strip():  # an empty cell is a column that this row lacks
                row[name] = _value(name, cell.strip(), account, decoder)
        except _BadCell as bad:
            return Reject(file, line, name[:80], *bad.problem)
    return row


class _BadCell(Exception):
    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.problem = (code, reason)


def _check(cell: str) -> None:
    if len(cell) > CELL:
        raise _BadCell("too_large", f"a cell of more than {CELL} characters")
    if found := REFUSED.search(cell):
        if found[0] == "\0":
            raise _BadCell("nul", "a NUL character in the cell")
        before = cell[: found.start()].encode("utf-8")
        raise _BadCell(*not_utf8(before + found[0].encode("utf-8", "surrogateescape"), len(before)))


def _text(cell: str, account: Accounting, decoder: Decoder) -> Any:
    """A cell of text; or the messages that it spells out: nobody means such a list as the text to learn."""
    if MESSAGES.match(cell):
        value = _json(cell, decoder)
        if all(isinstance(item, dict) and ("role" in item or "from" in item) for item in value):
            account.repair("messages_in_cell")
            return value
    return cell


def _value(name: str, cell: str, account: Accounting, decoder: Decoder) -> Any:
    if cell in BOOLEANS:
        account.repair("boolean_spelling")
        return BOOLEANS[cell]
    if name == "choice" and cell in VERDICTS:
        return cell
    return _json(cell, decoder)


def _json(cell: str, decoder: Decoder) -> Any:
    try:
        value = decoder.whole(cell)
    except (ValueError, RecursionError) as problem:
        hint = " (a list as Python prints it? write it with json.dumps)" if cell.startswith(("[{'", "['")) else ""
        raise _BadCell("bad_cell", f"expected JSON, got {cell[:40]!r}: {problem}{hint}") from problem
    if problem_found := decoder.problem or problem_in(value):
        raise _BadCell(*problem_found)
    return value


class _TooLarge(Exception):
    """A record, or one line of it, goes on beyond `RECORD` characters."""


class _Lines:
    r"""The physical lines of a text, with their ends (\n, \r\n or \r), some of which can be read again."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._text = io.TextIOWrapper(stream, "utf-8", errors="surrogateescape", newline="")
        self._number = 0
        self._record: list[str | None] = []  # None for a line that was too long
        self._size = 0
        self._waiting: deque[str | None] = deque()

    def detach(self) -> None:
        """Leave the stream to its owner, who closes it."""
        self._text.detach()

    def begin(self) -> int:
        """A record begins; the number of its first line."""
        self._record, self._size = [], 0
        return self._number + 1

    def again(self) -> None:
        """Give back all lines of the record but its first."""
        self._waiting.extendleft(reversed(self._record[1:]))
        self._number -= len(self._record[1:])

    @property
    def last(self) -> str:
        """The last line that was read."""
        return self._record[-1] or ""

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if self._size > RECORD:
            raise _TooLarge(f"no end of the row in {RECORD} characters; is a quote not closed?")
        line = self._waiting.popleft() if self._waiting else self._read()
        if line == "":
            raise StopIteration
        self._number += 1
        self._record.append(line)
        if line is None:
            raise _TooLarge(f"a line of more than {RECORD} characters")
        self._size += len(line)
        return line

    def _read(self) -> str | None:
        line = self._text.readline(RECORD)
        if len(line) < RECORD or line[-1] in "\r\n":
            return line
        while (piece := self._text.readline(PIECE)) and piece[-1] not in "\r\n":
            pass
        return None
