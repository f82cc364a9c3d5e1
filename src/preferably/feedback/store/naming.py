"""What names a store. Apart from the rest, as whoever reads a file asks it, and a database takes a while to import."""

from pathlib import Path

MAGIC = b"SQLite format 3\x00"
SCHEMES = ("sqlite:", "postgresql:", "postgresql+", "postgres:")


def is_store(name: str | Path) -> bool:
    """Whether `name` is a store rather than a file of rows: a URL of a database, or a file of SQLite."""
    if str(name).startswith(SCHEMES):
        return True
    try:
        with open(name, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False
