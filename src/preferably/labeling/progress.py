"""How far the labeling is: batch by batch, day by day, and how fast people are."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Subquery, and_, case, func, select

from preferably.feedback.store.labeling_tables import people, tasks, turns
from preferably.feedback.store.store import Store
from preferably.feedback.store.tables import judgments
from preferably.labeling.clock import Clock


@dataclass(frozen=True, slots=True)
class Batch:
    """What was queued under one name. Gold counts in `gold` and `answers_gold` alone: as many people get it as like."""

    name: str
    kinds: tuple[str, ...]
    tasks: int  # without gold
    gold: int
    done: int  # tasks that as many people answered as are wanted
    closed: int  # tasks that nobody is given any more, though more answers were wanted
    wanted: int  # answers
    given: int  # of those wanted
    answers: int  # all, also those above what was wanted
    answers_gold: int
    leased: int  # turns
    overlap: tuple[int, int]  # the least and the most of its tasks; 0 where all of it is gold
    priority: tuple[float, float]

    @property
    def left(self) -> int:
        """Answers that are still to come; of closed tasks none are."""
        return self.wanted - self.given

    @property
    def is_closed(self) -> bool:
        """Whether nobody is given anything of it, though not all was answered."""
        return self.closed > 0 and self.done + self.closed == self.tasks


@dataclass(frozen=True, slots=True)
class Turns:
    """What became of the turns that people were given, without those that settle."""

    answered: int
    leased: int
    over: int  # of those leased, whose time has run out: whoever asks next gets them
    lapsed: int
    skipped: int


def answers_by_task() -> Subquery:
    """Of each task that somebody was given: `task`, turns that were `answered`, and those on lease (`leased`)."""
    counts = [
        func.sum(case((turns.c.state == state, 1), else_=0)).label(state) for state in ("answered", "leased")
    ]  # fmt: skip
    return select(turns.c.task, *counts).where(~turns.c.deciding).group_by(turns.c.task).subquery("by_task")


def batches_of(store: Store) -> list[Batch]:
    """Every batch, in the order in which they were queued."""
    by_task = answers_by_task()
    answered, leased = func.coalesce(by_task.c.answered, 0), func.coalesce(by_task.c.leased, 0)
    plain, done = tasks.c.gold == "", answered >= tasks.c.overlap
    shut = and_(plain, ~done, ~tasks.c.open)
    wanted = case((shut, answered), else_=tasks.c.overlap)

    def total(value: object, which: object = plain) -> object:
        return func.sum(case((which, value), else_=0))  # type: ignore[call-overload]

    query = select(
        tasks.c.batch, func.min(tasks.c.number), total(1), total(1, ~plain), total(1, and_(plain, done)),
        total(1, shut), total(wanted), total(case((done, tasks.c.overlap), else_=answered)), total(answered),
        total(answered, ~plain), func.sum(leased), func.min(case((plain, tasks.c.overlap))),
        func.max(case((plain, tasks.c.overlap))), func.min(tasks.c.priority), func.max(tasks.c.priority),
    ).select_from(tasks.outerjoin(by_task, by_task.c.task == tasks.c.number))  # fmt: skip
    kinds: dict[str, list[str]] = {}
    with store.snapshot() as connection:
        rows = connection.execute(query.group_by(tasks.c.batch).order_by(func.min(tasks.c.number))).all()
        for batch, kind in connection.execute(select(tasks.c.batch, tasks.c.kind).distinct()):
            kinds.setdefault(batch, []).append(kind)
    return [
        Batch(name, tuple(sorted(kinds[name])), *map(int, counts), (low or 0, high or 0), (least, most))
        for name, _, *counts, low, high, least, most in rows
    ]


def turns_of(store: Store, clock: Clock) -> Turns:
    """What became of all turns until now."""
    over = case((and_(turns.c.state == "leased", (turns.c.boot != clock.boot) | (turns.c.until < clock.steady())), 1))
    query = select(turns.c.state, func.count(), func.count(over)).where(~turns.c.deciding).group_by(turns.c.state)
    with store.snapshot() as connection:
        rows = {state: (count, late) for state, count, late in connection.execute(query)}
    count = {state: rows.get(state, (0, 0))[0] for state in ("answered", "leased", "lapsed", "skipped")}
    return Turns(over=rows.get("leased", (0, 0))[1], **count)


def days_of(store: Store) -> dict[str, int]:
    """Answers by day (UTC, ISO 8601), in order, without those that settle; days without one are left out."""
    day = func.substr(turns.c.done_at, 1, 10)
    answered = (turns.c.state == "answered") & ~turns.c.deciding
    query = select(day, func.count()).where(answered).group_by(day).order_by(day)
    with store.snapshot() as connection:
        return {name: count for name, count in connection.execute(query)}


def seconds_of(store: Store) -> dict[str, list[float]]:
    """By person (their id), the seconds that each of their answers took, corrections among them; without those that
    settle, and those whose browser told no time."""
    query = select(turns.c.person, judgments.c.seconds).select_from(
        turns.join(judgments, judgments.c.seed == turns.c.seed)
    ).where(judgments.c.seconds.is_not(None), ~turns.c.deciding)  # fmt: skip
    found: dict[str, list[float]] = {}
    with store.snapshot() as connection:
        for person, seconds in connection.execute(query):
            found.setdefault(person, []).append(seconds)
    return found


def golden_of(store: Store) -> dict[str, tuple[int, int]]:
    """By person, how many tasks of known answer they did rightly, and how many they did."""
    right = func.sum(case((turns.c.right, 1), else_=0))
    query = select(turns.c.person, right, func.count()).where(
        turns.c.right.is_not(None), turns.c.state == "answered", ~turns.c.deciding
    ).group_by(turns.c.person)  # fmt: skip
    with store.snapshot() as connection:
        return {person: (int(good), count) for person, good, count in connection.execute(query)}


def answers_of(store: Store) -> dict[str, int]:
    """By person, how many tasks they answered; what they settled is left out."""
    query = select(turns.c.person, func.count()).where(turns.c.state == "answered", ~turns.c.deciding)
    with store.snapshot() as connection:
        return {person: count for person, count in connection.execute(query.group_by(turns.c.person))}


def filled_quotas(store: Store, quotas: Mapping[str, int]) -> dict[str, int]:
    """Of the groups with a quota, those that gave, or have on lease, as much as is wanted of them; and how much."""

    def given(connection: Connection) -> dict[str, int]:
        query = select(people.c.labeler_group, func.count()).select_from(turns.join(people).join(tasks)).where(
            turns.c.state.in_(("leased", "answered")), tasks.c.gold == "", ~turns.c.deciding
        ).group_by(people.c.labeler_group)  # fmt: skip
        return {group: count for group, count in connection.execute(query)}

    with store.snapshot() as connection:
        counts = given(connection)
    return {group: counts.get(group, 0) for group, most in quotas.items() if counts.get(group, 0) >= most}
