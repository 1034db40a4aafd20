"""submit and known."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, TypeAlias

import asyncpg

from tidegate.core.job import JobId, NewJob
from tidegate.core.verbs import Receipt, Submission
from tidegate.engines.sql.drafting import Draft
from tidegate.engines.sql.postgres.columns import ARRAYS, AT_ONCE, Column, arrays, at_once, columns, cuts, sure_columns
from tidegate.engines.sql.postgres.faults import DRIVER, told
from tidegate.engines.sql.postgres.pool import Connection
from tidegate.engines.sql.postgres.store import FLUSH, Store
from tidegate.errors import InvalidInput

_SUBMIT: Final = f"""
SELECT * FROM tidegate.submit($1::bigint, $2::text, $3::text[], $4::boolean, $5::integer[], {arrays(6, ARRAYS)})
"""
_ENTER: Final = f"SELECT * FROM tidegate.enter($1::bigint, $2::text, $3::text[], {arrays(4, AT_ONCE)})"
_Hints: TypeAlias = tuple[str | None, Sequence[str]]
_NOBODY: Final[_Hints] = (None, ())
_KNOWN: Final = """
SELECT known.job_id::text, known.fingerprint
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked(user_id, key, o)
LEFT JOIN tidegate.idempotency AS known ON known.user_id = asked.user_id AND known.key = asked.key
ORDER BY asked.o
"""


async def submit(store: Store, drafts: Sequence[Draft]) -> list[Receipt]:
    """See `ports.JobQueue.submit`.

    Workers hear of the jobs before they are flushed, which a claim's own commit does as well as this one's.
    """
    asked = await columns(store, drafts)
    topics = {f"queue:{draft.new.spec.lane.queue}" for draft in drafts}
    told_to = (store.address.schema, store.hints(topics))

    async def act(connection: Connection) -> "list[asyncpg.Record]":
        rows = await _submit(store, connection, drafts, (told_to, asked))
        store.ring_here(topics)
        await connection.execute(FLUSH)
        return rows

    return _receipts(drafts, await store.run(act))


async def submit_in(store: Store, connection: Connection, drafts: Sequence[Draft]) -> list[Receipt]:
    """The same in the transaction of `connection`; who waits for these jobs is not woken."""
    if not connection.is_in_transaction():
        raise InvalidInput("connection", "has no transaction open: call this in `async with connection.transaction():`")
    asked = await sure_columns(store, drafts)
    try:
        rows = await _submit(store, connection, drafts, (_NOBODY, asked))
    except DRIVER as exc:
        raise told(exc) from None
    return _receipts(drafts, rows)


async def _submit(
    store: Store, connection: Connection, drafts: Sequence[Draft], what: tuple[_Hints, Sequence[Column]]
) -> "list[asyncpg.Record]":
    """Submit all at once, and as if nothing were known; then with care; and, where somebody keeps an id or a key in
    doubt, one by one, so that only those are busy."""
    hints, asked = what
    sql, parts = store.address.sql(_SUBMIT), cuts([_names(draft.new) for draft in drafts])
    plain = at_once(asked) if len(parts) == 1 else None
    with suppress(asyncpg.LockNotAvailableError):
        with suppress(asyncpg.UniqueViolationError):
            if plain is not None:
                return await _within(connection, store.address.sql(_ENTER), store.now, *hints, *plain)
        return await _within(connection, sql, store.now, *hints, False, parts, *asked)
    return await connection.fetch(sql, store.now, *hints, True, list(range(1, len(drafts) + 1)), *asked)


async def _within(connection: Connection, sql: str, *arguments: object) -> "list[asyncpg.Record]":
    """Fetch so that a failure does not spoil the transaction that a caller has open."""
    if not connection.is_in_transaction():
        return await connection.fetch(sql, *arguments)
    async with connection.transaction():
        return await connection.fetch(sql, *arguments)


def _names(new: NewJob) -> tuple[object, ...]:
    """What no other job may share."""
    key = new.spec.idempotency_key
    return (new.id,) if key is None else (new.id, (new.spec.user_id, key))


def _receipts(drafts: Sequence[Draft], rows: "Sequence[asyncpg.Record]") -> list[Receipt]:
    receipts = [Receipt(draft.new.id, Submission.CREATED) for draft in drafts]
    for place, fate, job_id in rows:
        receipts[place - 1] = Receipt(JobId(job_id), Submission(fate))
    return receipts


async def known(store: Store, keys: Sequence[tuple[str, str]]) -> list[tuple[JobId, str] | None]:
    """See `ports.JobQueue.known`."""
    rows = await store.fetch(_KNOWN, [user_id for user_id, _ in keys], [key for _, key in keys])
    if any(job_id is not None for job_id, _ in rows):
        await store.fetch(FLUSH)  # no answer about a job that a crash could still take back
    return [None if job_id is None else (JobId(job_id), fingerprint) for job_id, fingerprint in rows]
