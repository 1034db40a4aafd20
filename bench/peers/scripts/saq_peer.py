"""SAQ, on Redis and on PostgreSQL."""

from contextlib import asynccontextmanager

from common import SLOTS, URL, Async, perform, run, serve
from saq import Queue, Worker


def queue():
    sizes = {"min_size": 4, "max_size": 20} if URL.startswith("postgres") else {}
    return Queue.from_url(URL, **sizes)


async def noop(_ctx, *, i):
    await perform(i, "noop")


async def io(_ctx, *, i):
    await perform(i, "io")


async def long(_ctx, *, i):
    await perform(i, "long")


@asynccontextmanager
async def submitter():
    to = queue()
    await to.connect()
    yield Async(one=lambda i, kind: to.enqueue(kind, i=i))
    await to.disconnect()


async def prepare():
    to = queue()
    await to.connect()
    await to.disconnect()


async def work():
    to = queue()
    await to.connect()
    await Worker(to, functions=[noop, io, long], concurrency=SLOTS).start()


if __name__ == "__main__":
    serve(work=lambda: run(work()), submitter=submitter, prepare=lambda: run(prepare()))
