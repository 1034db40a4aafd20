"""What a user's type checker sees of the public names. mypy checks this file; nothing runs it."""

from datetime import timedelta
from typing import assert_type

from pydantic import BaseModel

from tidegate import Context, Job, JobFunction, JobHandle, Result, RetryPolicy, Steps, Tidegate, load

app = Tidegate(load(engine="memory://"))


class Order(BaseModel):
    """A payload."""

    number: int


@app.job("async")
async def with_payload(payload: Order) -> int:
    """A coroutine with a payload."""
    return payload.number


@app.job("async.context", queue="high", timeout=30, retry=RetryPolicy(backoff=Steps(delays=(timedelta(seconds=1),))))
async def with_both(payload: Order, ctx: Context) -> list[str]:
    """A coroutine with a payload and a context."""
    ctx.progress(0.5)
    return [str(payload.number)]


@app.job("async.context.only")
async def with_context(ctx: Context) -> str:
    """A coroutine with a context only."""
    return ctx.job_id


@app.job("async.nothing")
async def with_nothing() -> bool:
    """A coroutine with neither."""
    return True


@app.job("async.result")
async def with_result(payload: Order) -> Result[float]:
    """A coroutine that says more about its value."""
    return Result(value=float(payload.number), degraded=True)


@app.job("async.nothing.result")
async def nothing_with_result() -> Result[float]:
    """A coroutine without payload that says more about its value."""
    return Result(value=0.5)


@app.job("async.none")
async def returns_nothing(payload: dict[str, int]) -> None:
    """A coroutine that returns nothing."""


@app.job("thread")
def in_thread(payload: Order) -> bytes:
    """A plain function."""
    return bytes(payload.number)


@app.job("thread.context")
def in_thread_with_both(payload: Order, ctx: Context) -> int:
    """A plain function with a payload and a context."""
    return ctx.attempt


@app.job("thread.context.only")
def in_thread_with_context(ctx: Context) -> int:
    """A plain function with a context only."""
    return ctx.attempt


@app.job("thread.nothing")
def in_thread_with_nothing() -> int:
    """A plain function with neither."""
    return 1


@app.job("thread.result")
def in_thread_with_result(payload: Order) -> Result[str]:
    """A plain function that says more about its value."""
    return Result(value=str(payload.number))


@app.job("cpu", cpu=True, on_shutdown="fail")
def in_process(payload: Order) -> int:
    """A plain function in a process."""
    return payload.number


assert_type(with_payload, JobFunction[Order, int])
assert_type(with_both, JobFunction[Order, list[str]])
assert_type(with_context, JobFunction[None, str])
assert_type(with_nothing, JobFunction[None, bool])
assert_type(with_result, JobFunction[Order, float])
assert_type(nothing_with_result, JobFunction[None, float])
assert_type(returns_nothing, JobFunction[dict[str, int], None])
assert_type(in_thread, JobFunction[Order, bytes])
assert_type(in_thread_with_both, JobFunction[Order, int])
assert_type(in_thread_with_context, JobFunction[None, int])
assert_type(in_thread_with_nothing, JobFunction[None, int])
assert_type(in_thread_with_result, JobFunction[Order, str])
assert_type(in_process, JobFunction[Order, int])


app.schedule("hourly", "0 * * * *", with_payload, Order(number=1), timezone="Europe/Berlin", misfire="all", timeout=5)
app.schedule("daily", "0 3 * * *", with_nothing, None, user_id="ada", max_catch_up=3)


async def use() -> None:
    """What an application does with them."""
    async with app as opened:
        assert_type(opened, Tidegate)
        handle = await app.submit(with_payload, Order(number=1), user_id="ada", idempotency_key="k", delay=1.5)
        assert_type(handle, JobHandle[int])
        assert_type(handle.id, str)
        assert_type(handle.created, bool)
        assert_type(await handle.result(timeout=5), int)
        assert_type(await handle.status(), Job)
        assert_type(await handle.cancel(), Job)
        many = await app.submit_many(with_payload, [Order(number=1)], keys=["k"], user_id="ada")
        assert_type(many, list[JobHandle[int]])
        assert_type(app.handle(handle.id), JobHandle[object])
        assert_type(await (await app.submit(with_nothing, None)).result(), bool)
        assert_type(await (await app.submit(with_context, None)).result(), str)
        assert_type(await (await app.submit(with_result, Order(number=1))).result(), float)
        assert_type(await (await app.submit(in_thread_with_result, Order(number=1))).result(timedelta(1)), str)
