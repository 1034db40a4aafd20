"""Threads for what blocks: as many as are needed, used again, and never waited for."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.worker.house import eventually
from tidegate.worker.threads import Threads

STUCK = """
import asyncio, threading
from tidegate.worker.threads import Threads

async def main():
    stuck = asyncio.ensure_future(Threads("stuck").run(threading.Event().wait))
    await Threads("other").run(lambda: None)

asyncio.run(main())
print("the end")
"""


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads("test-thread")
    yield threads
    threads.close()


async def test_a_call_is_answered_from_another_thread(threads: Threads) -> None:
    assert await threads.run(threading.get_ident) != threading.get_ident()


async def test_what_a_call_raises_is_raised(threads: Threads) -> None:
    def fails() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError):
        await threads.run(fails)
    assert await threads.run(lambda: 1) == 1


async def test_a_thread_is_used_again(threads: Threads) -> None:
    assert await threads.run(threading.get_ident) == await threads.run(threading.get_ident)


async def test_calls_at_once_have_threads_of_their_own(threads: Threads) -> None:
    meet = threading.Barrier(20, timeout=5)

    await asyncio.gather(*(threads.run(meet.wait) for _ in range(20)))


async def test_a_cancelled_call_goes_on_unheard_and_its_thread_is_used_again(threads: Threads) -> None:
    let_go, done = threading.Event(), threading.Event()

    def waits() -> None:
        let_go.wait(5)
        done.set()

    call = asyncio.create_task(threads.run(waits))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    let_go.set()

    await eventually(done.is_set)
    assert await threads.run(lambda: 1) == 1


async def test_closing_ends_idle_threads(threads: Threads) -> None:
    thread = await threads.run(threading.current_thread)
    threads.close()

    await eventually(lambda: not thread.is_alive())


def test_a_call_that_never_returns_does_not_keep_the_process_alive() -> None:
    ended = subprocess.run([sys.executable, "-c", STUCK], timeout=20, capture_output=True, text=True, check=True)

    assert ended.stdout == "the end\n"
