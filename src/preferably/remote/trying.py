"""One try: a request sent, and what its answer means for the next one."""

import json
import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from preferably.errors import ConfigError
from preferably.remote.reply import NoReplyError, Reply, error_of, read_reply
from preferably.remote.server import RemoteError, Server
from preferably.remote.waiting import asked_wait, limit_wait

if TYPE_CHECKING:
    import httpx2

LARGEST = 4 << 20  # bytes of an answer
AGAIN = (408, 409, 425, 429)  # and all from 500 on: another try may go well
ONE_ROW = (400, 413, 422)  # may be the doing of this one request
LOGS = ("httpx2", "httpcore2.connection", "httpcore2.http11", "httpcore2.http2")  # which tell the headers of answers
SPENT = ("insufficient_quota", "quota", "billing", "credit", "payment", "balance")


class TryAgainError(Exception):
    """This try came to nothing; another one may not."""

    def __init__(self, why: str, wait: float = 0.0, reached: bool = True) -> None:
        super().__init__(why)
        self.why, self.wait, self.reached = why, wait, reached  # seconds that were asked for; whether it was connected


class RefusedError(Exception):
    """The server does not take this request; it takes others."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply, with the body that it was read from."""

    reply: Reply
    body: Mapping[str, Any]
    wait: float = 0.0  # seconds until the server takes another one, where a limit is reached


class _Unkeyed(logging.Filter):
    """Takes a key out of what is logged."""

    def __init__(self, clean: Callable[[str], str]) -> None:
        super().__init__()
        self.clean = clean

    def filter(self, record: logging.LogRecord) -> bool:
        """Every record passes, without the key."""
        record.msg, record.args = self.clean(record.getMessage()), ()
        return True


