"""PgQueuer, on PostgreSQL with asyncpg."""

import asyncio
import json
from contextlib import asynccontextmanager

import asyncpg
from common import SLOTS, URL, Async, perform, run, serve
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.queries import Queries

LARGEST_BATCH = 200


@asynccontextmanager
async def submitter():
    async with asyncpg.create_pool(URL, min_size=1, max_size=20) as pool:
        queries = Queries(AsyncpgPoolDriver(pool))

        async def bulk(ids, kind):
            count = len(ids)
            await queries.enqueue([kind] * count, [b'{"i": %d}' % i for i in ids], [0] * count)

        yield Async(one=lambda i, kind: queries.enqueue(kind, b'{"i": %d}' % i), bulk=bulk)


async def prepare():
    connection = await asyncpg.connect(URL)
    await Queries(AsyncpgDriver(connection)).install()
    await connection.close()


async def work():
    """Unlimited without slots; its limit must be at least twice its batch, so one slot is an entrypoint's limit."""
    to = PgQueuer.from_asyncpg_connection(await asyncpg.connect(URL))

    def register(kind):
        @to.entrypoint(kind, concurrency_limit=1 if SLOTS == 1 else 0)
        async def handle(job):
            await perform(json.loads(job.payload)["i"], kind)

    for kind in ("noop", "io", "long"):
        register(kind)
    batch = min(max(SLOTS // 2, 1), LARGEST_BATCH) if SLOTS else LARGEST_BATCH
    await to.run(batch_size=batch, max_concurrent_tasks=SLOTS if SLOTS > 1 else None)
    await asyncio.Event().wait()


if __name__ == "__main__":
    serve(work=lambda: run(work()), submitter=submitter, prepare=lambda: run(prepare()))
