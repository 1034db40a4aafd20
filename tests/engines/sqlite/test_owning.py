"""One process owns a store: everybody else is turned away, and nobody's death locks it for ever."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conformance.build import new_job
from tidegate.engines.sql.sqlite import connecting, owning
from tidegate.engines.sql.sqlite.engine import SqliteEngine
from tidegate.errors import ConfigError, EngineUnavailable, StoreOwned

OWN = """
import asyncio, sys
from pathlib import Path
from tidegate.engines.sql.sqlite.engine import SqliteEngine

async def own():
    async with SqliteEngine(Path(sys.argv[1])):
        print("open", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(own())
"""


@contextmanager
def another_owner(store: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the store open, until it is told to end."""
    command = [sys.executable, "-c", OWN, str(store)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "open\n"
            yield process
        finally:
            process.kill()


@pytest.mark.slow
async def test_a_second_process_is_turned_away_by_name_of_the_first(store: Path) -> None:
    with another_owner(store) as process:
        with pytest.raises(StoreOwned, match=f"in use by process {process.pid}: .* belongs to one process") as refusal:
            await SqliteEngine(store).__aenter__()
        assert refusal.value.pid == process.pid
        assert "TIDEGATE_URL" in str(refusal.value)
        process.communicate("", timeout=30)
    async with SqliteEngine(store) as engine:
        await engine.check()


@pytest.mark.slow
async def test_a_killed_owner_leaves_a_store_that_is_checked_and_opened(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[Path] = []
    monkeypatch.setattr(connecting, "check_whole", checked.append)
    with another_owner(store) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
    for _ in range(2):
        async with SqliteEngine(store) as engine:
            await engine.check()
    assert checked == [store], "only the crash makes a check necessary"


async def test_a_store_is_opened_once_in_a_process_under_any_name(store: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    async with SqliteEngine(store):
        for name in (store, tmp_path / "link" / "jobs.db", tmp_path / "." / "jobs.db"):
            with pytest.raises(StoreOwned, match=f"in use by process {os.getpid()}"):
                await SqliteEngine(name).__aenter__()


async def test_a_failed_opening_lets_go_of_the_store(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(connecting, "connect_writer", lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            await SqliteEngine(store).__aenter__()
    async with SqliteEngine(store) as engine:
        await engine.check()


async def test_whoever_gives_up_opening_does_not_own_the_store(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, reached, go_on = connecting.connect_writer, threading.Event(), threading.Event()

    def slow(path: Path) -> sqlite3.Connection:
        reached.set()
        assert go_on.wait(20)
        return connect(path)

    monkeypatch.setattr(connecting, "connect_writer", slow)
    opening = asyncio.create_task(SqliteEngine(store).__aenter__())
    assert await asyncio.to_thread(reached.wait, 20)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    go_on.set()
    async with asyncio.timeout(20):
        await _open_as_soon_as_it_is_free(store)


async def _open_as_soon_as_it_is_free(store: Path) -> None:
    while True:
        try:
            async with SqliteEngine(store) as engine:
                await engine.check()
                return
        except StoreOwned:
            await asyncio.sleep(0.01)


async def test_a_forked_child_may_not_use_the_store_nor_hold_its_lock(store: Path) -> None:
    async with SqliteEngine(store) as engine:
        child = os.fork()
        if child == 0:
            os._exit(_refused_in_child(engine))
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert await engine.submit([new_job()])


def _refused_in_child(engine: SqliteEngine) -> int:
    """0 when the child is refused, without a loop: this process's is running in its parent."""
    try:
        engine.submit([new_job()]).send(None)
    except EngineUnavailable as exc:
        return 0 if "a forked child must open its own" in str(exc) else 1
    return 2


MOUNTS = """
sysfs /sys sysfs rw 0 0
/dev/vda / ext4 rw 0 0
server:/export /mnt/far nfs4 rw 0 0
//server/share /mnt/with\\040space cifs rw 0 0
tmpfs /mnt/far/near tmpfs rw 0 0
"""


@pytest.mark.parametrize("folder", ["/mnt/far", "/mnt/far/deep/er", "/mnt/with space"])
def test_a_network_file_system_is_refused(folder: str, tmp_path: Path) -> None:
    (tmp_path / "mounts").write_text(MOUNTS)
    with pytest.raises(ConfigError, match="is on a network file system"):
        owning.refuse_network(Path(folder, "jobs.db"), tmp_path / "mounts")


@pytest.mark.parametrize("folder", ["/", "/mnt", "/mnt/far/near", "/mnt/farther"])
def test_a_local_file_system_is_not(folder: str, tmp_path: Path) -> None:
    (tmp_path / "mounts").write_text(MOUNTS)
    owning.refuse_network(Path(folder, "jobs.db"), tmp_path / "mounts")
    owning.refuse_network(Path(folder, "jobs.db"), tmp_path / "no mounts are told here")
