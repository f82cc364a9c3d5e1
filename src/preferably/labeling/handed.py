"""Links that are shown once: kept in memory from the form to the page after it, and forgotten there."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

KEPT = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class Links:
    """Links and whom they are for."""

    codes: Sequence[str]
    role: str
    group: str
    name: str  # of the person that it leads back; empty for newcomers


class Handed:
    """Links on their way, by the session that asked for them."""

    def __init__(self) -> None:
        self._links: dict[str, tuple[float, Links]] = {}
        self._lock = threading.Lock()

    def put(self, session: str, links: Links) -> None:
        """Keep links for a session's next page, in the place of those before."""
        with self._lock:
            now = monotonic()
            self._links = {key: one for key, one in self._links.items() if now - one[0] < KEPT}
            self._links[session] = (now, links)

    def take(self, session: str) -> Links | None:
        """The links of a session, once."""
        with self._lock:
            at, links = self._links.pop(session, (0.0, None))
            return links if links and monotonic() - at < KEPT else None
