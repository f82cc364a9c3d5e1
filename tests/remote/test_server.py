"""Where a server may be, and what it may be sent."""

import asyncio
import socket

import pytest
from fault_server import FaultServer

from preferably.errors import ConfigError
from preferably.remote.client import Client
from preferably.remote.server import RemoteError, Server

METADATA = [
    "169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "0xa9.0xfe.0xa9.0xfe",
    "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[fe80::1]",
    "[fd00:ec2::254]", "[fd20:ce::254]", "100.100.100.200", "192.0.0.192", "168.63.129.16", "169.254.170.2",
    "224.0.0.1", "255.255.255.255", "240.0.0.1", "[ff02::1]",
]  # fmt: skip


@pytest.mark.parametrize("host", METADATA)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_addresses_with_credentials_are_not_connected_to(host, scheme):
    with pytest.raises(ConfigError, match="not connected to|not found"):
        Client(Server(f"{scheme}://{host}/v1")).ask([{"messages": []}])


def test_a_name_that_leads_to_one_is_not_connected_to(monkeypatch):
    real = socket.getaddrinfo

    def leads(host, *rest, **more):
        return real("169.254.169.254" if host in ("models.example", b"models.example") else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", leads)
    with pytest.raises(ConfigError, match="keep credentials"):
        Client(Server("http://models.example/v1")).ask([{"messages": []}])


def test_a_name_that_leads_elsewhere_later_is_not_followed(monkeypatch):
    """The address that was looked at is the one that is connected to; the name is not asked for again."""
    real, asked = socket.getaddrinfo, []
    with FaultServer() as server:

        def leads(host, *rest, **more):
            if host not in ("models.example", b"models.example"):
                return real(host, *rest, **more)
            asked.append(host)
            return real("127.0.0.1" if len(asked) == 1 else "169.254.169.254", *rest, **more)

        monkeypatch.setattr(socket, "getaddrinfo", leads)
        bodies = [{"messages": [{"content": str(n)}]} for n in range(5)]
        found = Client(Server(f"http://models.example:{server.port}/v1")).ask(bodies)
        assert [one.state for one in found] == ["ok"] * 5 and len(asked) == 1
        assert server.seen[0].headers["host"] == f"models.example:{server.port}"


@pytest.mark.parametrize("url", [
    "", "127.0.0.1:8000", "ftp://a/v1", "file:///etc/passwd", "http://", "http:///v1", "http://a:99999/v1", "http://a:0/v1",
    "http://a/v1?key=1", "http://a/v1#x", "http://a b/v1", "http://a\\@b/v1", "http://a\n.b/v1", "http://[::1/v1",
    "unix:///run/x", "http://a:b/v1",
])  # fmt: skip
def test_what_is_no_url_of_a_server_is_one_error(url):
    with pytest.raises(ConfigError):
        Server(url)


def test_a_url_with_a_password_is_refused_without_showing_it():
    with pytest.raises(ConfigError) as caught:
        Server("https://user:hunter2@models.example/v1")
    assert "hunter2" not in str(caught.value) and "key_env" in str(caught.value)


def test_listening_everywhere_is_no_address_to_connect_to():
    with pytest.raises(ConfigError, match="127.0.0.1"):
        Client(Server("http://0.0.0.0:8000/v1")).ask([{"messages": []}])


@pytest.mark.parametrize(
    ("key", "told"), [(None, "not set"), ("  ", "not set"), ("two words", "no key"), ("kéy", "no key")]
)
def test_a_variable_without_a_key_is_told_and_not_shown(monkeypatch, key, told):
    monkeypatch.delenv("SOME_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("SOME_KEY", key)
    with pytest.raises(ConfigError, match=told) as caught:
        Client(Server("http://127.0.0.1:1/v1", key_env="SOME_KEY")).ask([{"messages": []}])
    assert key is None or key.strip() == "" or key not in str(caught.value)


def test_a_key_in_place_of_a_name_is_refused():
    with pytest.raises(ConfigError, match="name of an environment variable") as caught:
        Server("http://127.0.0.1/v1", key_env="sk-proj-abc")
    assert "sk-proj" not in str(caught.value)


def test_a_key_does_not_travel_unencrypted_through_a_public_network(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "sk")
    with pytest.raises(ConfigError, match="unencrypted"):
        asyncio.run(Server("http://8.8.8.8/v1", key_env="SOME_KEY").addresses())
    for url in (
        "https://8.8.8.8/v1",
        "http://10.0.0.7/v1",
        "http://127.0.0.1/v1",
        "http://[::1]/v1",
        "http://192.168.1.5/v1",
    ):
        assert asyncio.run(Server(url, key_env="SOME_KEY").addresses())
    assert asyncio.run(Server("http://8.8.8.8/v1").addresses()) == ["8.8.8.8"]


def test_a_name_that_nobody_has_is_told():
    with pytest.raises(RemoteError, match="not found"):
        Client(Server("http://no-such-host.invalid/v1")).ask([{"messages": []}])


@pytest.mark.parametrize(
    "how", [{"timeout": 0}, {"deadline": float("nan")}, {"concurrency": 0}, {"timeout": float("inf")}]
)
def test_numbers_that_mean_nothing_are_refused(how):
    with pytest.raises(ConfigError, match=next(iter(how))):
        Server("http://127.0.0.1/v1", **how)
