"""What training would learn from the labels so far, as the command that trains would read them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from preferably.feedback.store.store import Store
from preferably.feedback.store.tables import judgments

if TYPE_CHECKING:
    from preferably.data.accounting import Accounting
    from preferably.data.formats import Feedback

KINDS: "tuple[Feedback, ...]" = ("pairs", "rankings", "labels")  # of dpo and its kin, of reward, of kto


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one kind of feedback comes to: `read = used + deduplicated + the sum of rejected`."""

    feedback: "Feedback"
    groups: int  # pairs, rankings or labelled answers
    read: int  # judgments that were not corrected
    used: int
    deduplicated: int
    rejected: dict[str, int]  # by code (`data.accounting.CODES`)


@dataclass(frozen=True, slots=True)
class Lessons:
    """All kinds that were asked for."""

    kinds: list[Lesson]


def lessons_of(store: Store) -> Lessons:
    """The lessons in a store; none where it holds no judgment."""
    if not store.counts()["judgments"]:
        return Lessons([])
    from preferably.data.load import read_feedback  # which a server does not need before

    found = []
    for feedback in KINDS:
        if feedback == "labels" and not _has_thumbs(store):
            continue  # pairs would give labels too, but less than they say
        loaded = read_feedback([store.place], feedback)
        found.append(_lesson(feedback, len(loaded.groups), loaded.accounting))
    return Lessons(found)


def _has_thumbs(store: Store) -> bool:
    with store.snapshot() as connection:
        return (
            connection.execute(select(judgments.c.id).where(judgments.c.kind == "label").limit(1)).first() is not None
        )


def _lesson(feedback: "Feedback", groups: int, account: "Accounting") -> Lesson:
    return Lesson(feedback, groups, account.read, account.used, account.deduplicated, dict(account.rejected))
