"""The pages of those who see to it."""

from starlette.responses import Response
from starlette.routing import Route

from preferably.labeling.desk import Visit, seen_by


@seen_by("lead")
def overview(visit: Visit) -> Response:
    """How it goes."""
    page: Response = visit.request.app.state.pages.page(
        "overview.html", person=visit.person, token=visit.token, here="/admin"
    )
    return page


ROUTES = [Route("/admin", overview)]
