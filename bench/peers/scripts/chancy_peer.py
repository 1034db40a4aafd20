"""Chancy, on PostgreSQL."""

import logging
from contextlib import asynccontextmanager

from chancy import Chancy, Job, Queue, Worker
from common import SLOTS, URL, Async, perform, run, serve

QUIET = logging.getLogger("chancy")
QUIET.setLevel(logging.WARNING)


async def noop(*, i: int) -> None:
    await perform(i, "noop")


async def io(*, i: int) -> None:
    await perform(i, "io")


async def long(*, i: int) -> None:
    await perform(i, "long")


TASKS = {"noop": noop, "io": io, "long": long}


def job(i, kind):
    return Job.from_func(TASKS[kind]).with_kwargs(i=i)


def opened():
    return Chancy(URL, log=QUIET, max_connection_pool_size=20)


@asynccontextmanager
async def submitter():
    async with opened() as to:

        async def bulk(ids, kind):
            async for _ in to.push_many([job(i, kind) for i in ids]):
                pass

        yield Async(one=lambda i, kind: to.push(job(i, kind)), bulk=bulk)


async def prepare():
    async with opened() as to:
        await to.migrate()


async def work():
    async with opened() as to:
        await to.declare(
            Queue("default", concurrency=SLOTS, executor=Chancy.Executor.Async, eager_polling=True), upsert=True
        )
        async with Worker(to) as worker:
            await worker.wait_for_shutdown()


if __name__ == "__main__":
    serve(work=lambda: run(work()), submitter=submitter, prepare=lambda: run(prepare()))
