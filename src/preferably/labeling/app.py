"""The app: which address is which page. All but the doors are for people who were invited."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from preferably.labeling import admin, doors, labeler, turns, votes
from preferably.labeling.desk import Desk, told
from preferably.labeling.figures import Figures
from preferably.labeling.handed import Handed
from preferably.labeling.pages import Pages
from preferably.labeling.security import middleware

PUBLIC = ("/login", "/join", "/join/look", "/static", "/health")


class Static(StaticFiles):
    """Scripts and styles, which browsers keep and ask about: what is not new is not sent again."""

    def file_response(self, *given: Any, **named: Any) -> Response:
        """As Starlette has it."""
        response = super().file_response(*given, **named)
        response.headers["Cache-Control"] = "no-cache"
        return response


def app_of(desk: Desk, *, hosts: Sequence[str] = (), guesses: str = "10/minute") -> Starlette:
    """The app of a store and project. `hosts` are the names it is reached by beside those of this machine; `guesses`
    how often one address may try a door."""
    app = Starlette(routes=_routes(), middleware=middleware(hosts, guesses=guesses))
    app.state.desk, app.state.pages = desk, Pages(desk.project)
    app.state.figures, app.state.handed = Figures(desk.store), Handed()
    app.add_exception_handler(404, _nothing_here)
    return app


def _routes() -> list[Route | Mount]:
    return [
        Route("/health", health),
        Route("/login", doors.login, methods=["GET", "POST"]),
        Route("/join", doors.join, methods=["GET"]),
        Route("/join/look", doors.peek, methods=["POST"]),
        Route("/join", doors.accept, methods=["POST"]),
        Route("/logout", doors.logout, methods=["POST"]),
        Route("/turns/next", turns.next_turn),
        Route("/answers/{turn:str}", votes.answer, methods=["POST"]),
        Route("/skip/{turn:str}", votes.skip, methods=["POST"]),
        *labeler.ROUTES,
        *admin.ROUTES,
        Mount("/static", Static(directory=Path(__file__).parent / "static")),
    ]


async def health(request: Request) -> Response:
    """That the server is up."""
    return PlainTextResponse("ok\n")


async def _nothing_here(request: Request, error: Exception) -> Response:
    return told(request, 404, "There is nothing at this address.")
