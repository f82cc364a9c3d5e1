"""Figures that take a while: worked out beside the requests, and kept with the state of the labels that they are of.

Of many judgments that is done in a process of its own: a thread would take turns with the votes.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import func, select

from preferably.feedback.store.labeling_tables import people
from preferably.feedback.store.store import Store
from preferably.feedback.store.tables import judgments
from preferably.labeling.beside import beside
from preferably.labeling.disputed import Disputed, disputed_of, known_in
from preferably.labeling.lessons import Lessons, lessons_of

if TYPE_CHECKING:
    from preferably.feedback.worth import Worth

T = TypeVar("T")
WAIT = 1.0  # seconds that a page waits for a figure
LEAST = 10  # times what it took last, for which a figure is kept while labels come in
MANY = 1000  # judgments from which on a process is worth its start, a second or two


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """A figure, None where it is still being worked out; and how many judgments have come since."""

    value: T | None
    behind: int = 0
    fault: str = ""  # why there is none, where that failed


class Kept(Generic[T]):
    """One figure of a store. Any number of threads may ask for it; one at a time works it out."""

    def __init__(self, store: Store, make: Callable[[Store], T], many: int = MANY) -> None:
        self.store, self.make, self.many = store, make, many
        self.lock = threading.Lock()
        self.told: tuple[Any, T] | None = None  # the state it is of, and the figure
        self.fault = ""
        self.took, self.at = 0.0, 0.0  # seconds; by the steady clock
        self.working: threading.Thread | None = None

    def now(self, wait: float = WAIT) -> Told[T]:
        """The figure of the store as it is, if it is ready within `wait` seconds; else the one before."""
        state = _state_of(self.store)
        with self.lock:
            fresh = self.told is not None and self.told[0] == state
            recent = self.told is not None and self.told[0][1] == state[1] and monotonic() - self.at < LEAST * self.took
            if not fresh and not recent and self.working is None:
                self.working = threading.Thread(target=self._work, name="figures", daemon=True)
                self.working.start()
            working = self.working
        if not fresh and working is not None:
            working.join(wait)
        with self.lock:
            if self.told is None:
                return Told(None, fault=self.fault)
            made_of, value = self.told
        return Told(value, max(0, state[0] - made_of[0]))

    def forget(self) -> None:
        """Tell nothing of what was worked out before: it names somebody who is to be named no more."""
        with self.lock:
            self.told = None

    def _work(self) -> None:
        begun = monotonic()
        try:
            state = _state_of(self.store)
            found = beside(self.make, self.store) if state[0] >= self.many else self.make(self.store)
            made, fault = (state, found), ""
        except Exception as error:  # a page tells it; the next one tries again
            logging.getLogger(__name__).exception("A figure could not be worked out.")
            made, fault = None, str(error)
        with self.lock:
            self.told, self.fault = made or self.told, fault
            self.at, self.took, self.working = monotonic(), monotonic() - begun, None


class Figures:
    """The figures of a store that take a while."""

    def __init__(self, store: Store, wait: float = WAIT, many: int = MANY) -> None:
        self.wait = wait
        self._worth: Kept[tuple[Worth | None, list[Disputed]]] = Kept(store, _worth, many)
        self._lessons: Kept[Lessons] = Kept(store, lessons_of, many)

    def worth(self) -> "Told[tuple[Worth | None, list[Disputed]]]":
        """What the labels are worth (None while there is no verdict; its `disputes` without the prompts), and the
        disputed ones."""
        return self._worth.now(self.wait)

    def forget(self) -> None:
        """Tell nothing of what was worked out before."""
        self._worth.forget()

    def lessons(self) -> Told[Lessons]:
        """What training would learn from."""
        return self._lessons.now(self.wait)


def _worth(store: Store) -> "tuple[Worth | None, list[Disputed]]":
    from preferably.feedback.disputes import Disputes  # half of the time that a server takes to start
    from preferably.feedback.store.labels_read import gold_in, roles_in, said_in
    from preferably.feedback.worth import worth_of

    said = said_in(store)
    found = worth_of(said, roles=roles_in(store), gold=gold_in(store)) if said else None
    if found is None:
        return None, []
    disputed = disputed_of(found, said, known_in(store))
    # Texts of thousands of prompts would go from one process to the other, and hold up what is asked meanwhile.
    return replace(found, disputes=Disputes([], found.disputes.usual, found.disputes.unanimous)), disputed


def _state_of(store: Store) -> tuple[int, Any]:
    """What figures depend on: how many judgments there are, and the parts that people have."""
    with store.snapshot() as connection:
        count = connection.execute(select(func.count()).select_from(judgments)).scalar_one()
        roles = connection.execute(select(people.c.name, people.c.role).order_by(people.c.name)).all()
    return count, tuple(map(tuple, roles))
