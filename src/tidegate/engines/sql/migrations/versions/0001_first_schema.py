"""The first schema."""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

from tidegate.engines.sql.migrations import postgres

revision: Final = "0001"
down_revision: Final = None

_ROW_ID: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NUMBERED: Final = {"sqlite_autoincrement": True}
_CLUSTERED: Final = {"sqlite_with_rowid": False}


def upgrade() -> None:
    """Make all tables."""
    if op.get_context().dialect.name == "postgresql":
        postgres.make_all()
        return
    _places()
    _jobs()
    _beside_jobs()
    _leases()
    _documents()
    _limits()


def _number(name: str, default: str | None = None, *, null: bool = False) -> SchemaItem:
    server_default = None if default is None else sa.text(default)
    return sa.Column(name, sa.BigInteger(), nullable=null, server_default=server_default)


def _text(name: str, default: str | None = None, *, null: bool = False) -> SchemaItem:
    server_default = None if default is None else sa.text(default)
    return sa.Column(name, sa.Text(), nullable=null, server_default=server_default)


def _bytes(name: str, *, null: bool = False) -> SchemaItem:
    return sa.Column(name, sa.LargeBinary(), nullable=null)


def _row_id(name: str) -> SchemaItem:
    return sa.Column(name, _ROW_ID, primary_key=True, nullable=False)


def _keys(*names: str) -> list[SchemaItem]:
    return [sa.Column(name, sa.Text(), primary_key=True, nullable=False) for name in names]


def _index(name: str, table: str, columns: str, where: str | None = None, *, unique: bool = False) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(name, table, columns.split(), unique=unique, sqlite_where=condition, postgresql_where=condition)


def _places() -> None:
    op.create_table("lanes", _row_id("id"), _text("queue"), _text("upstream", null=True), _text("parents"))
    _index("lanes_of_upstreams", "lanes", "queue upstream parents", "upstream IS NOT NULL", unique=True)
    _index("lanes_of_none", "lanes", "queue parents", "upstream IS NULL", unique=True)
    op.create_table(
        "lines",
        _row_id("id"),
        _number("lane_id"),
        _text("type"),
        _number("reached", "0"),
        _number("turn", "0"),
        sa.UniqueConstraint("lane_id", "type"),
    )
    stands = ("waiting", "ready", "running", "succeeded", "dead_letter", "failed", "cancelled", "lapsed")
    op.create_table("tallies", _row_id("line_id"), *(_number(stand, "0") for stand in stands))


def _jobs() -> None:
    op.create_table("jobs", *_job_columns(), *_job_outcome(), *_job_checks(), **_NUMBERED)
    _index("jobs_in_line", "jobs", "line_id rank seq", "status = 'queued' AND stage = 1")
    _index("jobs_of_flow", "jobs", "line_id user_id priority rank", "status = 'queued' AND stage IN (1, 2)")
    _index("jobs_due", "jobs", "stage run_at seq", "status = 'queued'")
    _index("jobs_expiring", "jobs", "stage expires_at seq", "status = 'queued' AND expires_at IS NOT NULL")
    _index("jobs_kept_until", "jobs", "prune_at seq", "prune_at IS NOT NULL")
    _index("jobs_of_user", "jobs", "user_id seq")
    _index("jobs_of_status", "jobs", "status seq", "status <> 'running'")
    _index("jobs_cancelling", "jobs", "seq", "status = 'running' AND cancel_requested_at IS NOT NULL")


def _job_columns() -> list[SchemaItem]:
    return [
        _row_id("seq"),
        _text("id"),
        _number("line_id"),
        _number("first_line_id"),
        _text("user_id"),
        _number("priority"),
        _text("tags"),
        _text("status", "'queued'"),
        _number("stage"),
        _number("rank", null=True),
        _number("run_at"),
        _number("due_at"),
        _number("created_at"),
        _number("expires_at", null=True),
        _number("first_expires_at", null=True),
        _number("started_at", null=True),
        _number("finished_at", null=True),
        _number("timeout_at", null=True),
        _number("cancel_requested_at", null=True),
        _number("dismissed_at", null=True),
        _number("prune_at", null=True),
        *(_number(name, "0") for name in ("runs", "upstream_faults", "crashes", "interruptions", "base")),
        _number("timeout"),
        _text("terms"),
    ]


