"""What every request meets before any page: known hosts, no foreign writes, a pace, small bodies; and the headers."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
LARGEST = 1 << 20  # bytes of a body
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FILES = "/static/"  # a page asks for a dozen of them, mostly to hear that they are the same
DOORS = ("/login", "/join", "/join/look")  # where secrets could be guessed
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}  # fmt: skip


def middleware(hosts: Sequence[str], *, guesses: str = "10/minute") -> list[Middleware]:
    """All of it, the outermost first; `hosts` are names that this server is reached by beside those of this machine."""
    return [
        Middleware(HeadersMiddleware),
        Middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, *hosts], www_redirect=False),
        Middleware(CrossOriginMiddleware),
        Middleware(PaceMiddleware, guesses=guesses),
        Middleware(BodyMiddleware),
    ]


def form_token(session: str) -> str:
    """What a form of a session carries: nobody else's page can know it."""
    return hmac.new(session.encode(), b"forms", hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two secrets are the same, in a time that does not tell how far they are."""
    return hmac.compare_digest(one.encode(), other.encode())


class HeadersMiddleware:
    """Adds `HEADERS` to every answer, also to those that refuse."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


class CrossOriginMiddleware:
    """Refuses writes that another site's page sends: by Sec-Fetch-Site, or by Origin where a browser has not that one.

    What has neither comes from no browser's page, and has no cookies of one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] == "http" and scope["method"] not in SAFE and not _is_own(Headers(scope=scope)):
            refused = PlainTextResponse("This was sent by another site.\n", 403)
            await refused(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _is_own(headers: Headers) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host", "")


class BodyMiddleware:
    """Refuses bodies above `LARGEST` bytes, also those that do not say how large they are."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http" or scope["method"] in SAFE:
            await self.app(scope, receive, send)
            return
        said = Headers(scope=scope).get("content-length", "0")
        parts: list[bytes] = []
        size = int(said) if said.isdigit() else LARGEST + 1
        while size <= LARGEST:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            parts.append(message.get("body", b""))
            size = sum(map(len, parts))
            if size <= LARGEST and not message.get("more_body", False):
                await self.app(scope, _whole(b"".join(parts), receive), send)
                return
        refused = PlainTextResponse(f"A request has up to {LARGEST:,} bytes.\n", 413)
        await refused(scope, receive, send)


def _whole(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """A `receive` that gives a body that was read already, then what comes after it."""
    given = False

    async def once() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once


class PaceMiddleware:
    """Answers 429 to who asks too often: an address at a door, a browser with a session, an address as a whole, behind
    which there may be an office full of labelers."""

    def __init__(self, app: ASGIApp, guesses: str) -> None:
        from limits import parse
        from limits.storage import MemoryStorage
        from limits.strategies import MovingWindowRateLimiter

        self.app = app
        self.limiter = MovingWindowRateLimiter(MemoryStorage())
        self.guesses, self.joins = parse(guesses), parse("60/minute")  # what an invitation has nobody can guess
        self.browser, self.address = parse("600/minute"), parse("12000/minute")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] == "http" and not scope["path"].startswith(FILES) and not self._may_pass(scope):
            slow = PlainTextResponse("Too many requests; wait a minute.\n", 429, {"Retry-After": "60"})
            await slow(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _may_pass(self, scope: Scope) -> bool:
        address = (scope.get("client") or ("", 0))[0]
        if scope["method"] not in SAFE and scope["path"] in DOORS:
            guessed = scope["path"] == "/login"
            return self.limiter.hit(self.guesses if guessed else self.joins, "login" if guessed else "join", address)
        browser = hashlib.sha256(Headers(scope=scope).get("cookie", "").encode()).hexdigest()
        return self.limiter.hit(self.browser, "browser", address, browser) and self.limiter.hit(
            self.address, "address", address
        )
