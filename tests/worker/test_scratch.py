"""Nothing that a run wrote beside its artifacts outlives its worker for long."""

from pathlib import Path

from tests.worker.house import House, dead_owner, eventually
from tidegate.clock import token
from tidegate.context import Context
from tidegate.worker.identity import identity


def _folder(house: House, owner: str) -> Path:
    folder = house.runtime.scratch / owner / "some-run"
    folder.mkdir(parents=True)
    (folder / "input.csv").write_text("a,b")
    return folder


async def test_what_dead_workers_of_this_host_left_is_removed_at_the_start_of_another(house: House) -> None:
    left = _folder(house, dead_owner())
    living, foreign = _folder(house, identity(token())), _folder(house, "elsewhere")

    await house.worker()

    assert [folder.exists() for folder in (left, living, foreign)] == [False, True, True]


async def test_a_stopped_worker_leaves_nothing(house: House) -> None:
    async def leaves(ctx: Context) -> None:
        (ctx.scratch / "a").write_text("x")
        folders.append(ctx.folder)

    folders: list[Path] = []
    house.job("leaves", leaves)
    worker = await house.worker()
    await house.ended(await house.submit("leaves"))
    await eventually(lambda: not folders[0].exists())
    folders[0].mkdir(parents=True)  # as a thread that the handler left behind might

    await house.stop(worker)

    assert not folders[0].exists()
