"""BullMQ for Python, on Redis."""

import asyncio
from contextlib import asynccontextmanager

from bullmq import Queue, Worker
from common import SLOTS, URL, Async, perform, run, serve


@asynccontextmanager
async def submitter():
    queue = Queue("bench", {"connection": URL})
    yield Async(
        one=lambda i, kind: queue.add(kind, {"i": i}),
        bulk=lambda ids, kind: queue.addBulk([{"name": kind, "data": {"i": i}} for i in ids]),
    )
    await queue.close()


async def process(job, _token):
    await perform(job.data["i"], job.name)


async def work():
    Worker("bench", process, {"connection": URL, "concurrency": SLOTS})
    await asyncio.Event().wait()


if __name__ == "__main__":
    serve(work=lambda: run(work()), submitter=submitter)
