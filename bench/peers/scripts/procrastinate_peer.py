"""Procrastinate, on PostgreSQL."""

from contextlib import asynccontextmanager

from common import SLOTS, URL, Async, perform, run, serve
from procrastinate import App, PsycopgConnector

app = App(connector=PsycopgConnector(conninfo=URL, max_size=20))


@app.task(name="noop")
async def noop(i):
    await perform(i, "noop")


@app.task(name="io")
async def io(i):
    await perform(i, "io")


@app.task(name="long")
async def long(i):
    await perform(i, "long")


TASKS = {"noop": noop, "io": io, "long": long}


@asynccontextmanager
async def submitter():
    async with app.open_async():
        yield Async(
            one=lambda i, kind: TASKS[kind].defer_async(i=i),
            bulk=lambda ids, kind: TASKS[kind].batch_defer_async(*({"i": i} for i in ids)),
        )


async def prepare():
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


async def work():
    async with app.open_async():
        await app.run_worker_async(concurrency=SLOTS)


if __name__ == "__main__":
    serve(work=lambda: run(work()), submitter=submitter, prepare=lambda: run(prepare()))
