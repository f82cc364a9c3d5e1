"""`/admin/people`: who is here and how they do. Leads give labelers another group and new tries in the qualification;
inviting, roles, shutting out and forgetting are for admins alone."""

from functools import partial
from typing import Any, get_args

from starlette.responses import Response

from preferably.errors import ConfigError
from preferably.labeling.admin.frame import back, field, figures, page, query, whole
from preferably.labeling.admin.listing import Listing, leaf_of, ordered
from preferably.labeling.demographics import Demographics
from preferably.labeling.desk import Visit, seen_by
from preferably.labeling.erasure import erase_person
from preferably.labeling.handed import Handed, Links
from preferably.labeling.people import Person, RefusedError, Role
from preferably.labeling.roster import STATES, Member, roster_of

SIZE = 50
MOST = 100  # links at once
HERE = "/admin/people"
SORTS: dict[str, Any] = {
    "came": lambda one: one.person.joined_at, "name": lambda one: one.person.name.casefold(),
    "judged": lambda one: one.answers, "seconds": lambda one: one.seconds, "agrees": lambda one: one.agrees,
    "reliability": lambda one: one.reliability, "gold": lambda one: one.gold.value if one.gold else None,
    "seen": lambda one: one.seen or None,
}  # fmt: skip
FILTERS: dict[str, Any] = {
    "role": lambda one: one.person.role, "group": lambda one: one.person.labeler_group, "state": lambda one: one.state,
}  # fmt: skip


@seen_by("lead")
def people(visit: Visit) -> Response:
    """Everybody; for admins the invitations that are open, and the form for new ones."""
    told = figures(visit).worth()
    worth = told.value[0] if told.value else None
    labelers = {one.name: one for one in worth.labelers} if worth else {}
    members = roster_of(visit.desk.store, visit.desk.project, labelers)
    groups = sorted({one.person.labeler_group for one in members} - {""})
    listing = Listing.of(
        query(visit), sorts=list(SORTS), filters={"role": get_args(Role), "group": groups, "state": STATES}
    )
    chosen: list[Member] = [
        one for one in members if all(FILTERS[name](one) == value for name, value in listing.filters.items())
    ]
    leaf = leaf_of(ordered(chosen, SORTS[listing.sort], listing.falling), listing, SIZE)
    known = sorted({*groups, *visit.desk.project.quotas})
    return page(
        visit, "admin_people.html", leaf=leaf, listing=listing, told=told, groups=groups, known=known, states=STATES,
        roles=get_args(Role), invitations=visit.desk.people.open_invitations(), count=len(members), most=MOST,
    )  # fmt: skip


@seen_by("lead")
def member(visit: Visit, person: str) -> Response:
    """One person, and what can be done."""
    found = visit.desk.people.named(person)
    told = figures(visit).worth()
    worth = told.value[0] if told.value else None
    labelers = {one.name: one for one in worth.labelers} if worth else {}
    one = next(one for one in roster_of(visit.desk.store, visit.desk.project, labelers) if one.person.id == found.id)
    known = sorted({*visit.desk.project.quotas, *(other.labeler_group for other in visit.desk.people.all())} - {""})
    resets = (found.qualification or {}).get("resets", [])
    return page(
        visit, "admin_person.html", one=one, told=told, roles=get_args(Role), known=known,
        resets=[reset | {"by": visit.desk.people.named(reset["by"]).name} for reset in resets],
        may=visit.person.may("admin") or found.role == "labeler",
    )  # fmt: skip


@seen_by("admin")
def invite(visit: Visit) -> Response:
    """Make links; the page that comes next shows them."""
    role, group = field(visit, "role"), " ".join(field(visit, "group").split())
    count = whole(field(visit, "count"), "The number of links")
    if not 1 <= count <= MOST:
        raise ConfigError(f"From 1 to {MOST} links at once; got {count}.")
    made = [visit.desk.people.invite(role, group, by=visit.person.name) for _ in range(count)]
    return _hand(visit, Links(made, role, group, ""))


