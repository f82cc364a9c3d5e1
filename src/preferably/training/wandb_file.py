"""What a file of W&B holds. A killed run leaves one that ends early, and only the file can tell where."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, HEADER = 32768, 7  # bytes
WHOLE, LAST = 1, 4  # kinds of pieces after which a record is complete


def records(file: Path) -> Iterator[Any]:
    """Every whole record (`wandb_internal_pb2.Record`) in the order of the file.

    After a header of 7 bytes it is a log as LevelDB writes it: blocks of 32 KiB, pieces of (checksum, length, kind,
    data), none of them over the end of a block. https://github.com/google/leveldb/blob/main/doc/log_format.md
    """
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # made when it is imported

    data, at, gathered = file.read_bytes(), HEADER, b""
    while at + HEADER <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEADER:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        at += HEADER + length
        if at > len(data):
            return
        gathered += data[at - length : at]
        if kind in (WHOLE, LAST):
            yield Record.FromString(gathered)
            gathered = b""


def last_step(files: Iterator[Path]) -> int:
    """The last step that any of `files` has figures of; -1 where there is none."""
    found = (record for file in files for record in records(file) if record.HasField("history"))
    return max((record.history.step.num for record in found), default=-1)
