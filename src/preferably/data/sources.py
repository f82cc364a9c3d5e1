"""What people name as data, to what is read one by one: files, and data sets of the hub."""

import os
from pathlib import Path

from preferably.data.accounting import Accounting
from preferably.errors import DataError

ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")
SHOWN = 5  # names that a message quotes


def sources(path: str | Path, account: Accounting) -> list[str]:
    """`path` itself, or, where it is a directory, the data files in it and below, sorted by their paths.

    Hidden files and directories are left out. What is not data by its name is not read, and is entered as a warning.
    `DataError` for a directory that cannot be listed or holds no data.
    """
    if not os.path.isdir(path):
        return [str(path)]
    found, others = _listed(str(path))
    if any(name.endswith(".arrow") for name in others):
        raise DataError(
            f"{path} holds Arrow files, as `save_to_disk` of datasets writes them; expected files of rows. "
            "Write the data set with to_parquet() or to_json()."
        )
    if not found:
        held = f"it holds {', '.join(os.path.basename(name) for name in others[:SHOWN])}" if others else "it is empty"
        raise DataError(f"{path} is a directory without data files ({', '.join(ENDINGS)}, also .gz); {held}.")
    for name in others:
        account.warn("not_data", name)
    return found


def is_data(name: str) -> bool:
    """Whether a file is data, by its name."""
    return name.lower().removesuffix(".gz").endswith(ENDINGS)


def _listed(directory: str) -> tuple[list[str], list[str]]:
    """(data files, others) below `directory`; a link to a directory is not followed and counts as one of the others."""
    found: list[str] = []
    others: list[str] = []

    def refuse(problem: OSError) -> None:
        raise DataError(f"{problem.filename} cannot be listed: {problem.strerror}.") from problem

    for folder, folders, names in os.walk(directory, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in [*names, *links]:
            if not name.startswith("."):
                (found if is_data(name) and name not in links else others).append(os.path.join(folder, name))
    return sorted(found), sorted(others)
