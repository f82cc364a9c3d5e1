"""The pages of those who label: the task, the guidelines, the way in to them, and their own answers."""

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from preferably.labeling.answers import shown_texts
from preferably.labeling.desk import Visit, seen_by
from preferably.labeling.markdown import rendered


def _page(visit: Visit, template: str, **values: object) -> Response:
    page: Response = visit.request.app.state.pages.page(
        template, person=visit.person, token=visit.token, here=visit.request.url.path, **values
    )
    return page


@seen_by("labeler")
def task(visit: Visit) -> Response:
    """The task that is theirs now."""
    turn = visit.desk.queue.next(visit.person)
    if turn is None:
        return _page(visit, "empty.html")
    return _page(visit, "task.html", turn=turn, completions=[rendered(one) for one in shown_texts(turn.asked)])


@seen_by("labeler")
def home(visit: Visit) -> Response:
    """Where one begins."""
    return RedirectResponse("/task", 303)


ROUTES = [Route("/", home), Route("/task", task)]
