"""Fifty processes on one real store, all at once."""

import asyncio
from datetime import timedelta

from tests.upstreams.shells import Process
from tests.worker.house import House
from tidegate.core.upstream import Override, State


async def test_fifty_processes_trip_once_and_one_of_them_tells(house: House) -> None:
    fleet = [Process(house.engine, house.clock) for _ in range(50)]
    for process in fleet:
        process.fail("api", 1)
    await asyncio.gather(*(process.tell("api") for process in fleet))
    await asyncio.gather(*(process.catch_up() for process in fleet))
    assert {process.state("api") for process in fleet} == {State.OPEN}
    assert sum(process.told(State.OPEN) for process in fleet) == 1
    log = fleet[0].known("api").log
    assert [change.to for change in log] == [State.OPEN]
    assert log[0].why == "6 faults in 60 s"


async def test_words_of_fifty_operators_are_all_in_the_history(house: House) -> None:
    fleet = [Process(house.engine, house.clock) for _ in range(40)]
    words = [Override.OPEN, Override.CLOSED, Override.OFF]
    await asyncio.gather(
        *(
            process.health.override("upstream:api", words[number % 3], author=f"o{number}", last=timedelta(hours=1))
            for number, process in enumerate(fleet)
        )
    )
    await fleet[0].catch_up()
    authors = [change.author for change in fleet[0].known("api").log]
    assert sorted(authors) == sorted(f"o{number}" for number in range(40))
    assert sum(process.told("override") for process in fleet) == 40
