"""Absurd, on PostgreSQL."""

import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

from absurd_sdk import AsyncAbsurd
from common import SLOTS, URL, Async, perform, run, serve

app = AsyncAbsurd(URL, queue_name="default")


@app.register_task(name="noop")
async def noop(params, _ctx):
    await perform(params["i"], "noop")


@app.register_task(name="io")
async def io(params, _ctx):
    await perform(params["i"], "io")


@app.register_task(name="long")
async def long(params, _ctx):
    await perform(params["i"], "long")


@asynccontextmanager
async def submitter():
    yield Async(one=lambda i, kind: app.spawn(kind, {"i": i}))
    await app.close()


async def create():
    await app.create_queue()
    await app.close()


def prepare():
    tool = Path(sys.executable).with_name("absurdctl")
    subprocess.run([tool, "init", "-d", URL], check=True)
    run(create())


if __name__ == "__main__":
    serve(work=lambda: run(app.start_worker(concurrency=SLOTS)), submitter=submitter, prepare=prepare)
