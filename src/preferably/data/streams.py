"""Bytes on their way from a file to a reader: unzipped, transcoded, and never more of them than a window."""

import codecs
import gzip
import io
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from preferably.errors import DataError

PIECE = 2**18  # bytes that are held at a time, and that decide what a file holds

# Text shrinks to a third or a tenth in gzip; zeros shrink to 1/1028, the most that gzip can do.
BOMB_RATIO = 200
BOMB_FREE = 64 * 2**20  # bytes from which the ratio counts: a small file may repeat one row
BOMB_BYTES = 2**38  # 256 GiB


class Chunks(io.RawIOBase):
    """A stream over an iterator of bytes. Every read is filled as far as the iterator goes, so that a peek is too."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; the number of bytes, less than its length only at the end."""
        view = memoryview(buffer)
        at = 0
        while at < len(view):
            if not self._left:
                piece = next(self._chunks, None)
                if piece is None:
                    break
                self._left = memoryview(piece)
            count = min(len(view) - at, len(self._left))
            view[at : at + count] = self._left[:count]
            self._left = self._left[count:]
            at += count
        return at


def buffered(chunks: Iterable[bytes]) -> io.BufferedReader:
    """A stream that can be peeked into for `PIECE` bytes."""
    return io.BufferedReader(Chunks(chunks), PIECE)


def inflated(raw: io.BufferedReader, file: str) -> Iterator[bytes]:
    """The contents of a gzip stream. `DataError` where they are out of all proportion to what is stored."""
    for _ in islice(_inflated(raw, file), BOMB_FREE // PIECE + 1):
        pass  # rows cost a hundred times what these bytes do, so a bomb is known as one before any row is read
    raw.seek(0)
    yield from _inflated(raw, file)


def _inflated(raw: io.BufferedReader, file: str) -> Iterator[bytes]:
    written = 0
    with gzip.GzipFile(fileobj=raw) as unzipped:
        while piece := unzipped.read(PIECE):
            written += len(piece)
            if written > BOMB_BYTES:
                raise DataError(f"{file} unzips to more than {BOMB_BYTES} bytes; unzip it, look at it, and split it.")
            if written > BOMB_FREE and written > BOMB_RATIO * raw.tell():
                raise DataError(
                    f"{file} unzips to more than {BOMB_RATIO} times its size, which rows of text do not do; "
                    "expected data, not a gzip bomb. Unzip it and look at it first."
                )
            yield piece


def transcoded(stream: io.BufferedReader, encoding: str, file: str) -> Iterator[bytes]:
    """The text of a stream in `encoding` as UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)()
    read = 0
    while True:
        piece = stream.read(PIECE)
        try:
            text = decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as problem:
            raise DataError(
                f"{file} begins as {encoding} and is not in the {PIECE} bytes from {read}: {problem.reason}; "
                "save it as UTF-8."
            ) from problem
        if text:
            yield text.encode("utf-8")
        if not piece:
            return
        read += len(piece)
