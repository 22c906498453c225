"""TLS by two settings: commands trust just their server; what does not do is said at the start."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import httpx2
import openai
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from noibo import Client
from noibo.client.connection import _only
from noibo.errors import ServerUnreachable, SettingsError
from noibo.serving import serve
from noibo.settings import load
from tests.gateway.admitting import GUARD, own_address
from tests.running import RunningServer, run_noibo

PEM = serialization.Encoding.PEM


class Signed:
    """A key, and a certificate for this machine that it signs itself, or that `by` signs."""

    def __init__(self, folder: Path, name: str, by: Signed | None = None) -> None:
        self.secret = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        signer = by or self
        self.subject = subject
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signer.subject)
            .public_key(self.secret.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .sign(signer.secret, hashes.SHA256())
        )
        self.cert, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        chain = [self, *([by] if by else [])]
        self.cert.write_bytes(b"".join(one.certificate.public_bytes(PEM) for one in chain))
        self.key.write_bytes(self.private())

    def private(self, password: bytes = b"") -> bytes:
        kept: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password:
            kept = serialization.BestAvailableEncryption(password)
        return self.secret.private_bytes(PEM, serialization.PrivateFormat.PKCS8, kept)

    def settings(self) -> dict[str, str]:
        return {"NOIBO_SERVER_TLS_CERT": str(self.cert), "NOIBO_SERVER_TLS_KEY": str(self.key)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def own(folder: Path) -> Signed:
    return Signed(folder, "own")


@pytest.fixture(scope="module")
def other(folder: Path) -> Signed:
    return Signed(folder, "other")


@pytest.fixture(scope="module")
def running(folder: Path, own: Signed) -> Iterator[RunningServer]:
    with RunningServer(folder / "home", **own.settings()) as server:
        yield server


def test_the_commands_speak_tls_with_their_server(running: RunningServer) -> None:
    assert running.url.startswith("https://127.0.0.1:")
    assert run_noibo("ps", home=running.home).returncode == 0
    said = run_noibo("run", "echo", "one two", home=running.home)
    assert (said.returncode, said.stdout.strip()) == (0, "one two"), said.stderr


def test_official_clients_speak_it(running: RunningServer, own: Signed) -> None:
    trusted = ssl.create_default_context(cafile=str(own.cert))
    url = running.url + "/v1"
    http = openai.DefaultHttpxClient(verify=trusted, trust_env=False)
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0, http_client=http) as client:
        said = client.completions.create(model="echo", prompt="one two")
        assert said.choices[0].text.strip() == "one two"
    stranger = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
    with stranger, pytest.raises(openai.APIConnectionError):
        stranger.models.list()


def test_a_cookie_is_for_tls_only_and_pages_have_their_origin(
    running: RunningServer, own: Signed
) -> None:
    trusted = ssl.create_default_context(cafile=str(own.cert))
    with httpx2.Client(base_url=running.url, verify=trusted, headers=GUARD) as client:
        user = {"name": "an", "password": "a long password"}
        page = {"Origin": running.url}
        assert client.post("/noibo/v1/users", json=user, headers=page).status_code == 201
        answer = client.post("/noibo/v1/session", json=user, headers=page)
        (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
        assert cookie["secure"] is True
        assert cookie.key == "__Host-noibo_session"  # no neighbour's page can plant one
        assert cookie["domain"] == ""
        assert client.get("/noibo/v1/session").json()["name"] == "user:an"
        planted = {"Cookie": f"noibo_session={cookie.value}"}
        bare = httpx2.get(running.url + "/noibo/v1/session", verify=trusted, headers=planted)
        assert bare.json()["name"] != "user:an"
        plain = {"Origin": running.url.replace("https:", "http:")}
        assert client.get("/noibo/v1/keys", headers=plain).status_code == 403


def test_without_tls_it_does_not_answer(running: RunningServer) -> None:
    with pytest.raises(httpx2.HTTPError):
        httpx2.get(running.url.replace("https:", "http:") + "/health", timeout=20)


def test_another_server_in_its_place_is_not_believed(
    folder: Path, other: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = folder / "elsewhere"
    with RunningServer(home, **other.settings()) as server:
        monkeypatch.setenv("NOIBO_HOME", str(home))
        with Client() as client:
            assert client.status().pid
        state = home / "server.json"
        said = json.loads(state.read_text())
        assert said["certificate"] == str(other.cert)
        said["certificate"] = str(Signed(folder, "third").cert)
        kept = state.read_text()
        state.write_text(json.dumps(said))
        with Client() as client, pytest.raises(ServerUnreachable):
            client.status()
        state.write_text(kept)
        assert server.process.poll() is None


def test_who_signed_the_certificate_is_not_believed(folder: Path) -> None:
    """A file with its chain in it: the first is the server's, and only that is trusted."""
    authority = Signed(folder, "ca")
    mine = Signed(folder, "mine", authority)
    twin = Signed(folder, "twin", authority)
    assert mine.cert.read_text().count("BEGIN CERTIFICATE") == 2

    def believed(theirs: Signed) -> bool:
        there, here = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(theirs.cert, theirs.key)
        client = _only(str(mine.cert)).wrap_bio(there, here)
        server = context.wrap_bio(here, there, server_side=True)
        for _ in range(4):
            for end in (client, server):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
                except ssl.SSLCertVerificationError:
                    return False
        return True

    assert believed(mine)
    assert not believed(twin)
    with pytest.raises(SettingsError, match="cannot be read"):
        _only(str(mine.key))


