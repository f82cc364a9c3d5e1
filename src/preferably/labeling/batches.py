"""What is changed of tasks once they are queued: shut and opened again, asked of more or fewer people, moved up."""

from sqlalchemy import ColumnElement, Connection, case, func, select, update

from preferably.errors import ConfigError
from preferably.feedback.store.labeling_tables import tasks, turns
from preferably.feedback.store.store import Store

MOST = 100  # people that answer one task, as in a project's file
HIGHEST = 1e6  # priority


class Batches:
    """The batches of a store. All that is done here is done while nobody gives out or takes in tasks."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def close(self, batch: str) -> None:
        """Give out nothing of a batch any more; who has one of its tasks on the page may still answer it."""
        with self.store.alone() as connection:
            which = _known(connection, batch)
            connection.execute(update(tasks).where(which).values(open=False))

    def reopen(self, batch: str) -> None:
        """Give out what is still wanted of a batch."""
        with self.store.alone() as connection:
            which = _known(connection, batch)
            wanted = which & ((tasks.c.gold != "") | (_turns("answered") < tasks.c.overlap))
            connection.execute(update(tasks).where(wanted).values(open=True))

    def ask(self, batch: str, overlap: int) -> None:
        """Have `overlap` people answer each task of a batch. Tasks that are done are opened again where more are
        wanted now, unless the batch was closed. Raises `ConfigError` for a number that is none."""
        if not 1 <= overlap <= MOST:
            raise ConfigError(f"From 1 to {MOST} people answer a task; got {overlap}.")
        with self.store.alone() as connection:
            which = _known(connection, batch) & (tasks.c.gold == "")
            answered = _turns("answered")
            shut = select(func.count()).where(which, ~tasks.c.open, answered < tasks.c.overlap)
            closed = connection.execute(shut).scalar_one() > 0
            is_open = case((answered >= overlap, False), else_=tasks.c.open if closed else True)
            # Below zero where more have it already than are wanted now: what they give back goes to nobody.
            free = overlap - _turns("answered", "leased")
            connection.execute(update(tasks).where(which).values(overlap=overlap, free=free, open=is_open))

    def prefer(self, batch: str, priority: float) -> None:
        """Give a batch another priority; the larger comes first. Raises `ConfigError` for a number that is none."""
        if not abs(priority) <= HIGHEST:
            raise ConfigError(f"A priority is a number from {-HIGHEST:,.0f} to {HIGHEST:,.0f}; got {priority}.")
        with self.store.alone() as connection:
            connection.execute(update(tasks).where(_known(connection, batch)).values(priority=priority))


def _known(connection: Connection, batch: str) -> ColumnElement[bool]:
    """The tasks of a batch. Raises `ConfigError` where there is none of that name."""
    which = tasks.c.batch == batch
    if not connection.execute(select(func.count()).where(which)).scalar_one():
        raise ConfigError(f"There is no batch {batch!r:.80}.")
    return which


def _turns(*states: str) -> ColumnElement[int]:
    """How many turns of a task are in one of the states, without those that settle."""
    count = select(func.count()).where(turns.c.task == tasks.c.number, turns.c.state.in_(states), ~turns.c.deciding)
    return count.correlate(tasks).scalar_subquery()
