"""arq, on Redis."""

from contextlib import asynccontextmanager

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker
from common import SLOTS, URL, Async, perform, run, serve

SETTINGS = RedisSettings.from_dsn(URL)


async def noop(_ctx, i):
    await perform(i, "noop")


async def io(_ctx, i):
    await perform(i, "io")


async def long(_ctx, i):
    await perform(i, "long")


@asynccontextmanager
async def submitter():
    pool = await create_pool(SETTINGS)
    yield Async(one=lambda i, kind: pool.enqueue_job(kind, i))
    await pool.aclose()


async def work():
    worker = Worker(functions=[noop, io, long], redis_settings=SETTINGS, max_jobs=SLOTS)
    await worker.async_run()


if __name__ == "__main__":
    serve(work=lambda: run(work()), submitter=submitter)
