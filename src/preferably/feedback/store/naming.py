"""What names a store. Apart from the rest, as whoever reads a file asks it, and a database takes a while to import."""

import os
import stat
from pathlib import Path

MAGIC = b"SQLite format 3\x00"
SCHEMES = ("sqlite:", "postgresql:", "postgresql+", "postgres:")


def is_url(name: str | Path) -> bool:
    """Whether `name` is the URL of a database of a kind that stores can be in."""
    return str(name).lower().startswith(SCHEMES)


def is_store(name: str | Path) -> bool:
    """Whether `name` is a store rather than a file of rows: a URL of a database, or a regular file of SQLite."""
    if is_url(name):
        return True
    try:
        if not stat.S_ISREG(os.stat(name).st_mode):  # a pipe would wait for somebody to write
            return False
        with open(name, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        return False
