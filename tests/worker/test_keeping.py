"""What can't be kept, in the artifact store or in the job store, fails its own job and no other."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tests.worker.house import AT_ONCE, House
from tidegate.core.artifact import Stored
from tidegate.core.failure import ARTIFACT_FAILED, PROCESSING_ERROR
from tidegate.core.job import Ending, Job, Status, Succeed
from tidegate.core.verbs import Settled
from tidegate.errors import ArtifactUnavailable
from tidegate.telemetry.events import ResultStoreFailed


def _code(job: Job) -> str:
    assert job.error is not None
    return job.error.code


class Refusing:
    """Turns every write of these names away, as an artifact store that is down does after its tries."""

    def __init__(self, house: House, *names: str) -> None:
        self._put = house.runtime.artifacts.put
        self._names = names
        self.refused: list[str] = []

    async def put(self, path: str, data: bytes | AsyncIterator[bytes] | Path, *, content_type: str) -> Stored:
        if path.rpartition("/")[2] in self._names:
            self.refused.append(path)
            raise ArtifactUnavailable("could not write (tries: 3)")
        return await self._put(path, data, content_type=content_type)


async def test_a_result_that_cannot_be_stored_is_an_attempt_that_failed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Refusing(house, "result.json")
    monkeypatch.setattr(house.runtime.artifacts, "put", store.put)

    async def fine() -> int:
        return 1

    house.job("fine", fine, retry=AT_ONCE)
    await house.worker()

    job = await house.ended(await house.submit("fine"))

    assert (job.status, job.attempts, _code(job)) == (Status.FAILED, 3, ARTIFACT_FAILED)
    assert len(store.refused) == 3
    assert len(house.events(ResultStoreFailed)) == 3
    assert (job.result_path, await house.result(job.id)) == (None, None)


async def test_a_job_fails_also_when_its_error_file_cannot_be_written(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.runtime.artifacts, "put", Refusing(house, "error.json").put)

    async def fails() -> None:
        raise ValueError("no")

    house.job("fails", fails)
    await house.worker()

    job = await house.ended(await house.submit("fails", max_attempts=1))

    assert (job.status, _code(job)) == (Status.FAILED, PROCESSING_ERROR)
    assert len(house.events(ResultStoreFailed)) == 1


async def test_an_ending_that_the_store_cannot_take_buries_that_job_and_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = house.engine.settle

    async def picky(endings: Sequence[Ending]) -> list[Settled]:
        if any(isinstance(e.settlement, Succeed) and e.settlement.result == b'"odd"' for e in endings):
            raise ValueError("a value that no column holds")
        return await settle(endings)

    async def says(payload: dict[str, str]) -> str:
        return payload["say"]

    monkeypatch.setattr(house.engine, "settle", picky)
    house.job("says", says)
    odd = await house.submit("says", payload=b'{"say": "odd"}')
    fine = await house.submit_many("says", 5, payload=b'{"say": "fine"}')
    await house.worker()

    assert {job.status for job in await house.all_ended(fine)} == {Status.SUCCEEDED}
    job = await house.ended(odd)
    assert (job.status, job.counters.runs) == (Status.FAILED, 1)
