"""RQ, on Redis: the forking Worker, and SimpleWorker; several slots are a pool of processes."""

import logging
from contextlib import contextmanager

from common import SLOTS, URL, VARIANT, Sync, perform_sync, serve
from redis import Redis
from rq import Queue, SimpleWorker, Worker
from rq.worker_pool import WorkerPool


def noop(i):
    perform_sync(i, "noop")


def io(i):
    perform_sync(i, "io")


def long(i):
    perform_sync(i, "long")


@contextmanager
def blocking():
    queue = Queue(connection=Redis.from_url(URL))

    def bulk(ids, kind):
        queue.enqueue_many([Queue.prepare_data(f"rq_peer.{kind}", (i,)) for i in ids])

    yield Sync(one=lambda i, kind: queue.enqueue(f"rq_peer.{kind}", i), bulk=bulk)


def work():
    logging.getLogger("rq").setLevel(logging.WARNING)
    connection = Redis.from_url(URL)
    kind = SimpleWorker if VARIANT == "simple" else Worker
    if SLOTS > 1:
        pool = WorkerPool([Queue(connection=connection)], connection, num_workers=SLOTS, worker_class=kind)
        pool.start(logging_level="WARNING")
    else:
        kind([Queue(connection=connection)], connection=connection).work(logging_level="WARNING")


if __name__ == "__main__":
    serve(work=work, blocking=blocking)
