"""The pages of those who label: the task, the guidelines, their own answers, themselves."""

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from preferably.labeling import onboarding
from preferably.labeling.demographics import Demographics
from preferably.labeling.desk import Visit, seen_by
from preferably.labeling.history import PAGE, History
from preferably.labeling.queue import Turn
from preferably.labeling.sheet import scale_of, sheet_of


@seen_by("labeler")
def home(visit: Visit) -> Response:
    """Where one begins: those who see to it with how it goes, all others with what they are asked."""
    return RedirectResponse("/admin" if visit.person.may("lead") else "/task", 303)


@seen_by("labeler")
def task(visit: Visit) -> Response:
    """The task that is theirs now; or where they must go first, or why there is none."""
    if (first := onboarding.missing(visit.person, visit.desk.project)) is not None:
        return RedirectResponse(first, 303)
    turn = visit.desk.queue.next(visit.person)
    if turn is None:
        history = _history(visit)
        return visit.page("empty.html", why=history.nothing(), pace=history.pace())
    return _task(visit, turn, "/task")


@seen_by("labeler")
def turn(visit: Visit, turn: str) -> Response:
    """A task that they had: to change what they answered, or to settle what others disagree on."""
    found = visit.desk.queue.turn(visit.person, turn)
    sheet = sheet_of(found)
    return _task(visit, found, "/admin/disagreements" if sheet.deciding else "/mine")


def _task(visit: Visit, turn: Turn, after: str) -> Response:
    return visit.page(
        "task.html", sheet=sheet_of(turn), scale=scale_of(visit.desk.project), after=after, pace=_history(visit).pace(),
    )  # fmt: skip


@seen_by("labeler")
def guidelines(visit: Visit) -> Response:
    """The guidelines and the rubric, as they are now."""
    return visit.page("guidelines.html")


@seen_by("labeler")
def mine(visit: Visit) -> Response:
    """What they answered, the newest first."""
    asked = visit.request.query_params.get("page", "1")
    number = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 7 else 1
    history = _history(visit)
    every = history.pace().all
    pages = max(1, -(-every // PAGE))
    number = min(max(number, 1), pages)
    return visit.page("mine.html", answers=history.page(number), number=number, pages=pages, every=every)


@seen_by("labeler")
def me(visit: Visit) -> Response:
    """How far they are, what they said of themselves, and the way out."""
    said = Demographics(visit.desk.store, visit.desk.project).of(visit.person.id)
    return visit.page("me.html", pace=_history(visit).pace(), said=said)


@seen_by("labeler")
def about(visit: Visit) -> Response:
    """Keep what they say of themselves, or forget it."""
    kept = Demographics(visit.desk.store, visit.desk.project)
    if visit.body.get("erase"):
        kept.erase(visit.person.id)
    else:
        kept.keep(visit.person.id, onboarding.about_in(visit.desk.project, visit.body))
    return RedirectResponse("/me#about", 303)


def _history(visit: Visit) -> History:
    return History(visit.desk.store, visit.desk.project, visit.person, visit.desk.clock)


ROUTES = [
    Route("/", home),
    Route("/task", task),
    Route("/turns/{turn:str}", turn),
    Route("/guidelines", guidelines),
    Route("/mine", mine),
    Route("/me", me, methods=["GET"]),
    Route("/me/about", about, methods=["POST"]),
    *onboarding.ROUTES,
]
