"""Huey, on Redis and on SQLite, with threads."""

import logging
from contextlib import contextmanager

from common import SLOTS, URL, Sync, perform_sync, serve
from huey import RedisHuey, SqliteHuey

if URL.startswith("sqlite"):
    huey = SqliteHuey("bench", filename=URL.removeprefix("sqlite:///"))
else:
    huey = RedisHuey("bench", url=URL)
logging.getLogger("huey").setLevel(logging.WARNING)


@huey.task(name="noop")
def noop(i):
    perform_sync(i, "noop")


@huey.task(name="io")
def io(i):
    perform_sync(i, "io")


@huey.task(name="long")
def long(i):
    perform_sync(i, "long")


TASKS = {"noop": noop, "io": io, "long": long}


@contextmanager
def blocking():
    yield Sync(one=lambda i, kind: TASKS[kind](i))


def work():
    huey.create_consumer(workers=SLOTS, worker_type="thread").run()


if __name__ == "__main__":
    serve(work=work, blocking=blocking)
