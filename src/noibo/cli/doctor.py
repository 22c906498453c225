"""`noibo doctor`: what works here, what does not, and what to do about it.

Nothing leaves the machine for it unless `--online` is given, and nothing on the machine is changed.
A check that fails in a way nobody thought of is a finding too, never a traceback.
"""

from __future__ import annotations

from collections.abc import Iterator
from json import dumps
from typing import Annotated

import typer

from noibo.cli import (
    context,
    doctor_checks,
    doctor_elsewhere,
    doctor_engine,
    doctor_isolation,
    doctor_money,
    doctor_network,
)
from noibo.cli.doctor_checks import Check, Finding, Level
from noibo.errors import NoiboError
from noibo.settings import Settings, find_home

CHECKS: dict[str, Check] = {
    "machine": doctor_engine.machine,
    "home": doctor_checks.home,
    "offline": doctor_network.offline,
    "engine": doctor_engine.engine,
    "workers": doctor_isolation.workers,
    "graphics": doctor_engine.graphics,
    "model": doctor_checks.default_model,
    "elsewhere": doctor_elsewhere.elsewhere,
    "money": doctor_money.money,
    "store": doctor_checks.store,
    "server": doctor_network.server,
}
MARKS = {Level.OK: "ok", Level.WARNING: "warning", Level.PROBLEM: "PROBLEM"}


def doctor(
    online: Annotated[
        bool, typer.Option("--online", help="Also ask the package index whether it answers.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check that everything noibo needs works here."""
    findings = []
    for name, finding in _examine(online):
        findings.append((name, finding))
        if not json:
            _print(name, finding)
    sound = all(finding.level is not Level.PROBLEM for _, finding in findings)
    if json:
        rows = [{"check": name, **finding.as_dict()} for name, finding in findings]
        print(dumps({"ok": sound, "findings": rows}, indent=2))
    if not sound:
        raise typer.Exit(1)


def _examine(online: bool) -> Iterator[tuple[str, Finding]]:
    """Every finding under the name of its check, as it is made."""
    yield "python", doctor_checks.python()
    fault, tree = _settings()
    if fault:
        yield "settings", fault
    if tree is None:
        return  # no home, nothing to look at
    if not fault:
        yield "settings", doctor_checks.settings_found(tree)
    for name, check in CHECKS.items():
        for finding in _sheltered(check, tree):
            yield name, finding
    asking = doctor_network.package_index if online else doctor_network.package_index_unasked
    for finding in _sheltered(asking, tree):
        yield "index", finding


def _settings() -> tuple[Finding | None, Settings | None]:
    """The settings; where they cannot be read, what is wrong, and the defaults in their place."""
    try:
        return None, context.settings()
    except NoiboError as error:
        fault = Finding.of(error)
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is a finding
        fault = Finding.unexpected(exc)
    try:
        home = find_home()
    except Exception:  # noqa: BLE001 - it is why the settings could not be read
        return fault, None
    return fault, Settings(home=home, file=home / "noibo.toml")


def _sheltered(check: Check, tree: Settings) -> Iterator[Finding]:
    try:
        yield from check(tree)
    except NoiboError as error:
        yield Finding.of(error)
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is a finding
        yield Finding.unexpected(exc)


def _print(name: str, finding: Finding) -> None:
    first, *more = finding.text.splitlines()
    step = f" {finding.next_step}" if finding.next_step else ""
    print(f"{MARKS[finding.level]:<8} {name:<9} {first}{step}", flush=True)
    for line in more:
        print(f"{'':18} {line}")
