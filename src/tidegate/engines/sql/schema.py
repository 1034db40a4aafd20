"""The schema of SQLite's stores, as SQLAlchemy Core metadata; a test holds the migrations to it.

PostgreSQL's is `postgres/sql/tables.sql`: what is one row here is split there by how often it is written.

Instants are microseconds since 1970 (UTC), durations are microseconds, ranks are whole 1/512ths: integers
throughout, so that every database orders, adds and returns them exactly. Nothing here is imported while
serving: verbs speak SQL, and only a store that needs migrating loads SQLAlchemy.
"""

from typing import Final, TypeAlias

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.types import TypeEngine

from tidegate.core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, Status

METADATA: Final = MetaData()

_Kind: TypeAlias = BigInteger | Integer | LargeBinary | Text
_INT: Final = BigInteger()
_TEXT: Final = Text()
_BYTES: Final = LargeBinary()
_ROW_ID: Final = BigInteger().with_variant(Integer(), "sqlite")
"""A key that SQLite numbers itself: only its INTEGER may be that."""

_STATUSES: Final = ", ".join(f"'{status.value}'" for status in Status)
_FINISHED: Final = ", ".join(f"'{status.value}'" for status in Status if status.finished)


def _key(name: str, kind: TypeEngine[int] | TypeEngine[str]) -> Column[object]:
    return Column(name, kind, primary_key=True, nullable=False)


def _need(name: str, kind: _Kind = _INT, default: str | None = None) -> Column[object]:
    return Column(name, kind, nullable=False, server_default=None if default is None else text(default))


def _may(name: str, kind: _Kind = _INT) -> Column[object]:
    return Column(name, kind, nullable=True)


def _index(name: str, table: Table, columns: str, where: str | None = None, *, unique: bool = False) -> None:
    condition: TextClause | None = None if where is None else text(where)
    named = [table.c[column] for column in columns.split()]
    Index(name, *named, unique=unique, sqlite_where=condition, postgresql_where=condition)


# where jobs stand ----------------------------------------------------------------------------------------------

LANES: Final = Table(
    "lanes",
    METADATA,
    _key("id", _ROW_ID),
    _need("queue", _TEXT),
    _may("upstream", _TEXT),
    _need("parents", _TEXT),
)
_index("lanes_of_upstreams", LANES, "queue upstream parents", "upstream IS NOT NULL", unique=True)
_index("lanes_of_none", LANES, "queue parents", "upstream IS NULL", unique=True)

LINES: Final = Table(
    "lines",
    METADATA,
    _key("id", _ROW_ID),
    _need("lane_id"),
    _need("type", _TEXT),
    _need("reached", default="0"),
    _need("turn", default="0"),
    UniqueConstraint("lane_id", "type"),
)

TALLIES: Final = Table(
    "tallies",
    METADATA,
    _key("line_id", _ROW_ID),
    *(_need(name, default="0") for name in ("waiting", "ready", "running", "succeeded", "dead_letter", "failed")),
    _need("cancelled", default="0"),
    _need("lapsed", default="0"),
)

# jobs ------------------------------------------------------------------------------------------------------------

# `stage` of a queued job: 0 waits to be due, 1 stands in line, 2 stands in line but past its expires_at,
# 3 waits and is past its expires_at. A claim that meets a job past it moves it from 1 to 2 or from 0 to 3,
# so that each is met once.
JOBS: Final = Table(
    "jobs",
    METADATA,
    _key("seq", _ROW_ID),
    _need("id", _TEXT),
    _need("line_id"),
    _need("first_line_id"),
    _need("user_id", _TEXT),
    _need("priority"),
    _need("tags", _TEXT),
    _need("status", _TEXT, "'queued'"),
    _need("stage"),
    _may("rank"),
    _need("run_at"),
    _need("due_at"),
    _need("created_at"),
    _may("expires_at"),
    _may("first_expires_at"),
    _may("started_at"),
    _may("finished_at"),
    _may("timeout_at"),
    _may("cancel_requested_at"),
    _may("dismissed_at"),
    _may("prune_at"),
    _need("runs", default="0"),
    _need("upstream_faults", default="0"),
    _need("crashes", default="0"),
    _need("interruptions", default="0"),
    _need("base", default="0"),
    _need("timeout"),
    _need("terms", _TEXT),
    _may("idempotency_key", _TEXT),
    _need("fingerprint", _TEXT),
    _need("request_id", _TEXT),
    _need("traceparent", _TEXT),
    _may("progress_fraction", _TEXT),
    _may("progress_message", _TEXT),
    _may("result_path", _TEXT),
    _may("error_code", _TEXT),
    _may("error_message", _TEXT),
    _may("error_more", _TEXT),
    _need("degraded", default="0"),
    _may("served_by", _TEXT),
    _may("settled_by", _TEXT),
    _may("cancelled_by", _TEXT),
    _may("revived_by", _TEXT),
    _need("steps", default="1"),
    UniqueConstraint("id"),
    CheckConstraint(f"status IN ({_STATUSES})", name="jobs_status"),
    CheckConstraint(f"(status IN ({_FINISHED})) = (finished_at IS NOT NULL)", name="jobs_finished"),
    CheckConstraint("(finished_at IS NULL) = (prune_at IS NULL)", name="jobs_kept"),
    CheckConstraint("stage BETWEEN 0 AND 3", name="jobs_stage"),
    CheckConstraint("status <> 'queued' OR stage NOT IN (1, 2) OR rank IS NOT NULL", name="jobs_ranked"),
    CheckConstraint(f"priority BETWEEN {LOWEST_PRIORITY} AND {HIGHEST_PRIORITY}", name="jobs_priority"),
    sqlite_autoincrement=True,
)
_index("jobs_in_line", JOBS, "line_id rank seq", "status = 'queued' AND stage = 1")
_index("jobs_of_flow", JOBS, "line_id user_id priority rank", "status = 'queued' AND stage IN (1, 2)")
_index("jobs_due", JOBS, "stage run_at seq", "status = 'queued'")
_index("jobs_expiring", JOBS, "stage expires_at seq", "status = 'queued' AND expires_at IS NOT NULL")
_index("jobs_kept_until", JOBS, "prune_at seq", "prune_at IS NOT NULL")
_index("jobs_of_user", JOBS, "user_id seq")
_index("jobs_of_status", JOBS, "status seq", "status <> 'running'")
_index("jobs_cancelling", JOBS, "seq", "status = 'running' AND cancel_requested_at IS NOT NULL")

