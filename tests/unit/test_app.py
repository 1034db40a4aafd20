"""The library face: what it takes, what it refuses, what it gives back."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest

from tidegate import JobFunction, JobQuery, Tidegate, TidegateError, load
from tidegate.errors import ConfigError, IdempotencyConflict, InvalidInput

Untyped: TypeAlias = Callable[..., Awaitable[object]]
"""A verb as a caller without a type checker sees it."""


@pytest.fixture
def app(tmp_path: Path) -> Tidegate:
    return Tidegate(load(engine="memory://", data_dir=tmp_path))


@pytest.fixture
def double(app: Tidegate) -> JobFunction[int, int]:
    @app.job("double")
    async def double(number: int) -> int:
        return 2 * number

    return double


@pytest.fixture
async def opened(app: Tidegate, double: JobFunction[int, int]) -> AsyncIterator[Tidegate]:
    async with app:
        yield app


async def test_a_misspelt_option_of_a_submit_is_refused_with_those_there_are(
    opened: Tidegate, double: JobFunction[int, int]
) -> None:
    calls: dict[str, Untyped] = {
        "submit": opened.submit,
        "submit_many": opened.submit_many,
        "submit_in": partial(opened.submit_in, object()),
    }
    for verb, call in calls.items():
        with pytest.raises(TypeError, match=rf"{verb}\(\) has no option 'timout'; it has: delay, .*timeout"):
            await call(double, [1], timout=3)
    assert (await opened.find(JobQuery())).jobs == ()


@pytest.mark.parametrize("option", ["timout", "max_attempt", "retries", "idempotency_key"])
def test_a_misspelt_option_of_a_job_type_is_refused_with_those_there_are(app: Tidegate, option: str) -> None:
    job: Callable[..., object] = app.job
    with pytest.raises(TypeError, match=rf"job\(\) has no option '{option}'; it has: .*retry, .*timeout"):
        job("mail", **{option: 3})


async def test_a_job_type_s_name_is_no_function_to_submit(opened: Tidegate) -> None:
    submit: Untyped = opened.submit
    with pytest.raises(TypeError, match="takes the function that"):
        await submit("double", 1)


async def test_many_jobs_are_submitted_in_one_call_each_under_its_key(
    opened: Tidegate, double: JobFunction[int, int]
) -> None:
    first = await opened.submit_many(double, [1, 2], keys=["one", "two"], user_id="ada")
    again = await opened.submit_many(double, [1, 2], keys=["one", "two"], user_id="ada")

    assert [await handle.result(timeout=10) for handle in first] == [2, 4]
    assert [handle.id for handle in again] == [handle.id for handle in first]
    assert [handle.created for handle in (*first, *again)] == [True, True, False, False]


async def test_where_one_of_many_keys_belongs_to_other_work_the_others_are_stored(
    opened: Tidegate, double: JobFunction[int, int]
) -> None:
    await opened.submit_many(double, [1], keys=["one"])
    with pytest.raises(IdempotencyConflict):
        await opened.submit_many(double, [2, 3], keys=["one", "two"])
    assert not (await opened.submit(double, 3, idempotency_key="two")).created


async def test_keys_that_do_not_go_with_the_payloads_are_refused(
    opened: Tidegate, double: JobFunction[int, int]
) -> None:
    with pytest.raises(InvalidInput, match="2 keys for 1 payloads"):
        await opened.submit_many(double, [1], keys=["one", "two"])


async def test_a_job_is_shown_in_a_few_words(opened: Tidegate, double: JobFunction[int, int]) -> None:
    handle = await opened.submit(double, 4)
    await handle.result(timeout=10)
    assert repr(await handle.status()) == f"<job {handle.id}: double, succeeded>"


async def test_a_job_known_by_its_id_has_a_handle(opened: Tidegate, double: JobFunction[int, int]) -> None:
    submitted = await opened.submit(double, 4)
    assert await opened.handle(submitted.id).result(timeout=10) == 8
    with pytest.raises(TidegateError, match="no job"):
        await opened.handle("01a2").status()


async def test_job_types_whose_queues_its_worker_leaves_out_are_one_line_in_the_log(
    app: Tidegate, double: JobFunction[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    for name, queue in (("trim", "videos"), ("cut", "videos"), ("sum", "figures")):
        app.job(name, queue=queue)(double.handler)
    async with app.connected():
        assert not [record for record in caplog.records if record.name.startswith("tidegate")]
    async with app:
        pass
    [line] = [record for record in caplog.records if record.name == "tidegate.wiring"]
    assert (line.levelname, line.getMessage()) == (
        "WARNING",
        "this process runs no jobs of types whose queues TIDEGATE_QUEUES leaves out: queue videos (cut, trim); "
        "queue figures (sum)",
    )


async def test_a_worker_that_serves_every_queue_says_nothing_of_it(
    app: Tidegate, double: JobFunction[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    app.job("urgent", queue="high")(double.handler)
    async with app:
        pass
    assert [record for record in caplog.records if record.name == "tidegate.wiring"] == []


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("limit", "3", "limit must be a whole number, not '3'"),
        ("limit", True, "limit must be a whole number, not True"),
        ("per_minute", "60", "per_minute must be a number, not '60'"),
    ],
)
def test_an_upstreams_option_of_the_wrong_kind_is_refused_by_name(
    app: Tidegate, option: str, value: object, said: str
) -> None:
    declare: Callable[..., object] = app.upstream
    with pytest.raises(ConfigError, match=f"upstream 'x': {said}"):
        declare("x", **{option: value})
