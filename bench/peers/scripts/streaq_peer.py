"""streaQ, on Redis."""

import os
from contextlib import asynccontextmanager

os.environ["COREDIS_OPTIMIZED"] = "true"

from common import SLOTS, URL, Async, perform, serve
from streaq import Worker

worker = Worker(redis_url=URL, concurrency=SLOTS or 32, anyio_kwargs={"use_uvloop": True})


@worker.task(name="noop")
async def noop(i: int) -> None:
    await perform(i, "noop")


@worker.task(name="io")
async def io(i: int) -> None:
    await perform(i, "io")


@worker.task(name="long")
async def long(i: int) -> None:
    await perform(i, "long")


TASKS = {"noop": noop, "io": io, "long": long}


@asynccontextmanager
async def submitter():
    async def one(i, kind):
        await TASKS[kind].enqueue(i)

    async with worker:
        yield Async(one=one, bulk=lambda ids, kind: worker.enqueue_many([TASKS[kind].enqueue(i) for i in ids]))


if __name__ == "__main__":
    serve(work=worker.run_sync, submitter=submitter)
