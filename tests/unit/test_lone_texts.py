"""A text in the place of a list would be taken letter by letter: every call of the library refuses it by name."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest
import structlog

from tests.unit.test_context import Link
from tidegate import JobFunction, JobQuery, JobRequest, Tidegate, load
from tidegate.context import Context
from tidegate.core.text import listed
from tidegate.errors import ConfigError, InvalidInput
from tidegate.llm import Provider

Untyped: TypeAlias = Callable[..., object]
"""A call as who checks no types sees it."""

Later: TypeAlias = Callable[..., Awaitable[object]]


async def work(number: int) -> int:
    return number


@pytest.fixture
def app(tmp_path: Path) -> Tidegate:
    return Tidegate(load(engine="memory://", data_dir=tmp_path))


@pytest.fixture
def job(app: Tidegate) -> JobFunction[int, int]:
    return app.job("work")(work)


@pytest.fixture
async def opened(app: Tidegate, job: JobFunction[int, int]) -> AsyncIterator[Tidegate]:
    async with app.connected():
        yield app


@pytest.mark.parametrize("given", ["ab", b"ab", {"a": 1}, ""])
def test_what_is_no_list_is_refused_with_what_to_give(given: object) -> None:
    read: Untyped = listed
    with pytest.raises(InvalidInput) as refused:
        read("keys", given)
    assert str(refused.value) == f"keys: give a list, as in keys=[…], and no lone {type(given).__name__}"


def test_every_other_series_is_a_list() -> None:
    assert listed("keys", ["a", "b"]) == listed("keys", ("a", "b")) == listed("keys", iter("ab")) == ("a", "b")
    assert listed("keys", ()) == ()


@pytest.mark.parametrize(
    ("payloads", "said"),
    [([1, 2], {"keys": "xy"}), ([1, 2], {"tags": "xy"}), ("12", {}), ({"a": 1}, {})],
)
async def test_many_jobs_are_made_of_lists_alone_and_none_is_stored_otherwise(
    opened: Tidegate, job: JobFunction[int, int], payloads: object, said: dict[str, str]
) -> None:
    submit_many: Later = opened.submit_many
    with pytest.raises(InvalidInput, match=f"^{next(iter(said), 'payloads')}: give a list"):
        await submit_many(job, payloads, **said)
    assert (await opened.find(JobQuery())).jobs == ()


async def test_tags_are_a_list_however_a_job_is_asked_for(opened: Tidegate, job: JobFunction[int, int]) -> None:
    submit: Later = opened.submit
    with pytest.raises(InvalidInput, match=r"^tags: give a list"):
        await submit(job, 1, tags="xy")
    request: Callable[..., JobRequest] = JobRequest
    with pytest.raises(InvalidInput, match=r"^tags: give a list"):
        await opened.client.submit(request(type="work", payload=b"1", tags="xy"))


async def test_tags_that_are_listed_are_kept_in_their_order(opened: Tidegate, job: JobFunction[int, int]) -> None:
    submit: Later = opened.submit
    await submit(job, 1, tags=["x", "y"])
    [found] = (await opened.find(JobQuery())).jobs
    assert found.spec.tags == ("x", "y")


@pytest.mark.parametrize("option", ["parents", "files"])
def test_a_job_type_s_lists_are_lists(option: str) -> None:
    register: Callable[..., Callable[..., object]] = Tidegate().job
    with pytest.raises(ConfigError, match=f"^job type 'work': {option}: give a list, as in {option}="):
        register("work", upstream="api", **{option: "ab"})(work)


def test_a_schedule_s_tags_are_a_list(app: Tidegate, job: JobFunction[int, int]) -> None:
    schedule: Untyped = app.schedule
    with pytest.raises(ConfigError, match=r"^schedule 'nightly': tags: give a list"):
        schedule("nightly", "0 3 * * *", job, 1, tags="xy")


def test_an_upstream_s_parents_are_a_list_of_names() -> None:
    upstream: Untyped = Tidegate().upstream
    with pytest.raises(ConfigError, match=r"^upstream 'api': parents: give a list"):
        upstream("api", parents="ab")
    with pytest.raises(ConfigError, match=r"^upstream 'api': upstream: 'No' is no name"):
        upstream("api", parents=["No"])


def test_a_provider_s_parents_are_a_list() -> None:
    provider: Callable[..., Provider] = Provider
    with pytest.raises(ConfigError, match=r"^parents: give a list"):
        provider(name="api", model="m", base_url="https://a.example", parents="ab")
    made = provider(name="api", model="m", base_url="https://a.example", parents=["a", "b"])
    assert made.parents == ("a", "b")


def test_the_parents_of_a_call_are_a_list(tmp_path: Path) -> None:
    names = {"job_id": "j", "type": "work", "user_id": "", "request_id": ""}
    context: Callable[..., Context] = Context
    ctx = context(**names, run=1, attempt=1, log=structlog.get_logger(), link=Link(), folder=tmp_path, guard=Guarded())
    call: Untyped = ctx.upstream
    assert call("api", ["a", "b"]) == ("a", "b")
    with pytest.raises(InvalidInput, match=r"^parents: give a list"):
        call("api", "ab")


class Guarded:
    """Says what it was given."""

    def upstream(self, name: str, parents: tuple[str, ...]) -> tuple[str, ...]:
        return parents