def _job_outcome() -> list[SchemaItem]:
    return [
        _text("idempotency_key", null=True),
        *(_text(name) for name in ("fingerprint", "request_id", "traceparent")),
        *(_text(name, null=True) for name in ("progress_fraction", "progress_message", "result_path")),
        *(_text(name, null=True) for name in ("error_code", "error_message", "error_more")),
        _number("degraded", "0"),
        *(_text(name, null=True) for name in ("served_by", "settled_by", "cancelled_by", "revived_by")),
        _number("steps", "1"),
    ]


def _job_checks() -> list[SchemaItem]:
    statuses = "'queued', 'running', 'succeeded', 'failed', 'cancelled'"
    finished = "'succeeded', 'failed', 'cancelled'"
    return [
        sa.UniqueConstraint("id"),
        sa.CheckConstraint(f"status IN ({statuses})", name="jobs_status"),
        sa.CheckConstraint(f"(status IN ({finished})) = (finished_at IS NOT NULL)", name="jobs_finished"),
        sa.CheckConstraint("(finished_at IS NULL) = (prune_at IS NULL)", name="jobs_kept"),
        sa.CheckConstraint("stage BETWEEN 0 AND 3", name="jobs_stage"),
        sa.CheckConstraint("status <> 'queued' OR stage NOT IN (1, 2) OR rank IS NOT NULL", name="jobs_ranked"),
        sa.CheckConstraint("priority BETWEEN 0 AND 9", name="jobs_priority"),
    ]


def _beside_jobs() -> None:
    op.create_table("bodies", _row_id("seq"), _bytes("payload"))
    op.create_table("results", _row_id("seq"), _bytes("result"))
    entry = (_number("seq"), _number("n"), _number("at"), _text("event"), _number("run"), _text("note"))
    op.create_table("history", _row_id("feed"), *entry, **_NUMBERED)
    _index("history_of_job", "history", "seq n", unique=True)
    known = (_text("fingerprint"), _text("job_id"), _number("forget_at", null=True))
    op.create_table("idempotency", *_keys("user_id", "key"), *known, **_CLUSTERED)
    _index("idempotency_forgotten", "idempotency", "forget_at", "forget_at IS NOT NULL")


def _leases() -> None:
    op.create_table(
        "leases",
        _row_id("seq"),
        *(_text(name) for name in ("token", "nonce", "owner", "claimed_by")),
        _number("expires_at"),
        _number("timeout_at", null=True),
        _text("eras"),
        _text("reason", null=True),
    )
    _index("leases_expiring", "leases", "expires_at")
    _index("leases_of_owner", "leases", "owner nonce")
    seq = sa.Column("seq", sa.BigInteger(), primary_key=True, nullable=False)
    op.create_table("lease_gates", seq, *_keys("gate"), _number("era"), **_CLUSTERED)
    _index("lease_gates_in_era", "lease_gates", "gate era")
    op.create_table("nonces", *_keys("nonce"), _number("until"), **_CLUSTERED)
    _index("nonces_by_end", "nonces", "until")


def _documents() -> None:
    value = (_number("version"), _bytes("value", null=True), _text("nonce"))
    op.create_table("documents", *_keys("kind", "key"), *value)
    op.create_table(
        "gates",
        *_keys("name"),
        _text("kind"),
        _text("key"),
        *(_number(name, null=True) for name in ("not_before", "most", "pace_period", "pace_burst")),
        _number("era"),
        _number("paced_until", null=True),
        **_CLUSTERED,
    )
    _index("gates_of_document", "gates", "kind key")


def _limits() -> None:
    grant = (_text("nonce"), _text("key"), _number("n"), _number("at"), _number("until"))
    op.create_table("grants", _row_id("id"), *grant)
    _index("grants_of_key", "grants", "key at n")
    _index("grants_of_nonce", "grants", "nonce")
    _index("grants_by_end", "grants", "until")
    op.create_table("workers", *_keys("owner"), _text("info"), _number("until"), **_CLUSTERED)
