"""One file or data set to rows. What a file holds decides how it is read; its name decides only for CSV."""

import errno
import io
import os
import re
import shutil
import stat
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal

from preferably.data.accounting import Accounting, Reject
from preferably.data.csv_rows import csv_rows, names_columns
from preferably.data.hub import HubId, hub_id, hub_rows
from preferably.data.json_rows import json_rows
from preferably.data.parquet_rows import parquet_rows
from preferably.data.sources import is_data
from preferably.data.store_rows import store_rows
from preferably.data.streams import PIECE, buffered, inflated, transcoded
from preferably.errors import DataError
from preferably.feedback.store.naming import is_store

Rows = Iterator[tuple[int, dict[str, Any] | Reject]]
Container = Literal["JSON", "CSV", "Parquet"]

GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"
BOM = b"\xef\xbb\xbf"

# The first bytes of files that people pass by mistake, and what to say of them. Nothing is ever unpacked but gzip.
FOREIGN = {
    GZIP: "gzip inside of gzip",
    b"PK\x03\x04": "a zip archive (or a spreadsheet)",
    b"PK\x05\x06": "a zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a rar archive",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"\x04\x22\x4d\x18": "compressed with lz4",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"ARROW1": "an Arrow file (write it with to_parquet)",
    b"\xff\xff\xff\xff": "an Arrow stream (write it with to_parquet)",
    b"PARE": "an encrypted Parquet file",
    b"Obj\x01": "an Avro file",
    b"SQLite format 3": "an SQLite database inside of gzip",
    b"\x93NUMPY": "a NumPy file",
    b"\x89HDF": "an HDF5 file",
    b"\x80\x04": "a pickle, which is a program and never loaded",
    b"\x80\x05": "a pickle, which is a program and never loaded",
    b"%PDF": "a PDF document",
    b"<!DOCTYPE": "an HTML page (was the link that of the page and not of the file?)",
    b"<html": "an HTML page (was the link that of the page and not of the file?)",
    b"version https://git-lfs": "a Git LFS pointer (fetch the file itself: git lfs pull)",
    b"\xff\xfe\0\0": "UTF-32 text",
    b"\0\0\xfe\xff": "UTF-32 text",
}
UTF16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
NAMED: dict[str, Container] = {
    ".jsonl": "JSON", ".ndjson": "JSON", ".json": "JSON", ".csv": "CSV", ".parquet": "Parquet",
}  # fmt: skip
# In a file name: a newline forges a line of the log, half a character cannot be written to it.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
SPECIAL = {
    stat.S_ISFIFO: "a pipe",  # it can block for ever
    stat.S_ISCHR: "a device",  # it may never end
    stat.S_ISBLK: "a device",
    stat.S_ISSOCK: "a socket",
}


def read_rows(path: str | Path, account: Accounting | None = None) -> Rows:
    """Each row of a file, of a store, or of a data set of the hub as (line, row); or (line, `Reject`), if unreadable.

    Lines count from 1: the line on which a row of JSON lines or of CSV starts; the number of the row in a JSON array,
    in Parquet and on the hub; the number of a judgment in a store. `account` is told what was mended on the way.
    Directories are expanded by `sources.sources`. Raises `DataError`, at the first `next()` or where the file breaks,
    for what cannot be read as a whole: no file, no rows, a broken container, a file that changes while it is read.
    """
    file = str(path)
    account = Accounting() if account is None else account
    empty = True
    for row in _rows_of(file, account):
        empty = False
        yield row
    if empty:
        raise DataError(f"{file} holds no rows.")


def _rows_of(file: str, account: Accounting) -> Rows:
    if is_store(file):
        return store_rows(file)
    wanted = None if os.path.lexists(file) else _on_hub(file)
    return hub_rows(wanted, file) if wanted else _file_rows(file, account)


def _on_hub(file: str) -> HubId | None:
    """A mistyped path is not asked of the hub: the name of a data file, or of something in a directory that is here."""
    return None if is_data(file) or os.path.isdir(file.partition("/")[0]) else hub_id(file)


