"""Brings a database from any earlier version to this one: small numbered steps, never changed.

A step that has been released stays as it is; a change of the schema is a new step. All that are
missing run in one transaction: a database is at a version or at the next, never between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from noibo.errors import DatabaseError

if TYPE_CHECKING:
    from alembic.operations import Operations

_version: Final = sa.table("noibo_schema", sa.column("version", sa.Integer))
_LOCK: Final = 0x6E6F69626F  # "noibo": one migrates, others wait


def _responses(op: Operations) -> None:
    op.create_table(
        "responses",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("previous_id", sa.String(64)),
        sa.Column("seen_at", sa.Float(53), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("events", sa.LargeBinary),
    )
    op.create_index("responses_of_owner", "responses", ["owner", "created_at"])
    op.create_table(
        "response_items",
        sa.Column(
            "response_id",
            sa.String(64),
            sa.ForeignKey("responses.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("place", sa.Integer, primary_key=True),
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("is_output", sa.Boolean, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("response_items_by_id", "response_items", ["owner", "id"])


def _files(op: Operations) -> None:
    op.create_table(
        "files",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.Float(53)),
        sa.Column("name", sa.Text, nullable=False),
    )
    op.create_index("files_of_owner", "files", ["owner", "created_at"])


def _batches(op: Operations) -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("expires_at", sa.Float(53), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("input_file_id", sa.String(64), nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("completed", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("batches_of_owner", "batches", ["owner", "created_at"])
    op.create_index("batches_by_status", "batches", ["status"])
    op.create_table(
        "batch_results",
        sa.Column(
            "batch_id",
            sa.String(64),
            sa.ForeignKey("batches.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("line", sa.Integer, primary_key=True),
        sa.Column("ok", sa.Boolean, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )


def _leases(op: Operations) -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("until", sa.Float(53), nullable=False),
    )


def _responses_by_age(op: Operations) -> None:
    op.create_index("responses_by_age", "responses", ["created_at"])


def _access(op: Operations) -> None:
    op.create_table("access_version", sa.Column("version", sa.Integer, nullable=False))
    op.execute("INSERT INTO access_version (version) VALUES (0)")
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("models", sa.Text, nullable=False),
        sa.Column("routes", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("expires_at", sa.Float(53)),
        sa.Column("revoked_at", sa.Float(53)),
    )
    op.create_table(
        "users",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("user", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("seen_at", sa.Float(53), nullable=False),
    )
    op.add_column("batches", sa.Column("asked_by", sa.String(64)))


def _usage(op: Operations) -> None:
    op.create_table(
        "usage",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("request", sa.String(64), nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.Column("quarter", sa.Integer, nullable=False),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("asked", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("route", sa.String(128), nullable=False),
        sa.Column("reasons", sa.Text, nullable=False),
        sa.Column("local", sa.Boolean, nullable=False),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("input", sa.BigInteger),
        sa.Column("cached", sa.BigInteger),
        sa.Column("cache_write", sa.BigInteger),
        sa.Column("output", sa.BigInteger),
        sa.Column("reasoning", sa.BigInteger),
        sa.Column("images", sa.BigInteger),
        sa.Column("first_ms", sa.BigInteger),
        sa.Column("total_ms", sa.BigInteger),
        sa.Column("cost", sa.BigInteger),
        sa.Column("cost_by", sa.String(16), nullable=False),
        sa.Column("label", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
    )
    op.create_index("usage_by_quarter", "usage", ["quarter"])
    op.create_index("usage_of_owner", "usage", ["owner", "quarter"])
    op.create_index("usage_of_request", "usage", ["request"])


def _budgets(op: Operations) -> None:
    op.create_table(
        "budget_spending",
        sa.Column("scope", sa.String(300), primary_key=True),
        sa.Column("period", sa.String(16), primary_key=True),
        sa.Column("spent", sa.BigInteger, nullable=False),
        sa.Column("reserved", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "budget_calls",
        sa.Column("scope", sa.String(300), primary_key=True),
        sa.Column("reservation", sa.String(64), primary_key=True),
        sa.Column("at", sa.Float(53), nullable=False),
    )
    op.create_index("budget_calls_by_age", "budget_calls", ["at"])
    op.create_table(
        "budget_reservations",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("claims", sa.Text, nullable=False),
        sa.Column("entry", sa.Text, nullable=False),
    )
    op.create_index("budget_reservations_of_holder", "budget_reservations", ["state", "holder"])
    op.create_table(
        "budget_holders",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("until", sa.Float(53), nullable=False),
    )


def _labels_of_files(op: Operations) -> None:
    op.add_column("files", sa.Column("label", sa.Text))


STEPS: Final[tuple[Callable[[Operations], None], ...]] = (
    _responses,
    _files,
    _batches,
    _leases,
    _responses_by_age,
    _access,
    _usage,
    _budgets,
    _labels_of_files,
)


def is_current(connection: Connection) -> bool:
    """True if nothing is left to do. Raises `DatabaseError` for one that a newer noibo wrote."""
    found = _found(connection)
    if found > len(STEPS):
        raise DatabaseError(
            f"The database was written by a newer noibo: its schema is {found}, this one knows"
            f" {len(STEPS)}.",
            next_step="Run that version again (`pip install -U noibo`), or name another database:"
            " database.url.",
        )
    return found == len(STEPS)


def migrate(connection: Connection) -> None:
    """Do what is missing. In a transaction that writes, which the caller commits."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    if is_current(connection):
        return
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

    found = _found(connection)
    op = Operations(MigrationContext.configure(connection))
    if not found:
        op.create_table("noibo_schema", sa.Column("version", sa.Integer, nullable=False))
        connection.execute(_version.insert().values(version=0))
    for step in STEPS[found:]:
        step(op)
    connection.execute(_version.update().values(version=len(STEPS)))


def _found(connection: Connection) -> int:
    if not sa.inspect(connection).has_table(_version.name):
        return 0
    return int(connection.execute(sa.select(_version.c.version)).scalar_one())
