"""A server that speaks OpenAI's form of chat, where it is, and what it may be sent.

Its URL comes from whoever runs the command, never from data. All the same a name can lead to where cloud machines keep
their credentials, so every address is looked at before anything is connected to it.
"""

import asyncio
import math
import os
import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from preferably.errors import ConfigError

Address = IPv4Address | IPv6Address

# Where clouds tell a machine its own credentials, beside all link-local addresses.
CREDENTIALS = ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")
TRANSLATED = ip_network("64:ff9b::/96")  # an IPv4 address as IPv6 networks write it
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class RemoteError(ConfigError):
    """A server that cannot be asked any more; what it said before is kept."""

    exit_code = 8


@dataclass(frozen=True, slots=True)
class Server:
    """A server and how it is asked. Raises `ConfigError` for what cannot be used.

    `url` goes up to and with the version (`http://127.0.0.1:8000/v1`). Its key is in the environment variable
    `key_env`, and is sent to that address and no other; without a name none is sent.
    """

    url: str
    key_env: str = ""
    timeout: float = 120.0  # seconds for one try, from connecting to the last byte
    deadline: float = 900.0  # seconds for a request, with every further try and every wait
    concurrency: int = 8  # requests at one time

    def __post_init__(self) -> None:
        """Refuse what is no address of a server."""
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"{self.url!r} is no URL of a server: {error}.") from None
        if parts.username is not None or parts.password is not None:  # and is not shown
            raise ConfigError("A server's URL holds no name or password; name a variable with the key by key_env.")
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
            raise ConfigError(f"{self.url!r} is no URL of a server; expected, for example, http://127.0.0.1:8000/v1.")
        if parts.query or parts.fragment or re.search(r"[\s\\\x00-\x1f]", self.url):
            raise ConfigError(f"{self.url!r} has more than host, port and path; leave the rest out.")
        if self.key_env and not NAME.fullmatch(self.key_env):
            raise ConfigError("key_env is the name of an environment variable, not a key; a key has no place in files.")
        for name in ("timeout", "deadline"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} is a number of seconds above 0; got {value}.")
        if self.concurrency < 1:
            raise ConfigError(f"concurrency is 1 or more; got {self.concurrency}.")

    @property
    def host(self) -> str:
        """Its name, or its address as text."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The one that is given, or that of the scheme."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    def key(self) -> str:
        """The key; empty where none is wanted. `ConfigError` where it is not there, or is none. It is never shown."""
        if not self.key_env:
            return ""
        key = os.environ.get(self.key_env, "").strip()
        if not key:
            raise ConfigError(f"The environment variable {self.key_env} is not set; it should hold the server's key.")
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigError(f"What {self.key_env} holds is no key: it has spaces or characters that no key has.")
        return key

    async def addresses(self) -> list[str]:
        """Where it is, as texts of addresses. `RemoteError` where its name leads nowhere; `ConfigError` for an address
        that is not connected to, and for a key that would travel unencrypted through a public network."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise RemoteError(f"The server {self.url} is not found: {error}. Look at its name.") from error
        texts = list(dict.fromkeys(str(entry[4][0]).split("%")[0] for entry in found))
        for text in texts:
            self._refuse(ip_address(text))
        return texts

    def _refuse(self, address: Address) -> None:
        plain = _unwrapped(address)
        odd = plain.is_link_local or plain.is_multicast or (plain.version == 4 and plain.is_reserved)
        if odd or str(plain) in CREDENTIALS:
            raise ConfigError(
                f"{self.url} leads to {address}, an address where machines keep credentials or that belongs to no "
                "server; it is not connected to."
            )
        if plain.is_unspecified:
            raise ConfigError(f"{self.url} is an address to listen at, not to connect to; try http://127.0.0.1:PORT.")
        if self.key_env and plain.is_global and urlsplit(self.url).scheme == "http":
            raise ConfigError(f"The key of {self.url} would travel unencrypted; use https, or leave key_env out.")


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 address may stand for."""
    if isinstance(address, IPv6Address):
        if address in TRANSLATED:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address