def test_a_path_from_where_it_was_started_is_found_from_anywhere(
    folder: Path, own: Signed, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    together = folder / "together.pem"
    together.write_bytes(own.key.read_bytes() + own.cert.read_bytes())
    monkeypatch.chdir(folder)
    with RunningServer(home, NOIBO_SERVER_TLS_CERT="together.pem"):
        monkeypatch.chdir("/")
        assert run_noibo("ps", home=home).returncode == 0


def test_files_that_do_not_do_are_said_at_the_start(
    folder: Path, own: Signed, other: Signed
) -> None:
    locked = folder / "locked.key"
    locked.write_bytes(own.private(b"a password"))
    nothing = folder / "nothing.pem"
    nothing.write_text("nothing of the kind")
    for cert, key, words in (
        ("", own.key, "server.tls_key is set, and server.tls_cert is not"),
        (folder / "missing.pem", own.key, "No such file"),
        (own.cert, folder / "missing.key", "No such file"),
        (own.cert, other.key, "cannot be used"),
        (own.cert, locked, "without a password"),
        (own.cert, "", "cannot be used"),
        (nothing, own.key, "cannot be used"),
        (folder, own.key, "cannot be used"),
    ):
        said = {"server.tls_cert": str(cert), "server.tls_key": str(key), "server.port": 0}
        tree = load(options=said)
        with pytest.raises(SettingsError) as caught:
            serve(tree, None, lambda url: pytest.fail(f"it serves on {url}"))
        assert words in str(caught.value), (cert, key)


def test_a_refusal_to_start_is_an_exit_code_and_words(home: Path, own: Signed) -> None:
    found = run_noibo("serve", "--port", "0", home=home, NOIBO_SERVER_TLS_KEY=str(own.key))
    assert found.returncode == 2
    assert "server.tls_cert is not" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.heavy
def test_from_elsewhere_with_a_key(home: Path, own: Signed) -> None:
    made = run_noibo("key", "create", "laptop", home=home).stdout.strip()
    with RunningServer(home, "--host", "0.0.0.0", **own.settings()) as server:
        url = f"https://{own_address()}:{server.url.rpartition(':')[2]}/v1/models"
        context = _only(str(own.cert))
        assert httpx2.get(url, verify=context, trust_env=False).status_code == 401
        bearer = {"Authorization": f"Bearer {made}"}
        assert httpx2.get(url, verify=context, headers=bearer, trust_env=False).status_code == 200
        assert run_noibo("ps", home=home).returncode == 0
