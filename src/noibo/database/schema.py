"""The tables, as this version of noibo knows them. `migrations` makes them.

What callers wrote stands in texts of JSON, where a NUL is an escape: PostgreSQL takes no other.
Every object has an owner; whoever reads or deletes names one.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from noibo.database.seal import SealedBytes, SealedText

ID = String(64)
OWNER = String(128)

metadata = MetaData()

responses = Table(
    "responses",
    metadata,
    Column("id", ID, primary_key=True),
    Column("owner", OWNER, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("status", String(32), nullable=False),
    Column("previous_id", ID),
    Column("seen_at", Float(53), nullable=False),  # when its server last said it works on it
    Column("body", SealedText("responses.body"), nullable=False),  # OpenAI's, without its output
    Column(
        "events", SealedBytes("responses.events")
    ),  # of one in the background: its stream, packed
    Index("responses_of_owner", "owner", "created_at"),
    Index("responses_by_age", "created_at"),
)

response_items = Table(
    "response_items",
    metadata,
    Column("response_id", ID, ForeignKey("responses.id", ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True),  # the input's first, then the output's
    Column("id", OWNER, nullable=False),
    Column("owner", OWNER, nullable=False),
    Column("is_output", Boolean, nullable=False),
    Column("body", SealedText("response_items.body"), nullable=False),
    Index("response_items_by_id", "owner", "id"),
)

files = Table(
    "files",
    metadata,
    Column("id", ID, primary_key=True),
    Column("owner", OWNER, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("expires_at", Float(53)),
    Column("name", SealedText("files.name"), nullable=False),  # as JSON
    Column("label", Text),  # that was said of it, if any
    Index("files_of_owner", "owner", "created_at"),
)

batches = Table(
    "batches",
    metadata,
    Column("id", ID, primary_key=True),
    Column("owner", OWNER, nullable=False),
    Column("asked_by", ID),  # the key that its lines are asked with; none: on this machine
    Column("created_at", Float(53), nullable=False),
    Column("expires_at", Float(53), nullable=False),
    Column("status", String(32), nullable=False),
    Column("input_file_id", ID, nullable=False),
    Column("total", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("body", SealedText("batches.body"), nullable=False),  # OpenAI's, without what is beside
    Index("batches_of_owner", "owner", "created_at"),
    Index("batches_by_status", "status"),
)

batch_results = Table(
    "batch_results",
    metadata,
    Column("batch_id", ID, ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("ok", Boolean, nullable=False),
    Column(
        "body", SealedText("batch_results.body"), nullable=False
    ),  # the line of the output or error file
)

usage = Table(
    "usage",
    metadata,
    Column("id", ID, primary_key=True),  # of one call of a model; a request may have several
    Column("request", ID, nullable=False),
    Column("at", Float(53), nullable=False),  # when it ended
    Column("quarter", Integer, nullable=False),  # the quarter of an hour that is in, since 1970
    Column("owner", OWNER, nullable=False),
    Column("key", OWNER, nullable=False),
    Column("asked", Text, nullable=False),  # the name that the caller used
    Column("model", Text, nullable=False),  # the one that answered
    Column("route", OWNER, nullable=False),
    Column("reasons", Text, nullable=False),  # as JSON
    Column("local", Boolean, nullable=False),
    Column("destination", Text, nullable=False),
    Column("input", BigInteger),  # tokens as they were reported; none: they were not
    Column("cached", BigInteger),
    Column("cache_write", BigInteger),
    Column("output", BigInteger),
    Column("reasoning", BigInteger),
    Column("images", BigInteger),
    Column("first_ms", BigInteger),
    Column("total_ms", BigInteger),
    Column("cost", BigInteger),  # in billionths of a dollar; none: unknown
    Column("cost_by", String(16), nullable=False),
    Column("label", String(64), nullable=False),
    Column("outcome", String(16), nullable=False),
    Index("usage_by_quarter", "quarter"),
    Index("usage_of_owner", "owner", "quarter"),
    Index("usage_of_request", "request"),
)

budget_spending = Table(
    "budget_spending",
    metadata,
    Column("scope", String(300), primary_key=True),
    Column("period", String(16), primary_key=True),  # 2026-11-23, 2026-11, or hour
    Column("spent", BigInteger, nullable=False),  # in billionths of a dollar, as what follows
    Column("reserved", BigInteger, nullable=False),
)

budget_calls = Table(
    "budget_calls",
    metadata,
    Column("scope", String(300), primary_key=True),
    Column("reservation", ID, primary_key=True),
    Column("at", Float(53), nullable=False),  # by the database's own clock
    Index("budget_calls_by_age", "at"),
)

budget_reservations = Table(
    "budget_reservations",
    metadata,
    Column("id", ID, primary_key=True),  # as the row of `usage` that will be
    Column("holder", ID, nullable=False),
    Column("at", Float(53), nullable=False),  # by the database's own clock
    Column("state", String(16), nullable=False),  # open, or expired
    Column("amount", BigInteger, nullable=False),
    Column("claims", Text, nullable=False),  # as JSON: scopes and periods
    Column("entry", Text, nullable=False),  # as JSON: the row of `usage`, if nobody ever says more
    Index("budget_reservations_of_holder", "state", "holder"),
)

budget_holders = Table(
    "budget_holders",
    metadata,
    Column("id", ID, primary_key=True),
    Column("until", Float(53), nullable=False),  # by the database's own clock
)

OWNED = (responses, response_items, files, batches, usage)  # each by its column `owner`

leases = Table(
    "leases",
    metadata,
    Column("name", ID, primary_key=True),
    Column("holder", ID, nullable=False),
    Column("until", Float(53), nullable=False),  # by the database's own clock
)

access_version = Table(
    "access_version", metadata, Column("version", Integer, nullable=False)
)  # one row: counts up with every change of what follows

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", OWNER, nullable=False),
    Column("owner", OWNER, nullable=False),
    Column("role", String(16), nullable=False),
    Column("models", Text, nullable=False),  # as JSON
    Column("routes", Text, nullable=False),  # as JSON
    Column("digest", LargeBinary, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("expires_at", Float(53)),
    Column("revoked_at", Float(53)),
)

users = Table(
    "users",
    metadata,
    Column("name", ID, primary_key=True),
    Column("role", String(16), nullable=False),
    Column("password", Text, nullable=False),
    Column("created_at", Float(53), nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("user", ID, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("seen_at", Float(53), nullable=False),
)
