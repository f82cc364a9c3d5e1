"""Everybody, with how they do."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from preferably.feedback.store.labeling_tables import sessions
from preferably.feedback.store.store import Store
from preferably.labeling.people import People, Person
from preferably.labeling.progress import answers_of, golden_of, seconds_of
from preferably.labeling.project import Project
from preferably.statistics.shares import Share, share

if TYPE_CHECKING:
    from preferably.feedback.labelers import Labeler

STATES = ("in", "reading", "qualifying", "not qualified", "shut out")


@dataclass(frozen=True, slots=True)
class Member:
    """One of those who were let in. What cannot be told is None."""

    person: Person
    state: str  # of STATES
    answers: int  # without those that settle
    seconds: float | None  # median
    gold: Share | None
    seen: str  # when they last asked for a page; empty where they have no session any more
    labeler: "Labeler | None"  # what their labels are worth

    @property
    def agrees(self) -> float | None:
        """How often others say the same."""
        return self.labeler.agrees.value if self.labeler and self.labeler.agrees else None

    @property
    def reliability(self) -> float | None:
        """The chance to pick the better one."""
        return self.labeler.reliability.value if self.labeler and self.labeler.reliability else None


def roster_of(store: Store, project: Project, labelers: "Mapping[str, Labeler]") -> list[Member]:
    """Everybody, in the order in which they came; `labelers` are what labels are worth, by name."""
    answers, seconds, golden = answers_of(store), seconds_of(store), golden_of(store)
    with store.snapshot() as connection:
        last = select(sessions.c.person, func.max(sessions.c.seen_at)).group_by(sessions.c.person)
        seen = {person: at for person, at in connection.execute(last)}
    found = []
    for person in People(store).all():
        times = seconds.get(person.id)
        found.append(Member(
            person, state_of(person, project), answers.get(person.id, 0), median(times) if times else None,
            share(*golden.get(person.id, (0, 0))), seen.get(person.id, ""), labelers.get(person.name),
        ))  # fmt: skip
    return found


def state_of(person: Person, project: Project) -> str:
    """How far somebody has come on the way to the tasks: one of `STATES`."""
    if not person.active:
        return "shut out"
    told = person.qualification or {}
    if person.read != project.version and (project.guidelines or project.examples or project.demographics):
        return "reading"
    if person.role == "labeler" and project.qualification.items and not told.get("passed"):
        taken = told.get("tries", 0) if told.get("version") == project.version else 0
        return "not qualified" if taken >= project.qualification.tries else "qualifying"
    return "in"
