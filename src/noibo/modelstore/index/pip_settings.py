"""How the user's pip is set: which indexes, proxy, certificates, patience.

pip is asked which files it reads (`pip config debug`); they are read here in pip's own order
(global, user, environment's folder, PIP_CONFIG_FILE, PIP_* variables), because newer versions of
`pip config list` print every file's value and not the one that counts. Where pip is absent (a venv
made by uv), the files it would read are looked for in their standard places, and uv's variables
stand in where no index is set.

Index addresses may carry passwords: they are never part of a `repr`, a log line or a message.
"""

from __future__ import annotations

import configparser
import locale
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from noibo import settings
from noibo.errors import FetchError

PYPI: Final = "https://pypi.org/simple"
TIMEOUT_S: Final = 15.0  # pip's own defaults
RETRIES: Final = 5

# The order in which pip lets one file override another.
_KINDS: Final = ("global", "user", "site", "env")
_SECTIONS: Final = ("global", "install", "download", ":env:")
_SAME_OPTION: Final = {"default-timeout": "timeout", "pypi-url": "index-url"}
_NOISE: Final = ("PIP_QUIET", "PIP_VERBOSE", "PIP_LOG")
_FILE_LINE: Final = re.compile(r"\s+(?P<path>.+), exists: (?:True|False)")


@dataclass(frozen=True, slots=True)
class PipSettings:
    """What pip would use. `indexes` and `find_links` are URLs or folders, in pip's order."""

    indexes: tuple[str, ...] = field(default=(PYPI,), repr=False)
    find_links: tuple[str, ...] = field(default=(), repr=False)
    trusted_hosts: tuple[str, ...] = ()
    proxy: str | None = field(default=None, repr=False)
    use_proxy_variables: bool = True
    ca_bundle: str | None = None
    client_cert: str | None = None
    timeout_s: float = TIMEOUT_S
    retries: int = RETRIES
    netrc: str | None = None


def read() -> PipSettings:
    """Ask pip, or stand in for it; raises `FetchError` where its settings cannot be read."""
    environ = settings.full_environment()
    files = _files_pip_reads(environ)
    if files is not None:
        return _understand(_merge(files, environ), environ)
    options = _merge(_standard_files(environ), environ)
    return _understand(_uv_options(environ) | options, environ)


def _files_pip_reads(environ: Mapping[str, str]) -> list[Path] | None:
    """The configuration files in rising order of weight; None where there is no pip."""
    asked = {name: value for name, value in environ.items() if name not in _NOISE}
    command = [settings.python_executable(), "-P", "-m", "pip", "config", "debug"]
    try:
        answer = subprocess.run(
            command, env=asked, capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    if answer.returncode != 0:
        if "No module named pip" in answer.stderr:
            return None
        raise FetchError(
            "pip cannot read its own configuration.",
            next_step="`python -m pip config debug` says why; mend that first.",
        )
    found: dict[str, list[Path]] = {}
    kind = ""
    for line in answer.stdout.splitlines():
        if line[:1].strip() and line.endswith(":"):
            kind = line[:-1]
        elif (match := _FILE_LINE.fullmatch(line)) and kind in _KINDS:
            found.setdefault(kind, []).append(Path(match["path"]))
    return _in_order(found)


def _standard_files(environ: Mapping[str, str]) -> list[Path]:
    """The files pip would read on this platform."""
    import platformdirs

    name = "pip.ini" if os.name == "nt" else "pip.conf"
    shared = platformdirs.site_config_path("pip", appauthor=False, multipath=False)
    user = platformdirs.user_config_path("pip", appauthor=False, roaming=True)
    legacy = Path.home() / ("pip" if os.name == "nt" else ".pip")
    found = {
        "global": [shared / name] if os.name == "nt" else [shared / name, Path("/etc") / name],
        "user": [legacy / name, user / name],
        "site": [Path(sys.prefix) / name],
    }
    if named := environ.get("PIP_CONFIG_FILE"):
        found["env"] = [Path(named)]
        if Path(named).exists():
            del found["user"]
    return _in_order(found)


def _in_order(found: Mapping[str, list[Path]]) -> list[Path]:
    if found.get("env", [])[:1] == [Path(os.devnull)]:
        return []
    return [path for kind in _KINDS for path in found.get(kind, [])]


def _merge(files: list[Path], environ: Mapping[str, str]) -> dict[str, str]:
    """One value an option: later files win within a section, later sections over earlier ones."""
    sections: dict[str, dict[str, str]] = {name: {} for name in _SECTIONS}
    for path in files:
        for section, name, value in _read_file(path):
            if section in sections:
                sections[section][_option(name)] = value
    for name, value in environ.items():
        if name.startswith("PIP_"):
            sections[":env:"][_option(name[4:])] = value
    return {
        name: value
        for section in _SECTIONS
        for name, value in sections[section].items()
        if value  # pip passes over empty values
    }


def _read_file(path: Path) -> Iterator[tuple[str, str, str]]:
    if not path.exists():
        return
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding=locale.getpreferredencoding(False))
    except (configparser.Error, UnicodeDecodeError, OSError):
        # Said without the parser's own words: they quote the line, and it may hold a password.
        raise FetchError(
            f"pip's configuration file {path} cannot be read.",
            next_step="`python -m pip config debug` says why; mend that first.",
        ) from None
    for section in parser.sections():
        for name, value in parser.items(section):
            yield section, name, value


