"""What one person has done so far, and what there is left for them."""

import json
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, func, select

from preferably.feedback.store.codec import group_of
from preferably.feedback.store.labeling_tables import tasks, turns
from preferably.feedback.store.store import Store
from preferably.feedback.store.tables import items
from preferably.labeling.clock import Clock
from preferably.labeling.people import Person
from preferably.labeling.project import Project
from preferably.labeling.queue import Queue
from preferably.labeling.sheet import verdict_of

PAGE = 20  # answers on a page of them
MANY = 500  # tasks left, above which they are not counted
RECENT = 100  # answers that the usual time is of

Nothing = Literal["none", "full", "others", "done"]  # no tasks yet, the quota, all with others, all done


@dataclass(frozen=True, slots=True)
class Pace:
    """How far somebody is."""

    today: int  # answers since midnight, UTC
    all: int
    seconds: float | None  # that an answer usually takes: the median of the last `RECENT`
    left: int  # tasks that they may still get, up to `MANY`
    gold: int  # hidden questions that they answered
    right: int  # and those of them as expected

    @property
    def about_left(self) -> str:
        """Roughly: a count to the unit would stand still at the hidden questions, and tell them."""
        if self.left < 10:
            return "fewer than 10" if self.left else "none"
        return f"more than {MANY}" if self.left == MANY else f"about {self.left // 10 * 10}"


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer in the list of one's own."""

    turn: str
    kind: str
    prompt: str
    verdict: str
    rationale: str
    flags: tuple[str, ...]
    at: str  # UTC, ISO 8601
    changed: bool
    late: bool
    right: bool | None  # of gold; None of everything else


class History:
    """The turns of one person."""

    def __init__(self, store: Store, project: Project, person: Person, clock: Clock) -> None:
        self.store, self.project, self.person, self.clock = store, project, person, clock
        self._mine = (turns.c.person == person.id) & (turns.c.state == "answered")

    def pace(self) -> Pace:
        """How far they are."""
        count = select(func.count()).select_from(turns).where(self._mine)
        with self.store.snapshot() as connection:
            every = connection.execute(count).scalar_one()
            today = connection.execute(count.where(turns.c.done_at >= self.clock.now()[:10])).scalar_one()
            gold = connection.execute(count.where(turns.c.right.is_not(None))).scalar_one()
            right = connection.execute(count.where(turns.c.right)).scalar_one()
            latest = select(turns.c.said).where(self._mine).order_by(turns.c.done_at.desc()).limit(RECENT)
            took = [_last(said).get("seconds") for said in connection.execute(latest).scalars()]
            left = self._left(connection)
        counted = [seconds for seconds in took if seconds is not None]
        return Pace(today, every, median(counted) if counted else None, left, gold, right)

    def page(self, number: int) -> list[Answered]:
        """The answers of a page, counted from 1, the newest first."""
        query = (
            select(turns, tasks.c.kind, items.c.content)
            .select_from(turns.join(tasks).join(items))
            .where(self._mine)
            .order_by(turns.c.done_at.desc(), turns.c.id)
            .limit(PAGE)
            .offset(PAGE * (max(number, 1) - 1))
        )
        with self.store.snapshot() as connection:
            rows = connection.execute(query).mappings().all()
        return [self._answered(row) for row in rows]

    def nothing(self) -> Nothing:
        """Why there is nothing for them now."""
        if Queue(self.store, self.project, self.clock).is_full(self.person):
            return "full"
        with self.store.snapshot() as connection:
            if connection.execute(select(tasks.c.number).limit(1)).first() is None:
                return "none"
            waiting = select(tasks.c.number).where(tasks.c.open, tasks.c.gold == "", ~self._had()).limit(1)
            return "others" if connection.execute(waiting).first() else "done"

    def _had(self) -> Any:
        return select(turns.c.id).where((turns.c.task == tasks.c.number) & (turns.c.person == self.person.id)).exists()

    def _left(self, connection: Connection) -> int:
        free = select(tasks.c.number).where(tasks.c.open, tasks.c.gold == "", tasks.c.free > 0, ~self._had())
        return connection.execute(select(func.count()).select_from(free.limit(MANY).subquery())).scalar_one()

    def _answered(self, row: RowMapping) -> Answered:
        said, answer = json.loads(row["said"]), _last(row["said"])
        prompt = group_of(json.loads(row["content"])).prompt
        asked = next(
            (one.content for one in reversed(prompt) if one.role == "user"), prompt[-1].content if prompt else ""
        )
        return Answered(
            row["id"], row["kind"], asked, verdict_of(row["kind"], answer, self.project), answer.get("rationale", ""),
            tuple(answer.get("flags", ())), row["done_at"], len(said["answers"]) > 1, row["late"],
            row["right"] if self.project.gold.feedback else None,
        )  # fmt: skip


def _last(said: str) -> dict[str, Any]:
    return dict(json.loads(said)["answers"][-1]["answer"])
