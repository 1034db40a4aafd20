"""What every rival's script shares: the record of a run, the commands, the pace. Standard library only.

A script is run by its rival's own interpreter as `script.py COMMAND`, with its orders as JSON in `PEER`:
`prepare` makes the schema, `enqueue` and `pace` submit jobs, `work` runs them until the process is ended.
"""

import asyncio
import json
import os
import struct
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Any

ORDERS: dict[str, Any] = json.loads(os.environ["PEER"])
URL: str = ORDERS["url"]
SLOTS: int = ORDERS.get("slots", 0)
VARIANT: str = ORDERS.get("variant", "")
SLEEP = {"noop": 0.0, "io": 0.05, "long": 1.0}
TOGETHER = 100
"""Calls in flight where a library has no bulk call, but is asynchronous."""

RECORD = struct.Struct("<cIId")
_file: list[int] = []


def record(kind: bytes, i: int) -> None:
    """One line in the common file: what, which job, which process, when. One write, so it is never torn."""
    if not _file:
        _file.append(os.open(ORDERS["record"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666))
    os.write(_file[0], RECORD.pack(kind, i, os.getpid(), time.monotonic()))


def await_records(count: int, seconds: float = 60) -> None:
    """Until there are so many records, or the time is up."""
    deadline = time.monotonic() + seconds
    path = ORDERS["record"]
    while time.monotonic() < deadline:
        if os.path.exists(path) and os.path.getsize(path) >= count * RECORD.size:
            return
        time.sleep(0.02)


async def perform(i: int, kind: str) -> None:
    """What every job does, where handlers are coroutines."""
    record(b"s", i)
    if kind != "noop":
        await asyncio.sleep(SLEEP[kind])
        record(b"e", i)


def perform_sync(i: int, kind: str) -> None:
    """What every job does, where handlers are functions."""
    record(b"s", i)
    if kind != "noop":
        time.sleep(SLEEP[kind])
        record(b"e", i)


@dataclass(frozen=True)
class Async:
    """How an asynchronous library submits: one job, and many where it has a call for that."""

    one: Callable[[int, str], Awaitable[Any]]
    bulk: Callable[[Sequence[int], str], Awaitable[Any]] | None = None


@dataclass(frozen=True)
class Sync:
    """How a blocking library submits."""

    one: Callable[[int, str], Any]
    bulk: Callable[[Sequence[int], str], Any] | None = None


def run(main: Awaitable[Any]) -> Any:
    """On uvloop where it is installed: every rival at its best."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


def serve(
    *,
    work: Callable[[], Any],
    submitter: Callable[[], AbstractAsyncContextManager[Async]] | None = None,
    blocking: Callable[[], AbstractContextManager[Sync]] | None = None,
    prepare: Callable[[], Any] | None = None,
) -> None:
    """Do the command that the script was called with."""
    match sys.argv[1]:
        case "prepare":
            if prepare is not None:
                prepare()
        case "work":
            work()
        case command if submitter is not None:
            answer(run(_submit(command, submitter)))
        case command if blocking is not None:
            with blocking() as sync:
                answer(_enqueue_sync(sync) if command == "enqueue" else _pace_sync(sync))


def answer(found: object) -> None:
    """Leave the answer where the benchmark looks for it; what libraries print does not disturb it."""
    with open(ORDERS["out"], "w") as out:
        json.dump(found, out)


def _ids() -> range:
    return range(ORDERS["first"], ORDERS["first"] + ORDERS["count"])


def _chunks(size: int) -> Iterator[Sequence[int]]:
    ids = _ids()
    return (ids[start : start + size] for start in range(0, len(ids), size))


async def _submit(command: str, submitter: Callable[[], AbstractAsyncContextManager[Async]]) -> object:
    async with submitter() as to:
        return await (_enqueue(to) if command == "enqueue" else _pace(to))


async def _enqueue(to: Async) -> float:
    """Seconds that it took."""
    kind = ORDERS["kind"]
    started = time.monotonic()
    match ORDERS["mode"]:
        case "one":
            for i in _ids():
                await to.one(i, kind)
        case "callers":
            todo = iter(_ids())
            await asyncio.gather(*(_caller(to, todo, kind) for _ in range(ORDERS["callers"])))
        case "bulk" if to.bulk is not None:
            for chunk in _chunks(ORDERS["batch"]):
                await to.bulk(chunk, kind)
        case "bulk":
            for chunk in _chunks(TOGETHER):
                await asyncio.gather(*(to.one(i, kind) for i in chunk))
    return time.monotonic() - started


async def _caller(to: Async, todo: Iterator[int], kind: str) -> None:
    for i in todo:
        await to.one(i, kind)


async def _pace(to: Async) -> list[float]:
    """When each job's call was made, at a steady rate, by callers that do not wait for one another."""
    at: list[float] = []
    gate = asyncio.Semaphore(ORDERS["callers"])
    calls: set[asyncio.Task[None]] = set()

    async def call(i: int) -> None:
        try:
            await to.one(i, ORDERS["kind"])
        finally:
            gate.release()

    began = time.monotonic()
    for n, i in enumerate(_ids()):
        wait = began + n / ORDERS["rate"] - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        await gate.acquire()
        at.append(time.monotonic())
        task = asyncio.ensure_future(call(i))
        calls.add(task)
        task.add_done_callback(calls.discard)
    await asyncio.gather(*calls)
    return at


def _enqueue_sync(to: Sync) -> float:
    kind = ORDERS["kind"]
    started = time.monotonic()
    match ORDERS["mode"]:
        case "callers":
            todo, lock = iter(_ids()), threading.Lock()
            threads = [threading.Thread(target=_caller_sync, args=(to, todo, lock)) for _ in range(ORDERS["callers"])]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        case "bulk" if to.bulk is not None:
            for chunk in _chunks(ORDERS["batch"]):
                to.bulk(chunk, kind)
        case _:
            for i in _ids():
                to.one(i, kind)
    return time.monotonic() - started


def _caller_sync(to: Sync, todo: Iterator[int], lock: threading.Lock) -> None:
    while True:
        with lock:
            i = next(todo, None)
        if i is None:
            return
        to.one(i, ORDERS["kind"])


def _pace_sync(to: Sync) -> list[float]:
    at: list[float] = []
    began = time.monotonic()
    for n, i in enumerate(_ids()):
        time.sleep(max(began + n / ORDERS["rate"] - time.monotonic(), 0))
        at.append(time.monotonic())
        to.one(i, ORDERS["kind"])
    return at
