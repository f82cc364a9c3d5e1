"""`/admin/disagreements`: what people disagree on, and settling it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import RowMapping, select
from starlette.responses import Response

from preferably.feedback.records import Group
from preferably.feedback.store.labeling_tables import people, tasks, turns
from preferably.feedback.store.store import Store
from preferably.labeling.admin.frame import back, figures, page, query, whole
from preferably.labeling.admin.listing import Listing, leaf_of
from preferably.labeling.desk import Visit, seen_by
from preferably.labeling.disputed import groups_in
from preferably.labeling.project import Project
from preferably.labeling.spoken import Spoken, letter, spoken_of

SIZE = 10
STATES = ("open", "settled")


@dataclass(frozen=True, slots=True)
class Case:
    """A group with who said what of it, and the task by which it can be settled."""

    group: Group
    said: Sequence[Spoken]
    task: RowMapping | None  # None where people were never asked about it here
    settled_by: str  # empty while nobody did
    begun_by: str  # who has it open to settle it
    mine: str  # whether whoever looks at it had it: "as labeler", "to settle", or empty

    @property
    def letters(self) -> list[str]:
        """A, B, C ... of its completions."""
        return [letter(at) for at in range(len(self.group.completions))]


@seen_by("lead")
def disagreements(visit: Visit) -> Response:
    """Groups with unlike verdicts or a flag, the most doubtful first; those that wait, unless others are asked for.
    Of questions with a known answer there is nothing to settle: they are counted."""
    told = figures(visit).worth()
    every = told.value[1] if told.value else []
    found = [one for one in every if not one.gold]
    listing = Listing.of(query(visit), sorts=["doubt"], filters={"state": STATES})
    settled = settled_items(visit.desk.store)
    wants = listing.filters.get("state", "open") == "settled"
    done = [one for one in found if one.item in settled]
    chosen = done if wants else [one for one in found if one.item not in settled]
    leaf = leaf_of(chosen, listing, SIZE)
    groups = groups_in(visit.desk.store, [one.item for one in leaf.rows])
    cases = cases_of(visit.desk.store, visit.desk.project, visit.person.id, groups)
    return page(
        visit, "admin_disagreements.html", told=told, listing=listing, leaf=leaf, wants=wants,
        cases=[(one, cases[one.item]) for one in leaf.rows],
        count={"open": len(found) - len(done), "settled": len(done), "gold": len(every) - len(found)},
    )  # fmt: skip


@seen_by("lead")
def settle(visit: Visit, number: str) -> Response:
    """Open a task to settle it."""
    turn = visit.desk.queue.settle(visit.person, whole(number, "A task"))
    return back(f"/turns/{turn.asked.turn}")


def settled_items(store: Store) -> set[str]:
    """The groups that somebody settled."""
    query = select(tasks.c.item).join(turns, turns.c.task == tasks.c.number).where(
        turns.c.deciding, turns.c.state == "answered"
    )  # fmt: skip
    with store.snapshot() as connection:
        return set(connection.execute(query).scalars())


def cases_of(store: Store, project: Project, person: str, groups: dict[str, Group]) -> dict[str, Case]:
    """The cases of some groups by their ids, as `person` meets them. A group that was queued more than once is settled
    by its first task: what is said there decides of the group."""
    query = select(tasks).where(tasks.c.item.in_(list(groups))).order_by(tasks.c.number.desc())
    given = select(
        tasks.c.item, turns.c.person, turns.c.state, turns.c.deciding, people.c.name
    ).select_from(turns.join(tasks).join(people)).where(
        tasks.c.item.in_(list(groups)), turns.c.deciding | (turns.c.person == person)
    )  # fmt: skip
    with store.snapshot() as connection:
        by_item = {row["item"]: row for row in connection.execute(query).mappings()}
        had = connection.execute(given).mappings().all()
    said = spoken_of(store, list(groups), project)

    def named(item: str, state: str) -> str:
        return next(
            (row["name"] for row in had if (row["item"], row["state"]) == (item, state) and row["deciding"]), ""
        )

    def mine(item: str) -> str:
        own = [row["deciding"] for row in had if (row["item"], row["person"]) == (item, person)]
        return ("to settle" if all(own) else "as labeler") if own else ""

    return {
        item: Case(group, said[item], by_item.get(item), named(item, "answered"), named(item, "leased"), mine(item))
        for item, group in groups.items()
    }
