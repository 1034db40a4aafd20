"""Coroutines that do what no handler should; see `hostile_threads` for plain functions."""

import asyncio
import contextlib
import gc
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import NoReturn

from tidegate.context import Context, Result
from tidegate.core.job import Status
from tidegate.errors import Abandoned

FAILED, SUCCEEDED = Status.FAILED, Status.SUCCEEDED


class Unheard(BaseException):
    """Nobody who writes `except Exception` catches it."""


class Unprintable(Exception):
    """Whoever looks at it is sorry."""

    def __str__(self) -> str:
        raise SystemExit("never look at me")

    @property
    def code(self) -> str:
        """Nor this."""
        raise KeyboardInterrupt


class Serialises:
    """Something that JSON can't say, and whose text can't be had."""

    def __repr__(self) -> str:
        raise Unheard


async def exits() -> None:
    sys.exit("bye")


async def interrupts() -> None:
    raise KeyboardInterrupt


async def raises_unheard() -> None:
    raise Unheard


async def raises_generator_exit() -> None:
    raise GeneratorExit


async def times_out() -> None:
    raise TimeoutError


async def says_cancelled() -> None:
    raise asyncio.CancelledError


async def says_abandoned() -> None:
    raise Abandoned("I have had enough")


async def cancels_its_task() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def stops_iteration() -> None:
    raise StopIteration


async def recurses() -> None:
    await recurses()


async def unprintable() -> None:
    raise Unprintable


async def raises_a_group() -> None:
    raise BaseExceptionGroup("many", [SystemExit(1), ValueError("no")])


async def returns_an_object() -> object:
    return Serialises()


async def returns_a_circle() -> object:
    circle: list[object] = []
    circle.append(circle)
    return circle


async def returns_depth() -> object:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


async def returns_nan() -> float:
    return float("nan")


async def returns_bytes() -> bytes:
    return b"\xff\x00"


async def returns_half_a_surrogate() -> str:
    return "\udcff"


async def returns_a_mountain() -> str:
    return "x" * 20_000_000


async def returns_a_generator() -> object:
    def never_mind() -> Iterator[int]:
        yield 1
        raise Unheard

    return never_mind()


async def claims_an_odd_server() -> Result[object]:
    return Result(value=1, degraded=True, served_by="\udcff" * 10_000)


async def saves_outside(ctx: Context) -> None:
    ctx.save("../../escaped.txt", "x")


async def saves_an_odd_type(ctx: Context) -> None:
    ctx.save("fine.txt", "x", "no such\r\ntype")


async def removes_its_scratch(ctx: Context) -> None:
    ctx.save("gone.txt", "x")
    shutil.rmtree(ctx.scratch)


async def saves_a_link_to_elsewhere(ctx: Context) -> None:
    ctx.save("ok.txt", "x")
    (ctx.scratch / ".saved" / "ok.txt").unlink()
    (ctx.scratch / ".saved" / "ok.txt").mkdir()


async def tells_nonsense(ctx: Context) -> None:
    ctx.progress(float("nan"), "\udcff\x00")
    ctx.progress(float("inf"), "x" * 1_000_000)
    ctx.log.info("odd", value=Serialises)


async def leaves_tasks_behind() -> None:
    async def fails_later() -> NoReturn:
        await asyncio.sleep(0.01)
        raise ValueError("nobody asked")

    tasks = [asyncio.create_task(fails_later()) for _ in range(10)]
    for task in tasks:
        task.add_done_callback(lambda done: done.exception())


async def saves_after_it_returned(ctx: Context) -> None:
    def later() -> None:
        time.sleep(0.05)
        ctx.save("late.txt", "x")
        with contextlib.suppress(Abandoned):
            ctx.progress(1.0, "late")

    threading.Thread(target=later, daemon=True).start()


async def leaks_threads() -> None:
    for _ in range(20):
        threading.Thread(target=time.sleep, args=(0.5,), daemon=True).start()


async def sets_a_policy() -> None:
    asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())


async def starves_the_threads_of_the_loop() -> None:
    loop, blocked = asyncio.get_running_loop(), []
    for _ in range(8):
        blocked.append(loop.run_in_executor(None, time.sleep, 0.3))


async def changes_signals() -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


async def collects_garbage() -> None:
    gc.collect()


DEEDS = {
    exits: FAILED,
    interrupts: FAILED,
    raises_unheard: FAILED,
    raises_generator_exit: FAILED,
    times_out: FAILED,
    says_cancelled: FAILED,
    says_abandoned: FAILED,
    cancels_its_task: FAILED,
    stops_iteration: FAILED,
    recurses: FAILED,
    unprintable: FAILED,
    raises_a_group: FAILED,
    returns_an_object: FAILED,
    returns_a_circle: FAILED,
    returns_depth: FAILED,
    returns_nan: SUCCEEDED,
    returns_bytes: FAILED,
    returns_half_a_surrogate: FAILED,
    returns_a_mountain: SUCCEEDED,
    returns_a_generator: FAILED,
    claims_an_odd_server: SUCCEEDED,
    saves_outside: FAILED,
    saves_an_odd_type: FAILED,
    removes_its_scratch: FAILED,
    saves_a_link_to_elsewhere: FAILED,
    tells_nonsense: SUCCEEDED,
    leaves_tasks_behind: SUCCEEDED,
    saves_after_it_returned: SUCCEEDED,
    leaks_threads: SUCCEEDED,
    sets_a_policy: SUCCEEDED,
    starves_the_threads_of_the_loop: SUCCEEDED,
    changes_signals: SUCCEEDED,
    collects_garbage: SUCCEEDED,
}
"""What each of them comes to."""
