"""What a store knows of its labelers: their judgments in order, the parts they have, their answers to gold."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import func, select

from preferably.errors import ConfigError, DataError
from preferably.feedback.course import Gold
from preferably.feedback.questions import Said
from preferably.feedback.records import Group
from preferably.feedback.store.labeling_tables import people, tasks, turns
from preferably.feedback.store.store import Store
from preferably.feedback.store.tables import judgments
from preferably.feedback.worth import Worth, worth_of


def worth_in(store: Store, *, leads: Sequence[str] = (), seed: int = 0) -> Worth:
    """What the judgments in a store that were not corrected are worth (`feedback.worth`).

    `leads` are labelers that count as leads beside those whom the store has as such. Raises `DataError` where the store
    holds no verdict, and `ConfigError` for a lead who said nothing.
    """
    said = said_in(store)
    if not said:
        raise DataError(f"The store {store.name} holds no verdict yet.")
    names = {one.judgment.labeler for one in said}
    for name in leads:
        if name not in names:
            some = ", ".join(sorted(filter(None, names))[:20]) or "nobody with a name"
            raise ConfigError(f"{name!r} said nothing in {store.name}; those who did: {some}.")
    return worth_of(said, roles=roles_in(store) | dict.fromkeys(leads, "lead"), gold=gold_in(store), seed=seed)


def said_in(store: Store) -> list[Said]:
    """The judgments that ended in a verdict and were not corrected, in the order in which they came."""
    groups: dict[Group, Group] = {}
    return [
        Said(
            groups.setdefault(one.group, one.group), one.judgment, one.seconds, one.shown, one.labeler_kind, one.said_at
        )
        for one in store.entries(superseded=False) if one.judgment.state == "ok"
    ]  # fmt: skip


def roles_in(store: Store) -> dict[str, str]:
    """By name the role (admin, lead, labeler) of everybody who was let into the labeling app."""
    with store.snapshot() as connection:
        return {name: role for name, role in connection.execute(select(people.c.name, people.c.role))}


def time_in(store: Store) -> tuple[float, int] | None:
    """The seconds that people were busy, in how many answers of which that is known, corrected and skipped ones too;
    None where it is known of none."""
    query = select(func.sum(judgments.c.seconds), func.count(judgments.c.seconds)).where(
        judgments.c.labeler_kind == "human"
    )
    with store.snapshot() as connection:
        seconds, answers = connection.execute(query).one()
    return (float(seconds), int(answers)) if answers else None


def gold_in(store: Store) -> Gold:
    """By name, when each task of known answer was done, and whether rightly."""
    query = select(people.c.name, turns.c.done_at, turns.c.right).select_from(turns.join(people).join(tasks)).where(
        tasks.c.gold != "", turns.c.state == "answered", turns.c.right.is_not(None), ~turns.c.deciding
    ).order_by(turns.c.done_at)  # fmt: skip
    found: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    with store.snapshot() as connection:
        for name, done_at, right in connection.execute(query):
            found[name].append((done_at, bool(right)))
    return dict(found)
