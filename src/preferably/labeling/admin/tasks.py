"""`/admin/tasks`: the batches and their tasks; shutting and opening, asking more or fewer people, moving up."""

from typing import get_args

from starlette.responses import Response

from preferably.errors import ConfigError
from preferably.labeling.admin.disagreements import cases_of
from preferably.labeling.admin.frame import back, field, first_command, page, query, whole
from preferably.labeling.admin.listing import Leaf, Listing
from preferably.labeling.asked import STATES, tasks_of
from preferably.labeling.batches import Batches
from preferably.labeling.desk import Visit, seen_by
from preferably.labeling.progress import batches_of
from preferably.labeling.project import Kind
from preferably.labeling.queue import NotYoursError

SIZE = 50
HERE = "/admin/tasks"


@seen_by("lead")
def tasks(visit: Visit) -> Response:
    """The batches, and a page of the tasks."""
    batches = batches_of(visit.desk.store)
    listing = Listing.of(
        query(visit), sorts=["number", "priority", "answers"],
        filters={"batch": [one.name for one in batches], "kind": get_args(Kind), "state": STATES},
    )  # fmt: skip
    rows, total = tasks_of(
        visit.desk.store, listing.filters, listing.sort, listing.falling, size=SIZE, page=listing.number
    )
    count = max(1, -(-total // SIZE))
    leaf = Leaf(rows, min(listing.number, count), count, total)
    return page(
        visit,
        "admin_tasks.html",
        first=first_command(visit),
        batches=batches,
        listing=listing,
        leaf=leaf,
        kinds=get_args(Kind),
        states=STATES,
    )


@seen_by("lead")
def task(visit: Visit, number: str) -> Response:
    """One task, and who said what."""
    found, _ = tasks_of(visit.desk.store, {"number": whole(number, "A task")}, "number", False, size=1, page=1)
    if not found:
        raise NotYoursError(f"There is no task {number}.")
    (one,) = found
    item = one.row["item"]
    case = cases_of(visit.desk.store, visit.desk.project, visit.person.id, {item: one.group})[item]
    return page(visit, "admin_task.html", one=one, case=case)


@seen_by("lead")
def change(visit: Visit) -> Response:
    """Change a batch."""
    batches, batch, what = Batches(visit.desk.store), field(visit, "batch", 1000), field(visit, "do")
    if what == "close":
        batches.close(batch)
    elif what == "reopen":
        batches.reopen(batch)
    elif what == "overlap":
        batches.ask(batch, whole(field(visit, "overlap"), "The number of people"))
    elif what == "priority":
        batches.prefer(batch, _number(field(visit, "priority")))
    else:
        raise ConfigError(f"A batch can be closed, reopened, given an overlap or a priority; got {what!r:.40}.")
    return back(HERE)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"A priority is a number; got {text!r:.40}.") from None