def _file_rows(file: str, account: Accounting) -> Rows:
    before = _stamp(file)
    broken: Exception | None = None
    try:
        with open(file, "rb", buffering=PIECE) as raw:
            yield from _rows(raw, before[0], file, account)
    except (DataError, OSError, EOFError, zlib.error) as problem:
        broken = problem
    try:
        changed = _stamp(file) != before
    except DataError:
        changed = True
    if changed:
        raise DataError(f"{file} changed while it was read; wait until it is complete, and start again.") from broken
    if isinstance(broken, DataError):
        raise broken
    if isinstance(broken, OSError) and broken.strerror:
        raise DataError(f"{file} cannot be read: {broken.strerror}.") from broken
    if broken:
        raise DataError(f"{file} cannot be read: {broken}. Is the file complete?") from broken


def _stamp(file: str) -> tuple[int, ...]:
    """Size, time of change and identity of a regular file with a name that can be shown; `DataError` otherwise."""
    if UNPRINTABLE.search(file):
        raise DataError(f"The file name {ascii(file)} has characters that cannot be shown; rename the file.")
    try:
        found = os.stat(file)
    except OSError as problem:
        if problem.errno == errno.ELOOP:
            raise DataError(f"{file} is a symbolic link that leads back to itself.") from problem
        if os.path.islink(file):
            raise DataError(f"{file} is a symbolic link to {os.readlink(file)!r}, which does not exist.") from problem
        missing = isinstance(problem, FileNotFoundError)
        raise DataError(
            f"{file} {'does not exist' if missing else f'cannot be read: {problem.strerror}'}."
        ) from problem
    if stat.S_ISDIR(found.st_mode):
        raise DataError(f"{file} is a directory; give the files in it.")
    for special, kind in SPECIAL.items():
        if special(found.st_mode):
            raise DataError(f"{file} is {kind}, not a regular file; save the rows as a .jsonl file first.")
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev


def _rows(raw: IO[bytes], size: int, file: str, account: Accounting) -> Rows:
    assert isinstance(raw, io.BufferedReader)
    zipped = raw.peek()[:2] == GZIP
    stream = buffered(inflated(raw, file)) if zipped else raw
    head = stream.peek()
    if not head:
        return
    _refuse_foreign(head, file)
    if head.startswith(PARQUET):
        _refuse_name(file, "Parquet")
        with tempfile.TemporaryFile() if zipped else raw as source:
            if zipped:  # Parquet is read from its end
                shutil.copyfileobj(stream, source, PIECE)
                size = source.tell()
            yield from parquet_rows(source, size, file)
        return
    encoding = UTF16.get(head[:2])
    if encoding:
        stream.read(2)
        stream = buffered(transcoded(stream, encoding, file))
        account.repair("utf16")
    elif head.startswith(BOM):
        stream.read(3)
        account.repair("bom")
    container = _text_container(stream.peek(), file)
    _refuse_name(file, container)
    yield from (csv_rows if container == "CSV" else json_rows)(stream, file, account)


def _refuse_foreign(head: bytes, file: str) -> None:
    kind = next((kind for magic, kind in FOREIGN.items() if head.startswith(magic)), None)
    if kind is None and head[257:262] == b"ustar":
        kind = "a tar archive"
    if kind is None and 0 in head[:2]:
        kind = "binary, or UTF-16 without a byte order mark"
    if kind:
        raise DataError(f"{file} is {kind}; expected JSON lines, a JSON array, CSV (in UTF-8) or Parquet, also .gz.")


def _text_container(head: bytes, file: str) -> Container:
    """JSON begins with a bracket. CSV can begin with anything: it is told by its name, or by columns that we know."""
    start = head.lstrip(b" \t\r\n")
    if start.startswith((b"{", b"[")):
        return "JSON"
    if _named(file) == "Parquet":
        raise DataError(f"{file} is named as Parquet and does not begin as Parquet does. Is the file complete?")
    first = start[:10_000].decode("utf-8", "replace").partition("\n")[0]
    return "CSV" if _named(file) == "CSV" or names_columns(first) else "JSON"


def _named(file: str) -> Container | None:
    """The container that the name claims."""
    return NAMED.get(os.path.splitext(file.lower().removesuffix(".gz"))[1])


def _refuse_name(file: str, container: Container) -> None:
    claimed = _named(file)
    if claimed and claimed != container:
        raise DataError(
            f"{file} is named as {claimed} and holds {container}. If it is the right file, rename it: "
            "its name must say what it holds, or say nothing."
        )
