"""The way to the network as pip has it: proxies, certificates, credentials. Behind the door.

`PipTransport` carries one request over the right proxy with the right trust. `Credentials` adds
the passwords that index addresses or netrc hold, for their own host only. `clean` takes passwords
out of a URL before anybody reads it.
"""

from __future__ import annotations

import ipaddress
import netrc
import ssl
import urllib.request
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

import httpx2

from noibo.egress import Pass
from noibo.errors import FetchError
from noibo.modelstore.pip_settings import PipSettings

# Statuses after which another try may do better.
PASSING_FAULTS: Final = frozenset({408, 429, 500, 502, 503, 504, 520, 527})


def clean(url: str) -> str:
    """The URL for human eyes: no user, no password, no query (it may be a signature)."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, _host_and_port(parts), parts.path, "", ""))


def without_password(url: str) -> str:
    """The URL without user and password, otherwise whole."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=_host_and_port(parts)))


def _host_and_port(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


class Credentials(httpx2.Auth):
    """Basic authentication from index addresses, else netrc, each for its own host and port."""

    def __init__(self, urls: Iterable[str], netrc_file: str | None = None) -> None:
        self._urls = [parts for parts in map(urlsplit, urls) if parts.username is not None]
        self._netrc = _read_netrc(netrc_file)

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        found = self._find(request.url)
        if found is None:
            yield request
        else:
            yield from httpx2.BasicAuth(*found).auth_flow(request)

    def _find(self, url: httpx2.URL) -> tuple[str, str] | None:
        target = urlsplit(str(url))
        same = [one for one in self._urls if _place(one) == _place(target)]
        if same:
            best = max(same, key=lambda one: target.path.startswith(one.path) * len(one.path))
            return unquote(best.username or ""), unquote(best.password or "")
        entry = self._netrc.authenticators(url.host) if self._netrc else None
        return (entry[0], entry[2] or "") if entry else None


def _place(parts: SplitResult) -> tuple[str, str | None, int | None]:
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


def _read_netrc(named: str | None) -> netrc.netrc | None:
    names = [named] if named else ["~/.netrc", "~/_netrc"]
    for path in (Path(name).expanduser() for name in names):
        try:
            return netrc.netrc(str(path))
        except (OSError, netrc.NetrcParseError):
            continue  # as pip: a netrc that cannot be read is no netrc
    return None


class PipTransport(httpx2.BaseTransport):
    """Sends a request the way pip would; what its socket connects to passes the door as well."""

    def __init__(self, pip: PipSettings, guard: Pass) -> None:
        self._pip = pip
        self._guard = guard
        self._ways: dict[tuple[str | None, bool], httpx2.HTTPTransport] = {}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        proxy = proxy_for(str(request.url), self._pip)
        if proxy is not None:
            self._guard.admit(proxy)  # the user's own setting
            self._guard.check(without_password(proxy), "CONNECT")
        way = (proxy, is_trusted(str(request.url), self._pip.trusted_hosts))
        if way not in self._ways:
            self._ways[way] = self._open_way(*way)
        return self._ways[way].handle_request(request)

    def _open_way(self, proxy: str | None, trusted: bool) -> httpx2.HTTPTransport:
        context = trust(self._pip, verify=not trusted)
        return httpx2.HTTPTransport(verify=context, proxy=proxy, trust_env=False)

    def close(self) -> None:
        for way in self._ways.values():
            way.close()


def trust(pip: PipSettings, *, verify: bool = True) -> ssl.SSLContext:
    """The system's trust, the bundle pip is given, and the client's own certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if verify:
            context = httpx2.create_ssl_context()
        else:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if verify and pip.ca_bundle:
            bundle = Path(pip.ca_bundle).expanduser()
            if bundle.is_dir():
                context.load_verify_locations(capath=bundle)
            else:
                context.load_verify_locations(cafile=bundle)
        if pip.client_cert:
            context.load_cert_chain(Path(pip.client_cert).expanduser())
    except OSError as exc:  # ssl.SSLError is one
        raise FetchError(
            f"The certificates that pip is set to cannot be read: {exc.strerror or exc}.",
            next_step="Check SSL_CERT_FILE, REQUESTS_CA_BUNDLE and pip's options cert and "
            "client-cert.",
        ) from exc
    return context


def is_trusted(url: str, trusted_hosts: Iterable[str]) -> bool:
    """True where pip's trusted-host lifts the check of certificates, and lets http:// pass."""
    target = urlsplit(url)
    for trusted in trusted_hosts:
        one = urlsplit(f"//{trusted}")
        if one.hostname == target.hostname and one.port in {None, target.port}:
            return True
    return False


def proxy_for(url: str, pip: PipSettings) -> str | None:
    """The proxy pip would use for `url`: its own option, else the system's, minus no_proxy."""
    if pip.proxy is not None:
        return _with_scheme(pip.proxy)
    host = urlsplit(url).hostname or ""
    if not pip.use_proxy_variables or _is_excepted(url, host):
        return None
    proxies = urllib.request.getproxies()
    scheme = urlsplit(url).scheme
    for key in (f"{scheme}://{host}", scheme, f"all://{host}", "all"):
        if proxies.get(key):
            return _with_scheme(proxies[key])
    return None


def _is_excepted(url: str, host: str) -> bool:
    port = urlsplit(url).port
    if urllib.request.proxy_bypass(f"{host}:{port}" if port else host):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for entry in urllib.request.getproxies().get("no", "").split(","):
        try:  # requests, and so pip, reads networks here too
            if address in ipaddress.ip_network(entry.strip()):
                return True
        except ValueError:
            continue
    return False


def _with_scheme(proxy: str) -> str:
    if "://" not in proxy:
        return f"http://{proxy}"
    if not proxy.startswith(("http://", "https://")):
        raise FetchError(
            "pip is set to a SOCKS proxy, which noibo cannot use yet.",
            next_step="Set an HTTP proxy: `python -m pip config set global.proxy "
            "http://HOST:PORT`.",
        )
    return proxy


def status_fault(url: str, status: int) -> str:
    """Why an address did not give what was asked, by its HTTP status."""
    why = {
        401: "it wants a user and a password (in the index address, or in netrc)",
        403: "it refuses (403)",
        404: "it does not have it (404)",
        407: "the proxy wants a user and a password",
    }
    return f"{clean(url)}: {why.get(status, f'it answered {status}')}"


def is_lasting(exc: httpx2.TransportError) -> bool:
    """True for a fault that another try cannot mend."""
    return "CERTIFICATE_VERIFY_FAILED" in str(exc)


def network_fault(exc: httpx2.TransportError) -> str:
    """What went wrong on the way, in words."""
    text = str(exc)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return (
            "its certificate is not trusted here (a company's own authority: set pip's option "
            "cert, or REQUESTS_CA_BUNDLE)"
        )
    if isinstance(exc, httpx2.ProxyError):
        return f"the proxy refused: {text}"
    if isinstance(exc, httpx2.ConnectTimeout):
        return "no connection within the time pip is set to"
    if isinstance(exc, httpx2.TimeoutException):
        return "it stood still longer than pip's timeout"
    return f"the connection failed: {text}" if text else "the connection failed"
