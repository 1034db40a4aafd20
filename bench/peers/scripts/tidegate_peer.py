"""Tidegate itself, through its public library and `tidegate worker`."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager

from common import ORDERS, SLOTS, URL, Async, await_records, perform, run, serve

from tidegate import Tidegate, load
from tidegate.requests import JobRequest

SETTINGS = {"engine": URL, "data_dir": ORDERS["folder"], "slots": SLOTS or 10, "log_level": "warning"}
app = Tidegate(load(**SETTINGS))


@app.job("noop")
async def noop(payload: dict[str, int]) -> None:
    await perform(payload["i"], "noop")


@app.job("io")
async def io(payload: dict[str, int]) -> None:
    await perform(payload["i"], "io")


@app.job("long")
async def long(payload: dict[str, int]) -> None:
    await perform(payload["i"], "long")


TASKS = {"noop": noop, "io": io, "long": long}


@asynccontextmanager
async def submitter():
    """On an embedded store one process owns the file, so that the one that keeps the pace is the worker too."""
    alone = ORDERS["embedded"] and sys.argv[1] == "pace"
    async with app if alone else app.connected():
        yield Async(
            one=lambda i, kind: app.submit(TASKS[kind], {"i": i}),
            bulk=lambda ids, kind: app.client.submit_many(
                [JobRequest(type=kind, payload=b'{"i":%d}' % i) for i in ids]
            ),
        )
        if alone:
            await asyncio.to_thread(await_records, ORDERS["count"])


async def prepare():
    async with app.connected():
        pass


def work():
    settings = {f"TIDEGATE_{name.upper()}": str(value) for name, value in SETTINGS.items()}
    command = [sys.executable, "-m", "tidegate", "worker", "tidegate_peer:app"]
    os.execve(sys.executable, command, {**os.environ, **settings})


if __name__ == "__main__":
    serve(work=work, submitter=submitter, prepare=lambda: run(prepare()))