@seen_by("admin")
def link(visit: Visit, person: str) -> Response:
    """A way back in for somebody who lost theirs."""
    found = visit.desk.people.named(person)
    if not found.active:
        raise RefusedError(f"{found.name} is shut out; let them in first.")
    code = visit.desk.people.invite(found.role, found.labeler_group, by=visit.person.name, person=found.id)
    return _hand(visit, Links([code], found.role, found.labeler_group, found.name))


def _hand(visit: Visit, links: Links) -> Response:
    _handed(visit).put(visit.token, links)
    return back(f"{HERE}/links")


@seen_by("admin")
def links(visit: Visit) -> Response:
    """The links that were made last, once."""
    found = _handed(visit).take(visit.token)
    if found is None:
        return back(HERE)
    address = visit.request.base_url
    scheme = "https" if visit.desk.https else address.scheme
    urls = [f"{scheme}://{address.netloc}/join#{code}" for code in found.codes]
    return page(visit, "admin_links.html", links=found, urls=urls)


@seen_by("admin")
def revoke(visit: Visit, invitation: str) -> Response:
    """Take an invitation back."""
    visit.desk.people.revoke(invitation)
    return back(f"{HERE}#invitations")


@seen_by("admin")
def role(visit: Visit, person: str) -> Response:
    """Give somebody another role."""
    wanted = field(visit, "role")
    if wanted not in get_args(Role):
        raise ConfigError(f"A role is {', '.join(get_args(Role))}; got {wanted!r:.40}.")
    return _do(visit, person, partial(visit.desk.people.change, role=wanted))  # type: ignore[arg-type]


@seen_by("lead")
def group(visit: Visit, person: str) -> Response:
    """Give a labeler another group."""
    found, wanted = _labeler(visit, person), " ".join(field(visit, "group").split())
    return _do(visit, found.id, partial(visit.desk.people.change, labeler_group=wanted))


@seen_by("lead")
def requalify(visit: Visit, person: str) -> Response:
    """Give a labeler who failed in the qualification new tries."""
    return _do(visit, _labeler(visit, person).id, partial(visit.desk.people.try_again, by=visit.person.id))


@seen_by("admin")
def state(visit: Visit, person: str) -> Response:
    """Shut somebody out, or let them in again."""
    wanted = field(visit, "state")
    if wanted not in ("in", "out"):
        raise ConfigError(f"One is in or out; got {wanted!r:.40}.")
    if wanted == "in" and not visit.desk.people.named(person).joined_at:
        raise RefusedError("This person was erased; nobody can come in as them.")
    return _do(visit, person, partial(visit.desk.people.change, active=wanted == "in"))


@seen_by("admin")
def forget(visit: Visit, person: str) -> Response:
    """Erase what somebody said of themselves; the answer is the same whether they did or not."""
    visit.desk.people.named(person)
    return _do(visit, person, Demographics(visit.desk.store, visit.desk.project).erase)


@seen_by("admin")
def erase(visit: Visit, person: str) -> Response:
    """Erase somebody, once their name was typed."""
    found = _other(visit, visit.desk.people.named(person))
    if field(visit, "name") != found.name:
        raise ConfigError("The name that was typed is not that of the person; nothing was erased.")
    erase_person(visit.desk.store, person)
    figures(visit).forget()
    return back(HERE)


def _labeler(visit: Visit, person: str) -> Person:
    """Somebody whose group and qualification are for whoever asks to change: leads see to labelers."""
    found = visit.desk.people.named(person)
    if not found.joined_at:
        raise RefusedError("This person was erased; there is nothing to change any more.")
    if found.role != "labeler" and not visit.person.may("admin"):
        raise RefusedError(f"{found.name} is no labeler but {found.role}; an admin has to do that.")
    return found


def _other(visit: Visit, found: Person) -> Person:
    if found.id == visit.person.id:
        raise RefusedError("Another admin has to erase you.")
    return found


def _do(visit: Visit, person: str, change: Any) -> Response:
    change(person)
    return back(f"{HERE}/{person}")


def _handed(visit: Visit) -> Handed:
    found: Handed = visit.request.app.state.handed
    return found