BODIES: Final = Table("bodies", METADATA, _key("seq", _ROW_ID), _need("payload", _BYTES))

RESULTS: Final = Table("results", METADATA, _key("seq", _ROW_ID), _need("result", _BYTES))

HISTORY: Final = Table(
    "history",
    METADATA,
    _key("feed", _ROW_ID),
    _need("seq"),
    _need("n"),
    _need("at"),
    _need("event", _TEXT),
    _need("run"),
    _need("note", _TEXT),
    sqlite_autoincrement=True,
)
_index("history_of_job", HISTORY, "seq n", unique=True)

IDEMPOTENCY: Final = Table(
    "idempotency",
    METADATA,
    _key("user_id", _TEXT),
    _key("key", _TEXT),
    _need("fingerprint", _TEXT),
    _need("job_id", _TEXT),
    _may("forget_at"),
    sqlite_with_rowid=False,
)
_index("idempotency_forgotten", IDEMPOTENCY, "forget_at", "forget_at IS NOT NULL")

# leases ----------------------------------------------------------------------------------------------------------

LEASES: Final = Table(
    "leases",
    METADATA,
    _key("seq", _ROW_ID),
    _need("token", _TEXT),
    _need("nonce", _TEXT),
    _need("owner", _TEXT),
    _need("claimed_by", _TEXT),
    _need("expires_at"),
    _may("timeout_at"),
    _need("eras", _TEXT),
    _may("reason", _TEXT),
)
_index("leases_expiring", LEASES, "expires_at")
_index("leases_of_owner", LEASES, "owner nonce")

LEASE_GATES: Final = Table(
    "lease_gates", METADATA, _key("seq", _INT), _key("gate", _TEXT), _need("era"), sqlite_with_rowid=False
)
_index("lease_gates_in_era", LEASE_GATES, "gate era")

NONCES: Final = Table("nonces", METADATA, _key("nonce", _TEXT), _need("until"), sqlite_with_rowid=False)
_index("nonces_by_end", NONCES, "until")

# documents, gates, limits, presence ------------------------------------------------------------------------------

DOCUMENTS: Final = Table(
    "documents",
    METADATA,
    _key("kind", _TEXT),
    _key("key", _TEXT),
    _need("version"),
    _may("value", _BYTES),
    _need("nonce", _TEXT),
)

GATES: Final = Table(
    "gates",
    METADATA,
    _key("name", _TEXT),
    _need("kind", _TEXT),
    _need("key", _TEXT),
    _may("not_before"),
    _may("most"),
    _may("pace_period"),
    _may("pace_burst"),
    _need("era"),
    _may("paced_until"),
    sqlite_with_rowid=False,
)
_index("gates_of_document", GATES, "kind key")

GRANTS: Final = Table(
    "grants",
    METADATA,
    _key("id", _ROW_ID),
    _need("nonce", _TEXT),
    _need("key", _TEXT),
    _need("n"),
    _need("at"),
    _need("until"),
)
_index("grants_of_key", GRANTS, "key at n")
_index("grants_of_nonce", GRANTS, "nonce")
_index("grants_by_end", GRANTS, "until")

WORKERS: Final = Table(
    "workers",
    METADATA,
    _key("owner", _TEXT),
    _need("info", _TEXT),
    _need("until"),
    sqlite_with_rowid=False,
)
