"""What the pages work with, and how a request becomes a person who may see one."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Concatenate
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from preferably.errors import ConfigError, DataError
from preferably.feedback.store.store import Store
from preferably.labeling.answers import AnswerError
from preferably.labeling.clock import Clock
from preferably.labeling.people import NobodyError, People, Person, RefusedError, Role
from preferably.labeling.project import Project
from preferably.labeling.queue import AnsweredError, NotYoursError, Queue
from preferably.labeling.security import form_token, same

STATUS: tuple[tuple[type[Exception], int], ...] = (
    (AnswerError, 422), (AnsweredError, 409), (NotYoursError, 404), (NobodyError, 404), (RefusedError, 403),
    (ConfigError, 400), (DataError, 503),
)  # fmt: skip


@dataclass(frozen=True)
class Desk:
    """The store, what is asked in it, and how the server is reached."""

    store: Store
    project: Project
    https: bool = False  # whether browsers come by HTTPS (through a proxy)
    clock: Clock = field(default_factory=Clock.of_machine)

    @property
    def queue(self) -> Queue:
        """The tasks."""
        return Queue(self.store, self.project, self.clock)

    @property
    def people(self) -> People:
        """The people."""
        return People(self.store)

    @property
    def cookie(self) -> str:
        """The name of the session's cookie; browsers keep to their own rules for one that begins with __Host-."""
        return "__Host-preferably" if self.https else "preferably"

    def with_session(self, response: Response, token: str) -> Response:
        """The response, with which the browser gets its session."""
        response.set_cookie(self.cookie, token, httponly=True, secure=self.https, samesite="lax", path="/")
        return response


@dataclass(frozen=True)
class Visit:
    """A request by somebody who may make it."""

    desk: Desk
    request: Request
    person: Person
    token: str  # that forms carry
    body: Mapping[str, Any]  # of a form, or a JSON object

    def page(self, template: str, status_code: int = 200, **values: object) -> Response:
        """A page for this person."""
        page: Response = self.request.app.state.pages.page(
            template, status_code, person=self.person, token=self.token, here=self.request.url.path, **values
        )
        return page


Page = Callable[Concatenate[Visit, ...], Response]


def body_of(request: Request, raw: bytes) -> dict[str, Any]:
    """The fields of a form, or a JSON object. Raises `ConfigError` for what is neither."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not raw:
        return {}
    try:
        if kind == "application/json":
            found = json.loads(raw)
            if isinstance(found, dict):
                return _holdable(found)
        if kind == "application/x-www-form-urlencoded":
            return _holdable(dict(parse_qsl(raw.decode("utf-8"), keep_blank_values=True)))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"This cannot be kept: {error}.") from None
    raise ConfigError(f"A request is a form or a JSON object; got {kind or 'nothing that says what it is'!r}.")


def _holdable(body: dict[str, Any]) -> dict[str, Any]:
    """The body, if databases can hold it: no half characters, numbers that are some, texts without NUL."""
    json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    if any(isinstance(value, str) and "\0" in value for value in body.values()):
        raise ValueError("a text has a NUL in it; take it out")
    return body


def seen_by(role: Role) -> Callable[[Page], Callable[[Request], Any]]:
    """A page for those who may do what `role` may, with a form's token checked where something is sent. Everybody else
    is sent to the door, or told 401 and 403; a fault becomes an answer (`STATUS`)."""

    def decorate(page: Page) -> Callable[[Request], Any]:
        @wraps(page)
        async def answer(request: Request) -> Response:
            raw = await request.body()
            return await run_in_threadpool(_answer, request, raw, role, page)

        return answer

    return decorate


def _answer(request: Request, raw: bytes, role: Role, page: Page) -> Response:
    desk: Desk = request.app.state.desk
    session = request.cookies.get(desk.cookie, "")
    try:
        person = desk.people.of_session(session) if session else None
        if person is None:
            if request.method == "GET" and not is_data(request):
                return RedirectResponse("/login", 303)
            return told(request, 401, "Your session is over; open your link or log in again.")
        if not person.may(role):
            return told(request, 403, f"This is for the role {role}; yours is {person.role}.")
        token, body = form_token(session), body_of(request, raw)
        if request.method != "GET":
            sent = str(body.pop("token", "") or request.headers.get("x-token", ""))
            if not same(sent, token):
                return told(request, 403, "The form is too old; load the page again and send it once more.")
        return page(Visit(desk, request, person, token, body), **request.path_params)
    except (DataError, ConfigError) as error:
        return fault(request, error)


def fault(request: Request, error: Exception) -> Response:
    """What an error becomes."""
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    return told(request, status, str(error))


def is_data(request: Request) -> bool:
    """Whether a program asks, and not somebody who looks at a page."""
    return "application/json" in (request.headers.get("accept", "") + request.headers.get("content-type", ""))


def told(request: Request, status: int, message: str) -> Response:
    """A refusal, as a page or as JSON; what is busy says when to come again."""
    headers = {"Retry-After": "2"} if status == 503 else None
    if is_data(request):
        return JSONResponse({"error": message}, status, headers)
    page: Response = request.app.state.pages.page("refusal.html", status=status, message=message, status_code=status)
    if headers:
        page.headers.update(headers)
    return page
