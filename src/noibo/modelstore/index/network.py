"""Which proxies and certificates lead to a place, as pip has it."""

from __future__ import annotations

import ipaddress
import ssl
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from noibo.errors import FetchError
from noibo.modelstore.index.pip_settings import PipSettings


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
