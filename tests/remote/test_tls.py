"""Servers that speak TLS: requests go to an address, and what is believed is a certificate of the name."""

import gc
import shutil
import ssl
import subprocess

import pytest
from fault_server import FaultServer

from preferably.remote import waiting
from preferably.remote.client import Client
from preferably.remote.server import RemoteError, Server

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl, which makes the certificates, is not here"
)
EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1")
BODY = {"model": "m", "messages": [{"role": "user", "content": "?"}]}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """The folder of an authority of our own, ca.pem, with what it says of localhost and of another name."""
    folder = tmp_path_factory.mktemp("authority")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", *EC, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Our authority",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    for name in ("localhost", "other.example"):
        (folder / "names").write_text(
            f"subjectAltName=DNS:{name}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n", encoding="utf-8"
        )
        openssl("req", *EC[:-2], "-keyout", f"{name}.key", "-out", "asked", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", "asked", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "1", "-extfile", "names",
                "-out", f"{name}.pem")  # fmt: skip
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(waiting, "FIRST", 0.002)


def speaking(authority, name):
    """The context of a server with that certificate, and the names that it was asked for."""
    context, asked = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    context.load_cert_chain(authority / f"{name}.pem", authority / f"{name}.key")
    context.sni_callback = lambda socket, name, context: asked.append(name)
    return context, asked


def ask(url, timeout=20):
    return Client(Server(url, key_env="SOME_KEY", timeout=timeout, deadline=2 * timeout)).ask([BODY])


def test_an_authority_of_one_s_own_is_believed_where_the_environment_names_it(authority, monkeypatch):
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    context, names = speaking(authority, "localhost")
    with FaultServer(ssl=context) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
        [found] = ask(server.url)
        assert found.text == "hello" and set(names) == {"localhost"}
        assert server.seen[0].headers["host"] == f"localhost:{server.port}"
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(RemoteError, match="certificate that is not believed.*SSL_CERT_FILE"):
            ask(server.url)
        assert len(server.seen) == 1


# The HTTP library leaves the socket of a handshake that was given up to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_certificate_of_another_name_and_no_tls_at_all_end_asking_before_the_key_is_sent(authority, monkeypatch):
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    with FaultServer(ssl=speaking(authority, "other.example")[0]) as server:
        with pytest.raises(RemoteError, match="certificate that is not believed"):
            ask(server.url)
        assert not server.seen
    with FaultServer() as server:
        with pytest.raises(RemoteError, match="in time|cannot be connected to"):
            ask(f"https://localhost:{server.port}/v1", timeout=0.3)
        assert not server.seen
    gc.collect()  # here, and not in the test that comes next
