"""What servers replied, kept in the store: a request that was answered is not sent again."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import finalize

from sqlalchemy import select

from preferably.feedback.store.opening import file_of
from preferably.feedback.store.store import Store
from preferably.feedback.store.tables import replies


class KeptReplies:
    """Bodies of replies by the keys of their requests, in a store. Raises `DataError` as the store does.

    What is not there is looked for in the `others`, of which a file may not be there yet. A store that is named is
    opened when it is first needed, and closed with this.
    """

    def __init__(self, store: Store | str | Path, *others: Store | str | Path) -> None:
        self.place, self.others = store, others

    @cached_property
    def store(self) -> Store:
        """The store."""
        return self._opened(self.place)

    @cached_property
    def _elsewhere(self) -> list[Store]:
        places = (one for one in dict.fromkeys(self.others) if str(one) != self.store.place)
        return [self._opened(one) for one in places if isinstance(one, Store) or _is_there(one)]

    def _opened(self, place: Store | str | Path) -> Store:
        if isinstance(place, Store):
            return place
        opened = Store(place)
        finalize(self, opened.close)
        return opened

    def known(self, keys: Sequence[str]) -> dict[str, Any]:
        """The bodies kept for some thousand requests at most, of those that there are."""
        found: dict[str, Any] = {}
        for store in (self.store, *self._elsewhere):
            wanted = replies.c.id.in_([key for key in keys if key not in found])
            with store.snapshot() as connection:
                some = connection.execute(select(replies.c.id, replies.c.body).where(wanted)).all()
            found |= {key: json.loads(body) for key, body in some}
        return found

    def put(self, key: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep one, unless there is one already; what is kept, once it is on the disk."""
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        row = {"id": key, "body": json.dumps(body), "said_at": now}
        with self.store.writing() as connection:
            self.store.insert(connection, replies, [row])
            kept = connection.execute(select(replies.c.body).where(replies.c.id == key)).scalar_one()
        found: Mapping[str, Any] = json.loads(kept)
        return found


def _is_there(place: str | Path) -> bool:
    file = file_of(place)
    return file is None or file.exists()