class Line:
    """Connections to a server. Requests go to an address that was looked at, whatever its name leads to by then."""

    def __init__(self, server: Server) -> None:
        self.server, self.key = server, server.key()
        self.http: httpx2.AsyncClient | None = None
        self.addresses: list[str] = []
        self.turn = 0  # of its addresses
        self.unkeyed = _Unkeyed(self._clean)

    async def __aenter__(self) -> "Line":
        import httpx2

        self.addresses = await self.server.addresses()
        for name in LOGS if self.key else ():
            logging.getLogger(name).addFilter(self.unkeyed)
        alive = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]  # or a router forgets a connection that is silent
        limits = httpx2.Limits(max_connections=self.server.concurrency + 1)
        context = ssl.create_default_context() if self.server.url.startswith("https") else False
        transport = httpx2.AsyncHTTPTransport(verify=context, limits=limits, socket_options=alive)
        # Nothing of the environment: a proxy would see the key, and connect to where it likes.
        self.http = httpx2.AsyncClient(transport=transport, trust_env=False, follow_redirects=False, timeout=None)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.http is not None:
            await self.http.aclose()
        for name in LOGS:
            logging.getLogger(name).removeFilter(self.unkeyed)

    async def post(self, body: bytes, name: str) -> Answer:
        """The answer to one request. `name` is the same for all tries of it.

        Raises `TryAgainError`, `RefusedError`, and `RemoteError` where no request would go well.
        """
        import httpx2

        assert self.http is not None  # within `async with`
        try:
            async with self.http.stream(**self._request(body, name)) as response:
                raw = await _read(response)
                status, headers = response.status_code, response.headers
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            if doubt := _distrusted(error):
                raise RemoteError(
                    f"{self.server.url} shows a certificate that is not believed ({self._clean(doubt)}); look at its "
                    "URL, or name the file of its authority by the environment variable SSL_CERT_FILE."
                ) from error
            self.addresses = await self._looked_up()
            self.turn += 1
            raise TryAgainError(f"cannot be connected to ({self._told(error)})", reached=False) from error
        except httpx2.HTTPError as error:
            raise TryAgainError(f"broke off ({self._told(error)})") from error
        decoded = self._cleaned(_decoded(raw.decode("utf-8", "replace")))
        if status == 200:
            try:
                reply = read_reply(decoded)
            except NoReplyError as error:
                raise TryAgainError(f"sent {error}") from error
            assert isinstance(decoded, dict)
            return Answer(reply, decoded, self._limited(headers))
        self._refuse(status, headers, decoded)
        raise AssertionError("every status is told apart")  # pragma: no cover

    def _request(self, body: bytes, name: str) -> dict[str, Any]:
        import httpx2

        address = self.addresses[self.turn % len(self.addresses)]
        url = httpx2.URL(self.server.url.rstrip("/") + "/chat/completions")
        # A connection is for one request: what is sent behind a reply would be read as the reply to the next one.
        headers = {
            "Host": url.netloc.decode(), "Content-Type": "application/json", "Accept": "application/json",
            "Accept-Encoding": "identity", "Idempotency-Key": name, "Connection": "close",
        }  # fmt: skip
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        sni = {"sni_hostname": self.server.host}
        return {"method": "POST", "url": url.copy_with(host=address), "content": body, "headers": headers,
                "extensions": sni}  # fmt: skip

    async def _looked_up(self) -> list[str]:
        try:
            return await self.server.addresses()
        except RemoteError:  # its name may lead somewhere again before long
            return self.addresses

    def _refuse(self, status: int, headers: Mapping[str, str], body: object) -> None:
        said = error_of(body)
        told = f"{status}: {said}" if said else str(status)
        if status == 402 or (status == 429 and _is_spent(body)):
            raise RemoteError(f"{self.server.url} says that there is no money left ({told}).")
        if status in AGAIN or status >= 500:
            raise TryAgainError(f"answered {told}", asked_wait(headers) or self._limited(headers))
        if status in ONE_ROW:
            raise RefusedError(told)
        if status in (401, 403):
            hint = (f"look at the key in {self.server.key_env}" if self.key
                    else "name the variable that holds its key by key_env")  # fmt: skip
            raise RemoteError(f"{self.server.url} refuses to be asked ({told}); {hint}.")
        if 300 <= status < 400:
            to = self._clean(headers.get("location", "nowhere"))
            raise RemoteError(f"{self.server.url} sends on to {to[:200]}, which is not followed; give the right URL.")
        hint = "look at the URL, which ends before /chat/completions, and at the name of the model"
        raise RemoteError(f"{self.server.url} cannot be asked like this ({told}); {hint}.")

    def _limited(self, headers: Mapping[str, str]) -> float:
        """Seconds until a limit is reset. A longer wait than a request may take is for the server to ask for: what it
        tells is when the whole limit is there again, and a part may be before."""
        wait = limit_wait(headers)
        return wait if wait <= self.server.deadline else 0.0

    def _told(self, error: Exception) -> str:
        return self._clean(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)

    def _cleaned(self, value: Any) -> Any:
        """A decoded body without the key: once decoded, as JSON can write it in other ways."""
        if isinstance(value, str):
            return self._clean(value)
        if isinstance(value, list):
            return [self._cleaned(one) for one in value]
        return (
            {self._clean(name): self._cleaned(one) for name, one in value.items()} if isinstance(value, dict) else value
        )

    def _clean(self, text: str) -> str:
        """Without the key, which a server may say back."""
        return text.replace(self.key, f"[{self.server.key_env}]") if self.key else text


async def _read(response: "httpx2.Response") -> bytes:
    """The body, as it was sent: nothing is unpacked, as a little can become a lot."""
    if response.headers.get("content-encoding", "identity").lower() not in ("identity", ""):
        raise TryAgainError("sent something packed, though asked for plain text")
    raw = bytearray()
    async for piece in response.aiter_raw():
        raw += piece
        if len(raw) > LARGEST:
            raise TryAgainError(f"sent more than {LARGEST >> 20} MiB")
    return bytes(raw)


def _distrusted(error: BaseException | None) -> str:
    """What is wrong with the server's certificate, where that is why there is no connection."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return ""


def _decoded(text: str) -> object:
    """What the text is as JSON; the text itself where it is none."""
    try:
        return json.loads(text, parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        return text


def _is_spent(body: object) -> bool:
    """Whether too many requests means that the money is gone, and not that they came too fast."""
    error = body.get("error") if isinstance(body, dict) else None
    kinds = [str(error.get(name, "")) for name in ("code", "type")] if isinstance(error, dict) else []
    return any(word in kind.lower() for kind in kinds for word in SPENT)


def need_httpx() -> None:
    """`ConfigError` where what speaks to servers is not installed."""
    try:
        import httpx2  # noqa: F401
    except ImportError as error:
        raise ConfigError("Asking a server needs httpx2: pip install 'preferably[judge]'.") from error
