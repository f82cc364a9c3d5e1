"""What servers replied, kept in the store: a request that was answered is not sent again."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import finalize

from sqlalchemy import select

from preferably.feedback.store.store import Store
from preferably.feedback.store.tables import replies


class KeptReplies:
    """Bodies of replies by the keys of their requests, in a store. Raises `DataError` as the store does.

    A store that is named is opened when it is first needed, and closed with this.
    """

    def __init__(self, store: Store | str | Path) -> None:
        self.place = store

    @cached_property
    def store(self) -> Store:
        """The store."""
        if isinstance(self.place, Store):
            return self.place
        opened = Store(self.place)
        finalize(self, opened.close)
        return opened

    def known(self, keys: Sequence[str]) -> dict[str, Any]:
        """The bodies kept for some thousand requests at most, of those that there are."""
        with self.store.snapshot() as connection:
            found = connection.execute(select(replies.c.id, replies.c.body).where(replies.c.id.in_(keys))).all()
        return {key: json.loads(body) for key, body in found}

    def put(self, key: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep one, unless there is one already; what is kept, once it is on the disk."""
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        row = {"id": key, "body": json.dumps(body), "said_at": now}
        with self.store.writing() as connection:
            self.store.insert(connection, replies, [row])
            kept = connection.execute(select(replies.c.body).where(replies.c.id == key)).scalar_one()
        found: Mapping[str, Any] = json.loads(kept)
        return found
