"""The disk: files and directories that are there whole or not at all, and what goes wrong with a write, in words."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from preferably.errors import CheckpointError

FULL = (errno.ENOSPC, errno.EDQUOT)
_CODE = re.compile(r"\(os error (\d+)\)")


class NoSpaceError(CheckpointError):
    """The disk is full: nothing was changed, and writing can be tried again later."""

    exit_code = 75  # what sysexits.h calls a temporary failure


@contextmanager
def telling(path: Path, comfort: str = "") -> Iterator[None]:
    """Turns what the system says while `path` is written into an error that a user can act on.

    Raises `NoSpaceError` for a full disk and `CheckpointError` for anything else of the system, `comfort` at its end.
    """
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        # safetensors gives the code in words only: "I/O error: No space left on device (os error 28)".
        said = _CODE.search(str(error))
        code = error.errno if isinstance(error, OSError) else int(said[1]) if said else None
        if code in FULL:
            raise NoSpaceError(f"{path} was not written: the disk is full.{comfort}") from error
        if isinstance(error, OSError) or code is not None:
            raise CheckpointError(f"{path} was not written: {error}.{comfort}") from error
        raise


def sync(path: Path) -> None:
    """Wait until a file, or the list of names in a directory, is on the disk."""
    directory = path.is_dir()
    if directory and os.name == "nt":  # directories cannot be synced there
        return
    descriptor = os.open(path, os.O_RDONLY if directory else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is the old one or the new one at any moment, also after a power cut.

    Raises what `telling` does.
    """
    temporary = path.with_name(path.name + ".tmp")
    with telling(path):
        try:
            temporary.write_bytes(data)
            sync(temporary)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync(path.parent)


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Gives an empty directory to fill, which then takes the place of `path`; a half-filled one never does.

    Raises what `telling` does; what was in `path` is then still there.
    """
    temporary, old = path.with_name(path.name + ".tmp"), path.with_name(path.name + ".old")
    with telling(path):
        for leftover in (temporary, old):
            if leftover.exists():
                shutil.rmtree(leftover)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for file in temporary.iterdir():
                sync(file)
            sync(temporary)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        if path.exists():
            os.rename(path, old)
        os.rename(temporary, path)
        sync(path.parent)
        shutil.rmtree(old, ignore_errors=True)
