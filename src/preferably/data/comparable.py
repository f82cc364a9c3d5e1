"""What there is to judge: the completions that rows hold, whatever was said of them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from preferably.data.accounting import Accounting, Reject
from preferably.data.columns import Row
from preferably.data.formats import parse_row
from preferably.data.load import rows_of
from preferably.errors import DataError
from preferably.feedback.records import Group, Judged, Judgment
from preferably.feedback.store.codec import digest_of, group_content
from preferably.feedback.store.naming import is_store
from preferably.feedback.store.store import Store


def comparable(
    paths: Sequence[str | Path], *, least: int = 2, keep: str = "", limit: int | None = None,
    people: bool = False, max_rejected: float = 0.01,
) -> tuple[list[Judged], Accounting]:  # fmt: skip
    """The different groups of at least `least` completions in files and stores, with what was said of them, and what
    became of every row.

    `keep` names a column that stays with its group (`Group.columns`); `people` leaves out of stores what models and
    rules said (a file does not say who judged: it is taken for people's). Raises `DataError` as `load_feedback` does.
    """
    found, accounting = read_comparable(paths, least=least, keep=keep, limit=limit, people=people)
    if accounting.read:
        accounting.enforce(max_rejected)
    if not found:
        whom = " that people judged" if people else ""
        raise DataError(f"There are no {least} completions or more of one prompt{whom}, so there is nothing to judge.")
    return found, accounting


def read_comparable(
    paths: Sequence[str | Path], *, least: int = 2, keep: str = "", limit: int | None = None, people: bool = False
) -> tuple[list[Judged], Accounting]:
    """The same, whatever became of the rows: for whoever looks at what can be judged."""
    accounting = Accounting()
    found: dict[str, Judged] = {}
    for name in filter(is_store, map(str, paths)):
        with Store(name, create=False) as store:
            for judged in _by_people(store) if people else store.judged():
                _take(judged, ("store " + store.name, len(found) + 1), least, found, accounting)
    for place, columns in rows_of([path for path in paths if not is_store(path)], accounting):
        read = columns if isinstance(columns, Reject) else _read(columns, place, keep)
        if isinstance(read, Reject):
            accounting.reject(read)
        else:
            _take(read, place, least, found, accounting)
        if limit is not None and len(found) >= limit:
            break
    return list(found.values())[:limit], accounting


def _by_people(store: Store) -> list[Judged]:
    """Every group that people judged, with what they said of it."""
    found: dict[Group, list[Judgment]] = {}
    for entry in store.entries(superseded=False):
        if entry.labeler_kind == "human":
            found.setdefault(entry.group, []).append(entry.judgment)
    return [Judged(group, tuple(said)) for group, said in found.items()]


def _read(columns: dict[str, Any], place: tuple[str, int], keep: str) -> Judged | Reject:
    judged = parse_row(columns, None, place, Row(columns, None))
    if isinstance(judged, Reject) or columns.get(keep) is None:
        return judged
    return replace(judged, group=replace(judged.group, columns=json.dumps({keep: columns[keep]})))


def _take(
    judged: Judged, place: tuple[str, int], least: int, found: dict[str, Judged], accounting: Accounting
) -> None:  # fmt: skip
    if len(judged.group.completions) < least:
        reason = f"{len(judged.group.completions)} completions, where {least} or more are compared"
        accounting.reject(Reject(*place, "completions", "wrong_number", reason))
        return
    name = _name(judged.group)
    if name in found:
        accounting.deduplicate()
    else:
        accounting.use()
        found[name] = judged


def _name(group: Group) -> str:
    """The same for groups of the same prompt and completions, in any order."""
    return digest_of(group_content(group)[0])
