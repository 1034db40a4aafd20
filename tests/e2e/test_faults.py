"""An outage of the provider, and something else goes wrong too: the breaker closes all the same, and no job suffers.

The rules run at a tenth of their times.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.fleet import STORES, PostgresStore, Store, ValkeyStore
from tests.e2e.outage import Town, each, fleet_on, tenants, until
from tests.e2e.process import USER
from tests.servers import postgres
from tests.servers.valkey import valkey

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FASTER: Final = {"FASTER": "10", "PATIENCE": "20"}

BOUND: Final = 6.6 + 6.5 + 5
"""Seconds from healing to closed: the longest open time, the hard deadline of a probe, and 5."""

LISTENERS: Final = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ILIKE 'listen%'"


@pytest.fixture(scope="module", params=each(*STORES))
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """One for all of these tests: each leaves it as it was."""
    with STORES[request.param]() as fresh:
        yield fresh


@pytest.fixture(scope="module")
def place(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Two servers and two workers on it."""
    with fleet_on(store, tmp_path_factory.mktemp("fleet"), FASTER) as fresh:
        yield fresh


def test_it_closes_though_the_store_stands_still_for_10_s(place: Town, store: Store) -> None:
    _opens(place)
    store.freeze()
    time.sleep(5)
    place.heal()
    time.sleep(5)
    store.thaw()
    _closes(place, time.time())
    assert place.ships is not None
    assert all(worker.log.read_text().count("store.down") <= 1 for worker in place.ships.workers)


def test_it_closes_though_hints_are_lost_again_and_again(place: Town, store: Store) -> None:
    with _repeatedly(lambda: _cut_listeners(store)):
        _opens(place)
        _closes(place, place.heal())


def test_it_closes_though_the_worker_that_holds_the_probe_is_killed(place: Town) -> None:
    _opens(place)
    place.fake.override("slow", tenants("broken")[0], latency=30)
    until(lambda: place.fake.status().tenants[tenants("broken")[0]].in_flight, 12, "a probe")
    assert place.ships is not None
    *_, (_, _, pid) = place.ships.traces()
    [victim] = [worker for worker in place.ships.workers if worker.process and worker.process.pid == int(pid)]
    victim.kill()
    healed = place.heal()
    _closes(place, healed)
    victim.start()


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.xdist_group("outage-copy")
def test_it_closes_though_the_store_fails_over_to_a_copy_from_before_the_outage(known: bool, tmp_path: Path) -> None:
    with valkey() as server:
        copied = ValkeyStore(server, "none")
        with fleet_on(copied, tmp_path, FASTER) as place:
            if known:
                place.apis[0].post("/upstreams/broken/outcomes", json={"fault": "server_error"}, headers=USER)
            place.submit("broken", 12, delay=2)
            assert server.ask("SAVE") == "+OK"
            _opens(place, 0)
            copied.crash()
            time.sleep(1)
            _closes(place, place.heal())


def _opens(place: Town, jobs: int = 12) -> None:
    """The provider fails, and every server knows."""
    place.fail("broken")
    place.submit("broken", jobs)
    until(lambda: _seen(place, "open"), 10, "every server sees it open")


def _closes(place: Town, healed: float) -> None:
    """Every server sees it closed in time, and all jobs, one more among them, succeed in one attempt."""
    until(lambda: _seen(place, "closed"), BOUND + healed - time.time(), "every server sees it closed")
    answer = place.post("broken")
    assert answer.status_code == 201, answer.text
    place.unharmed("broken", 40)


def _seen(place: Town, state: str) -> bool:
    return all(place.state("broken", api) == state for api in range(len(place.apis)))


def _cut_listeners(store: Store) -> None:
    if isinstance(store, PostgresStore):
        asyncio.run(_execute(store.url))
    elif isinstance(store, ValkeyStore):
        store.server.ask("CLIENT", "KILL", "TYPE", "pubsub")


async def _execute(url: str) -> None:
    await postgres.execute(url, LISTENERS)


@contextmanager
def _repeatedly(act: Callable[[], None]) -> Iterator[None]:
    """Do it five times a second, beside the test."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(0.2):
            act()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
