"""The tasks of a store as a list: narrowed, ordered and cut in the database."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, case, func, select

from preferably.feedback.records import Group
from preferably.feedback.store.codec import group_of
from preferably.feedback.store.labeling_tables import tasks
from preferably.feedback.store.store import Store
from preferably.feedback.store.tables import items
from preferably.labeling.progress import answers_by_task

STATES = ("open", "done", "closed", "gold")


@dataclass(frozen=True, slots=True)
class Asked:
    """A task, with what it asks about."""

    row: RowMapping  # of `tasks`, with `answered`, `leased` and `state`
    group: Group


def tasks_of(
    store: Store, filters: Mapping[str, str | int], sort: str, falling: bool, *, size: int, page: int
) -> tuple[list[Asked], int]:
    """One page of the tasks, and how many there are in all. `filters` are of `number`, `batch`, `kind` and `state`,
    `sort` is `number`, `priority` or `answers`; whoever calls has looked that they are."""
    by_task = answers_by_task()
    answered, leased = func.coalesce(by_task.c.answered, 0), func.coalesce(by_task.c.leased, 0)
    state = case(
        (tasks.c.gold != "", "gold"), (answered >= tasks.c.overlap, "done"), (tasks.c.open, "open"), else_="closed"
    )
    columns: dict[str, Any] = {"number": tasks.c.number, "batch": tasks.c.batch, "kind": tasks.c.kind, "state": state}
    orders: dict[str, Any] = {"number": tasks.c.number, "priority": tasks.c.priority, "answers": answered}
    query = select(
        tasks, answered.label("answered"), leased.label("leased"), state.label("state"), items.c.content
    ).select_from(tasks.join(items).outerjoin(by_task, by_task.c.task == tasks.c.number))  # fmt: skip
    for name, value in filters.items():
        query = query.where(columns[name] == value)
    order = orders[sort].desc() if falling else orders[sort]
    with store.snapshot() as connection:
        counted = query.with_only_columns(func.count(), maintain_column_froms=True)
        total: int = connection.execute(counted).scalar_one()
        number = min(page, max(1, -(-total // size)))
        cut = query.order_by(order, tasks.c.number).limit(size).offset((number - 1) * size)
        rows = connection.execute(cut).mappings().all()
    return [Asked(row, group_of(json.loads(row["content"]))) for row in rows], total
