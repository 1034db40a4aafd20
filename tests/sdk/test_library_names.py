"""Whoever knows the library knows the client: what both do has one name, takes the same, and comes to the same."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import get_type_hints

import pytest

import tidegate
from tests.sdk.house import calls_of
from tidegate.app import BatchOptions, SubmitOptions, Tidegate
from tidegate.core.queue_circuit import QueueCircuit
from tidegate.errors import InvalidInput
from tidegate.sdk import AsyncClient, Client, JobHandle, options
from tidegate.sdk.queues import Queues
from tidegate.upstreams import QueueCircuits

SERVERS_OWN = {"known"}
"""What the library has for the process that holds the store."""

WHO = {"author", "user_id", "request_id"}
"""What a program tells the library and a server knows by itself: who asks, and by which request."""


def _public(kind: type[object]) -> dict[str, Callable[..., object]]:
    return {name: call for name, call in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def _takes(call: Callable[..., object]) -> dict[str, inspect.Parameter]:
    given = inspect.signature(call).parameters
    return {name: one for name, one in given.items() if name not in {"self", *WHO}}


def test_the_queues_have_the_librarys_names_and_no_second_ones() -> None:
    ours, theirs = calls_of(Queues), _public(QueueCircuits)
    assert ours.keys() - theirs.keys() == {"list", "show", "history"}
    assert theirs.keys() - ours.keys() == SERVERS_OWN
    for name, call in theirs.items():
        if name not in SERVERS_OWN:
            assert {one: given.kind for one, given in _takes(call).items()} == {
                one: given.kind for one, given in _takes(ours[name]).items()
            }, name
            assert get_type_hints(call)["return"] == get_type_hints(ours[name])["return"], name


def test_a_handle_and_a_way_to_one_have_the_librarys_names() -> None:
    assert _public(tidegate.JobHandle).keys() <= calls_of(JobHandle).keys()
    shared = _public(Tidegate).keys() & calls_of(Client).keys()
    assert shared == {"find", "handle", "submit", "submit_many"}
    assert _takes(Tidegate.handle).keys() == _takes(Client.handle).keys()
    for name, call in _public(tidegate.JobHandle).items():
        assert _takes(call).keys() <= _takes(calls_of(JobHandle)[name]).keys(), name


def test_a_submit_takes_what_the_librarys_takes() -> None:
    for name in ("submit", "submit_many"):
        theirs = list(_takes(getattr(Tidegate, name)))
        assert list(_takes(calls_of(Client)[name])) == ["job_type", *theirs[1:]]  # there is no function to name it by
    assert set(options.SubmitOptions.__annotations__) == set(SubmitOptions.__annotations__) - WHO
    assert set(options.BatchOptions.__annotations__) == set(BatchOptions.__annotations__) - WHO


async def test_a_queue_that_nobody_has_heard_of_is_told_as_the_library_does(client: AsyncClient) -> None:
    seen = await client.queues.get_queue_circuit_status("unheard-of")
    assert seen == QueueCircuit(queue="unheard-of")
    assert not await client.queues.is_queue_paused("unheard-of")
    with pytest.raises(InvalidInput):
        await client.queues.get_queue_circuit_status("../upstreams")


async def test_what_is_told_of_a_queue_is_all_that_the_library_tells(client: AsyncClient) -> None:
    paused = await client.queues.pause_queue("told", last=60)
    shown = await client.queues.show("told")
    assert paused == await client.queues.get_queue_circuit_status("told")
    told = {**dataclasses.asdict(paused), "name": "told", "paused": True}
    assert {told.pop(name) for name in ("queue", "is_paused")} == {"told", True}
    assert told == {name: getattr(shown, name) for name in told}
    await client.queues.resume_queue("told")
