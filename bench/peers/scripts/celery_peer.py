"""Celery, on Redis, with the Redis result backend."""

import sys
from contextlib import contextmanager

from celery import Celery
from common import SLOTS, URL, Sync, perform_sync, serve

app = Celery("celery_peer", broker=URL, backend=URL)
app.conf.update(worker_prefetch_multiplier=64 if SLOTS <= 10 else 4, broker_connection_retry_on_startup=True)


@app.task(name="noop")
def noop(i):
    perform_sync(i, "noop")


@app.task(name="io")
def io(i):
    perform_sync(i, "io")


@app.task(name="long")
def long(i):
    perform_sync(i, "long")


TASKS = {"noop": noop, "io": io, "long": long}


@contextmanager
def blocking():
    yield Sync(one=lambda i, kind: TASKS[kind].delay(i))


def work():
    pool = "prefork" if SLOTS <= 10 else "threads"
    name = f"bench@{__import__('os').getpid()}"
    app.worker_main(["worker", "-P", pool, "-c", str(SLOTS), "-n", name, "--loglevel", "WARNING"])
    sys.exit()


if __name__ == "__main__":
    serve(work=work, blocking=blocking)
