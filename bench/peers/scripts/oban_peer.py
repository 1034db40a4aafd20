"""Oban for Python, on PostgreSQL."""

import asyncio
from contextlib import asynccontextmanager

from common import SLOTS, URL, Async, perform, run, serve
from oban import Oban, job
from oban.schema import install


@job(queue="default")
async def noop(i):
    await perform(i, "noop")


@job(queue="default")
async def io(i):
    await perform(i, "io")


@job(queue="default")
async def long(i):
    await perform(i, "long")


TASKS = {"noop": noop, "io": io, "long": long}


@asynccontextmanager
async def submitter():
    pool = await Oban.create_pool(URL, min_size=1, max_size=20)
    async with Oban(pool=pool) as oban:
        yield Async(
            one=lambda i, kind: oban.enqueue(TASKS[kind].new(i)),
            bulk=lambda ids, kind: oban.enqueue_many([TASKS[kind].new(i) for i in ids]),
        )
    await pool.close()


async def prepare():
    pool = await Oban.create_pool(URL, min_size=1, max_size=2)
    await install(pool)
    await pool.close()


async def work():
    pool = await Oban.create_pool(URL, min_size=1, max_size=20)
    async with Oban(pool=pool, queues={"default": SLOTS}):
        await asyncio.Event().wait()


if __name__ == "__main__":
    serve(work=lambda: run(work()), submitter=submitter, prepare=lambda: run(prepare()))
