"""DBOS Transact, on PostgreSQL."""

import threading
from contextlib import asynccontextmanager

from common import SLOTS, URL, Async, perform, serve
from dbos import DBOS, DBOSClient

CONFIG = {"name": "bench", "system_database_url": URL, "log_level": "WARNING", "run_admin_server": False}


@DBOS.workflow(name="noop")
async def noop(i: int) -> None:
    await perform(i, "noop")


@DBOS.workflow(name="io")
async def io(i: int) -> None:
    await perform(i, "io")


@DBOS.workflow(name="long")
async def long(i: int) -> None:
    await perform(i, "long")


@asynccontextmanager
async def submitter():
    client = DBOSClient(system_database_url=URL)
    yield Async(one=lambda i, kind: client.enqueue_async({"workflow_name": kind, "queue_name": "bench"}, i))
    client.destroy()


def launch():
    DBOS(config=CONFIG)
    DBOS.launch()


def prepare():
    launch()
    DBOS.destroy()


def work():
    launch()
    DBOS.register_queue("bench", worker_concurrency=SLOTS, polling_interval_sec=0.1)
    threading.Event().wait()


if __name__ == "__main__":
    serve(work=work, submitter=submitter, prepare=prepare)
