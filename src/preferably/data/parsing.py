"""Rows of files as records of a kind of their own, every row accounted for."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from preferably.data.accounting import Accounting, Reject
from preferably.data.columns import BadRow, Row
from preferably.data.load import rows_of
from preferably.feedback.records import Place

Record = TypeVar("Record")


def read_as(
    paths: Sequence[str | Path], parse: Callable[[Row, Place], Record], *, limit: int | None = None
) -> tuple[list[Record], Accounting]:
    """What `parse(row, place)` makes of each row of `paths`, in their order, and what became of every row.

    A row that `parse` refuses with `BadRow` is rejected and counted; `limit` stops after so many records. Raises
    `DataError` for a file that cannot be read, and where no row can be used.
    """
    account = Accounting()
    found: list[Record] = []
    for place, columns in rows_of(paths, account):
        if isinstance(columns, Reject):
            account.reject(columns)
            continue
        try:
            found.append(parse(Row(columns), place))
        except BadRow as bad:
            account.reject(Reject(*place, bad.field, bad.code, bad.reason))
            continue
        account.use()
        if len(found) == limit:
            break
    account.enforce(1.0)
    return found, account
