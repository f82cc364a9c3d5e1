"""The live page over HTTP, on this machine only and read only: the page at /, what it shows at /state."""

import json
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from preferably.errors import ConfigError
from preferably.reporting.live import Live

ADDRESS = "127.0.0.1"
LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",  # a meta element cannot say this part
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def serve(run: Path, *, port: int = 0, ready: Callable[[str], None]) -> None:
    """Serves the live page of `run` until Ctrl-C. `ready` is told its address; port 0 is any that is free.

    Raises `ConfigError` where the port cannot be had.
    """
    with server_of(run, port) as server:
        ready(f"http://{ADDRESS}:{server.server_address[1]}/")
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            pass


def server_of(run: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server that listens and does not answer yet."""
    live = Live(run)

    class Handler(_Handler):
        def __init__(self, *arguments: object) -> None:
            self.live = live
            super().__init__(*arguments)  # type: ignore[arg-type]

    try:
        return ThreadingHTTPServer((ADDRESS, port), Handler)
    except (OSError, OverflowError) as error:
        told = str(error).rstrip(".")
        raise ConfigError(f"Cannot serve on port {port} of {ADDRESS}: {told}; give another, or 0 for any.") from None


class _Handler(BaseHTTPRequestHandler):
    live: Live
    server_version, sys_version = "Preferably", ""
    timeout = 30  # seconds that a connection may say nothing

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if not loopback(self.headers.get("Host")):
            # A name that someone else makes point here (DNS rebinding) would let their page read this one.
            self._answer(403, "text/plain", "Only 127.0.0.1 and localhost are answered.\n")
        elif asked.path == "/":
            self._answer(200, "text/html", self.live.page())
        elif asked.path == "/state":
            state = self.live.state()
            if parse_qs(asked.query).get("have") == [state["version"]]:
                self._answer(204, "application/json", "")
            else:
                self._answer(200, "application/json", json.dumps(state, allow_nan=False))
        else:
            self._answer(404, "text/plain", "There is / and /state.\n")

    do_HEAD = do_GET

    def _answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode("utf-8", "backslashreplace")
        try:
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True  # whoever asked has gone

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the page asks every two seconds."""


def loopback(host: str | None) -> bool:
    """Whether a Host header names this machine; any port will do, for it may be forwarded."""
    return host is not None and LOOPBACK.fullmatch(host.lower()) is not None
