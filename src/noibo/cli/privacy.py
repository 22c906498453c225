"""`noibo privacy`: what left this machine, the proof of it, and what is kept about whom."""

from __future__ import annotations

import typer

from noibo.cli.privacy_audit import audit
from noibo.cli.privacy_ledger import head, verify
from noibo.cli.privacy_left import report, sent
from noibo.cli.privacy_people import erase_person, export_person, find_person
from noibo.cli.privacy_retain import retain
from noibo.cli.privacy_scan import scan
from noibo.cli.privacy_seal import new_key, reseal

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Show what left this machine; export, erase what is kept of a person.",
)
app.command("verify")(verify)
app.command("head")(head)
app.command("report")(report)
app.command("sent")(sent)
app.command("audit")(audit)
app.command("find-person")(find_person)
app.command("export-person")(export_person)
app.command("erase-person")(erase_person)
app.command("retain")(retain)
app.command("new-key")(new_key)
app.command("reseal")(reseal)
app.command("scan")(scan)


@app.callback()
def _group() -> None:
    """Show what left this machine; export, erase what is kept of a person."""
