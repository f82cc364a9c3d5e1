"""The server of the app: on this machine unless told otherwise; it ends only once votes on their way are in."""

import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from preferably.errors import ConfigError
from preferably.labeling.app import app_of
from preferably.labeling.desk import Desk

DRAIN = 8  # seconds that answers on their way are given when the server is told to end


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens, and how browsers come to it."""

    host: str = "127.0.0.1"
    port: int = 8000  # 0 is any that is free
    names: tuple[str, ...] = ()  # that browsers know it by, where that is not this machine
    https: bool = False  # whether they come by HTTPS, through a proxy

    def __post_init__(self) -> None:
        """Raises `ConfigError` for an address that others can reach without HTTPS."""
        try:
            alone = ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            alone = self.host == "localhost"
        if not alone and not (self.https and self.names):
            raise ConfigError(
                f"Others can reach {self.host}, and could read sessions on their way: a proxy with HTTPS must stand "
                "before it. Say --behind-https --name label.example.org; or leave --host out and use an SSH tunnel."
            )

    def url(self, port: int) -> str:
        """What people open."""
        if self.https:
            return f"https://{self.names[0]}"
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{port}"


def serve(desk: Desk, address: Address, ready: Callable[[str], None]) -> None:
    """Answer until SIGTERM or Ctrl-C; `ready` is told the URL. Raises `ConfigError` where the port cannot be had."""
    listening = _bound(address)
    # Uvicorn raises the signal again once it has ended in order; to have been told to end is no failure.
    signal.signal(signal.SIGTERM, lambda *_: None)
    ready(address.url(listening.getsockname()[1]))
    _server(desk, address).run(sockets=[listening])


@contextmanager
def serving(desk: Desk, address: Address) -> Iterator[str]:
    """The server in a thread of this process, while the block lasts; its URL. Raises as `serve`."""
    listening, server = _bound(address), _server(desk, address)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield address.url(listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(2 * DRAIN)


def _bound(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address.host, address.port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise ConfigError(f"Cannot serve on port {address.port} of {address.host}: {error}; give another.") from None
    listening.listen(2048)
    return listening


def _server(desk: Desk, address: Address) -> uvicorn.Server:
    return uvicorn.Server(uvicorn.Config(
        app_of(desk, hosts=address.names), log_level="warning", access_log=False, server_header=False,
        proxy_headers=address.https, timeout_graceful_shutdown=DRAIN, timeout_keep_alive=30, limit_concurrency=2000,
        h11_max_incomplete_event_size=64 << 10,
    ))  # fmt: skip