def _option(name: str) -> str:
    plain = name.lower().replace("_", "-").removeprefix("--")
    return _SAME_OPTION.get(plain, plain)


def _uv_options(environ: Mapping[str, str]) -> dict[str, str]:
    """uv's variables for the same things, as pip's options."""
    first = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL") or ""
    more = environ.get("UV_INDEX", "") + " " + environ.get("UV_EXTRA_INDEX_URL", "")
    wanted = {
        "index-url": _without_index_name(first),
        "extra-index-url": " ".join(_without_index_name(one) for one in more.split()),
        "find-links": environ.get("UV_FIND_LINKS", "").replace(",", " "),
        "no-index": environ.get("UV_NO_INDEX", ""),
        "trusted-host": environ.get("UV_INSECURE_HOST", ""),
    }
    return {name: value for name, value in wanted.items() if value.strip()}


def _without_index_name(entry: str) -> str:
    """uv writes `name=https://…`."""
    name, equals, url = entry.partition("=")
    return url if equals and "/" not in name else entry


def _understand(options: Mapping[str, str], environ: Mapping[str, str]) -> PipSettings:
    indexes = [options.get("index-url", PYPI), *options.get("extra-index-url", "").split()]
    proxy = options.get("proxy")
    # pip's HTTP library lets these two variables win over the option `cert`.
    bundle = environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE")
    return PipSettings(
        indexes=() if _is_true(options, "no-index") else tuple(indexes),
        find_links=tuple(options.get("find-links", "").split()),
        trusted_hosts=tuple(options.get("trusted-host", "").split()),
        proxy=proxy,
        use_proxy_variables=proxy is None and not _is_true(options, "no-proxy-env"),
        ca_bundle=bundle or options.get("cert"),
        client_cert=options.get("client-cert"),
        timeout_s=_number(options, "timeout", TIMEOUT_S),
        retries=int(_number(options, "retries", RETRIES)),
        netrc=environ.get("NETRC"),
    )


def _is_true(options: Mapping[str, str], name: str) -> bool:
    return options.get(name, "").lower() in {"y", "yes", "t", "true", "on", "1"}


def _number(options: Mapping[str, str], name: str, default: float) -> float:
    text = options.get(name)
    if text is None:
        return default
    try:
        return max(0.0, float(text))
    except ValueError:
        raise FetchError(
            f"pip's option {name} is {text!r}, which is not a number.",
            next_step=f"Mend it: `python -m pip config unset global.{name}`.",
        ) from None
