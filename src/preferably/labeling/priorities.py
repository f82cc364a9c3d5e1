"""The order in which what is queued is asked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, update

from preferably.errors import DataError
from preferably.feedback.records import Group
from preferably.feedback.store.codec import group_of
from preferably.feedback.store.labeling_tables import tasks
from preferably.feedback.store.store import Store
from preferably.feedback.store.tables import items


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task that people may still be given."""

    number: int
    group: Group


def open_tasks(store: Store, batch: str) -> list[OpenTask]:
    """The tasks of a batch that are not done, in the order in which they were queued; those whose answer is known
    (gold), which are given out by their share, are not among them. Raises `DataError` for a batch that there is not."""
    wanted = (tasks.c.batch == batch) & tasks.c.open & (tasks.c.gold == "")
    query = select(tasks.c.number, items.c.content).select_from(tasks.join(items)).where(wanted)
    with store.snapshot() as connection:
        rows = connection.execute(query.order_by(tasks.c.number)).all()
        counted = connection.execute(select(tasks.c.batch, func.count()).group_by(tasks.c.batch)).all()
    if batch not in {name for name, _ in counted}:
        there = ", ".join(sorted(name for name, _ in counted)) or "none"
        raise DataError(f"The store {store.name} has no batch {batch!r}; it has: {there}.")
    return [OpenTask(row.number, group_of(json.loads(row.content))) for row in rows]


def prioritize(store: Store, priorities: Mapping[int, float]) -> int:
    """Write the priorities of tasks by their numbers, all or none, the largest to be asked first; how many were still
    open by then."""
    changed = 0
    with store.writing() as connection:
        for number, priority in sorted(priorities.items()):
            which = (tasks.c.number == number) & tasks.c.open
            changed += connection.execute(update(tasks).where(which).values(priority=float(priority))).rowcount
    return changed


def askable(found: Sequence[OpenTask]) -> list[OpenTask]:
    """Those that compare: of one completion nothing can be chosen."""
    return [task for task in found if len(task.group.completions) > 1]
