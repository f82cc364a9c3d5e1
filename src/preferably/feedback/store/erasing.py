"""The one change that judgments know: whoever wants to be forgotten gives them another name."""

from typing import Any

from sqlalchemy import Connection, select, update

from preferably.errors import DataError
from preferably.feedback.store.codec import digest_of, digest_of_sent
from preferably.feedback.store.tables import judgments

SENT = (
    "id", "item", "kind", "verdict", "state", "labeler", "labeler_kind", "labeler_group", "seed", "shown", "guideline",
    "principle", "rationale", "seconds", "supersedes",
)  # fmt: skip


def sign_anew(connection: Connection, old: str, new: str) -> int:
    """Have the judgments by `old` be by `new`, a name that nobody has, and return how many they are. What they say,
    when and of what stays. Raises `DataError` for a name that somebody has, and a judgment that was tampered with."""
    if connection.execute(select(judgments.c.id).where(judgments.c.labeler == new).limit(1)).first():
        raise DataError(f"There are judgments by {new!r} already.")
    columns = [judgments.c[name] for name in (*SENT, "digest")]
    rows = connection.execute(select(*columns).where(judgments.c.labeler == old)).mappings().all()
    for row in rows:
        sent: dict[str, Any] = {name: row[name] for name in SENT}
        if row["digest"] not in (digest_of_sent(sent), digest_of(sent)):
            raise DataError(f"The judgment {row['id']!r} does not hold what was sent; nothing was changed.")
        changed = update(judgments).where(judgments.c.id == row["id"])
        connection.execute(changed.values(labeler=new, digest=digest_of_sent(sent | {"labeler": new})))
    return len(rows)
