"""Figures that take a while: worked out beside the requests, and kept with the state of the labels that they are of."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Generic, TypeVar

from sqlalchemy import func, select

from preferably.feedback.store.labeling_tables import people
from preferably.feedback.store.labels_read import gold_in, roles_in, said_in
from preferably.feedback.store.store import Store
from preferably.feedback.store.tables import judgments
from preferably.feedback.worth import Worth, worth_of
from preferably.labeling.disputed import Disputed, disputed_of
from preferably.labeling.lessons import Lessons, lessons_of

T = TypeVar("T")
WAIT = 1.0  # seconds that a page waits for a figure
LEAST = 10  # times what it took last, for which a figure is kept while labels come in


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """A figure, None where it is still being worked out; and how many judgments have come since."""

    value: T | None
    behind: int = 0
    fault: str = ""  # why there is none, where that failed


class Kept(Generic[T]):
    """One figure of a store. Any number of threads may ask for it; one at a time works it out."""

    def __init__(self, store: Store, make: Callable[[Store], T]) -> None:
        self.store, self.make = store, make
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
            made, fault = (state, self.make(self.store)), ""
        except Exception as error:  # a page tells it; the next one tries again
            logging.getLogger(__name__).exception("A figure could not be worked out.")
            made, fault = None, str(error)
        with self.lock:
            self.told, self.fault = made or self.told, fault
            self.at, self.took, self.working = monotonic(), monotonic() - begun, None


class Figures:
    """The figures of a store that take a while."""

    def __init__(self, store: Store, wait: float = WAIT) -> None:
        self.wait = wait
        self._worth: Kept[tuple[Worth | None, list[Disputed]]] = Kept(store, _worth)
        self._lessons: Kept[Lessons] = Kept(store, lessons_of)

    def worth(self) -> Told[tuple[Worth | None, list[Disputed]]]:
        """What the labels are worth (None while there is no verdict), and the disputed ones."""
        return self._worth.now(self.wait)

    def forget(self) -> None:
        """Tell nothing of what was worked out before."""
        self._worth.forget()

    def lessons(self) -> Told[Lessons]:
        """What training would learn from."""
        return self._lessons.now(self.wait)


def _worth(store: Store) -> tuple[Worth | None, list[Disputed]]:
    said = said_in(store)
    found = worth_of(said, roles=roles_in(store), gold=gold_in(store)) if said else None
    return found, disputed_of(found, said) if found else []


def _state_of(store: Store) -> tuple[int, Any]:
    """What figures depend on: how many judgments there are, and the parts that people have."""
    with store.snapshot() as connection:
        count = connection.execute(select(func.count()).select_from(judgments)).scalar_one()
        roles = connection.execute(select(people.c.name, people.c.role).order_by(people.c.name)).all()
    return count, tuple(map(tuple, roles))
