"""How one comes in and goes out: by an invitation, by a password, and by the button."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from preferably.errors import ConfigError, DataError
from preferably.labeling.desk import Desk, Visit, body_of, fault, seen_by


async def join(request: Request) -> Response:
    """The page that an invitation leads to. Its code is behind the # of the address, which browsers send to nobody, so
    that it is in no log; the page's script sends it in a body."""
    page: Response = request.app.state.pages.page("join.html")
    return page


async def peek(request: Request) -> Response:
    """What an invitation is for, before it is used."""
    raw = await request.body()

    def look() -> Response:
        desk: Desk = request.app.state.desk
        role, name = desk.people.peek(str(body_of(request, raw).get("code", "")))
        return JSONResponse({"role": role, "name": name, "password": role != "labeler" and name is None})

    return await _safely(request, look)


async def accept(request: Request) -> Response:
    """Use an invitation: a session begins."""
    raw = await request.body()

    def come_in() -> Response:
        desk: Desk = request.app.state.desk
        sent = {name: str(value) for name, value in body_of(request, raw).items()}
        _, token = desk.people.accept(sent.get("code", ""), sent.get("name", ""), sent.get("password", ""))
        return desk.with_session(JSONResponse({"to": "/"}), token)

    return await _safely(request, come_in)


async def login(request: Request) -> Response:
    """The door for those with a password, and what comes of it."""
    if request.method == "GET":
        page: Response = request.app.state.pages.page("login.html", fault="", name="")
        return page
    raw = await request.body()

    def come_in() -> Response:
        desk: Desk = request.app.state.desk
        sent = {name: str(value) for name, value in body_of(request, raw).items()}
        try:
            _, token = desk.people.log_in(sent.get("name", ""), sent.get("password", ""))
        except DataError as error:
            page: Response = request.app.state.pages.page(
                "login.html", fault=str(error), name=sent.get("name", ""), status_code=403
            )
            return page
        return desk.with_session(RedirectResponse("/", 303), token)

    return await _safely(request, come_in)


@seen_by("labeler")
def logout(visit: Visit) -> Response:
    """End the session."""
    visit.desk.people.log_out(visit.request.cookies[visit.desk.cookie])
    gone = RedirectResponse("/login", 303)
    gone.delete_cookie(visit.desk.cookie, path="/", secure=visit.desk.https, httponly=True, samesite="lax")
    return gone


async def _safely(request: Request, do: object) -> Response:
    try:
        done: Response = await run_in_threadpool(do)  # type: ignore[arg-type]
        return done
    except (DataError, ConfigError) as error:
        return fault(request, error)
