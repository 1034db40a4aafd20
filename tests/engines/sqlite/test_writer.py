"""The writing thread: one commit for many, each call its own fate, nobody answered too early."""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.conformance.build import new_job
from tests.engines.sqlite.desk import Desk, desk
from tidegate.core.job import NewJob
from tidegate.core.verbs import Receipt, Submission
from tidegate.engines.sql.drafting import draft
from tidegate.engines.sql.sqlite import writer
from tidegate.engines.sql.sqlite.engine import SqliteEngine
from tidegate.engines.sql.sqlite.session import Session
from tidegate.engines.sql.sqlite.submitting import submit
from tidegate.errors import EngineUnavailable, InvalidInput

PATIENCE = 20.0


async def submitted(to: Desk, *jobs: NewJob) -> list[Receipt]:
    """Submit through the writer of `to`."""
    drafts = [draft(job) for job in jobs]
    return await to.writer.do(lambda session: submit(session, drafts))


def count(to: Desk) -> int:
    """How many jobs are committed, as another connection sees it."""
    (path,) = (row[2] for row in to.connection.execute("PRAGMA database_list"))
    other = sqlite3.connect(path)
    try:
        return int(other.execute("SELECT count(*) FROM jobs").fetchone()[0])
    finally:
        other.close()


class Turnstile:
    """A call that holds the writer's thread until it is let through."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, _: Session) -> None:
        self.reached.set()
        assert self.open.wait(PATIENCE)


async def held(to: Desk) -> tuple[Turnstile, "asyncio.Task[None]"]:
    """A turnstile that the writer has reached, and the call that waits in it."""
    turnstile = Turnstile()
    task = asyncio.create_task(to.writer.do(turnstile))
    assert await asyncio.to_thread(turnstile.reached.wait, PATIENCE)
    return turnstile, task


async def queued(to: Desk, *batches: Sequence[NewJob]) -> "list[asyncio.Task[list[Receipt]]]":
    """Submits that wait in the writer's queue."""
    tasks = [asyncio.create_task(submitted(to, *batch)) for batch in batches]
    await asyncio.sleep(0)
    return tasks


async def test_calls_that_wait_together_share_one_commit(store: Path) -> None:
    with desk(store) as to:
        turnstile, task = await held(to)
        before = to.commits
        tasks = await queued(to, *([new_job()] for _ in range(100)))
        turnstile.open.set()
        await task
        receipts = await asyncio.gather(*tasks)
        assert all(receipt.submission is Submission.CREATED for (receipt,) in receipts)
        assert to.commits - before == 2, "one for the call that was under way, one for all that came meanwhile"
        assert count(to) == 100


async def test_a_single_call_is_committed_at_once(store: Path) -> None:
    with desk(store) as to:
        async with asyncio.timeout(PATIENCE):
            for number in range(1, 6):
                await submitted(to, new_job())
                assert to.commits == number


async def test_nobody_is_answered_before_the_commit(store: Path) -> None:
    with desk(store) as to:
        for _ in range(20):
            known = count(to)
            await submitted(to, new_job())
            assert count(to) == known + 1


async def test_a_call_that_can_not_be_stored_fails_alone(store: Path) -> None:
    poison = new_job(user_id="half a surrogate: \ud800")
    with desk(store) as to:
        turnstile, task = await held(to)
        before, between, after = await queued(to, [new_job()], [new_job(), poison], [new_job()])
        turnstile.open.set()
        await task
        assert (await before)[0].submission is Submission.CREATED
        with pytest.raises(InvalidInput, match="can't be stored"):
            await between
        assert (await after)[0].submission is Submission.CREATED
        assert count(to) == 2, "nothing of the poisoned call is left"
        assert [receipt.submission for receipt in await submitted(to, new_job())] == [Submission.CREATED]


async def test_a_batch_with_a_value_out_of_range_is_refused_whole(store: Path) -> None:
    with desk(store) as to:
        with pytest.raises(InvalidInput, match="can't be stored"):
            await submitted(to, new_job(), new_job(request_id="\udfff"), new_job())
        with pytest.raises(InvalidInput, match="timeout: must be at most 36525 days"):
            await submitted(to, new_job(), new_job(timeout=timedelta(days=999_999_999)))
        with pytest.raises(InvalidInput, match="priority: must be 0 to 9, not 10"):
            await submitted(to, new_job(), new_job(priority=10))
        assert count(to) == 0


async def test_what_the_schema_forbids_is_refused(store: Path) -> None:
    with desk(store) as to:
        (receipt,) = await submitted(to, new_job())
        with pytest.raises(InvalidInput, match="jobs_status"):
            await to.writer.do(lambda session: session.run("UPDATE jobs SET status = 'lost'"))
        with pytest.raises(InvalidInput, match="jobs_finished"):
            await to.writer.do(lambda session: session.run("UPDATE jobs SET status = 'failed'"))
        assert (await submitted(to, new_job(job_id=receipt.job_id)))[0].submission is Submission.REPLAYED


async def test_a_full_disk_refuses_until_there_is_room(store: Path) -> None:
    large = [new_job(payload=bytes(100_000)) for _ in range(10)]
    with desk(store) as to:
        await submitted(to, new_job())
        pages = to.connection.execute("PRAGMA page_count").fetchone()[0]
        to.connection.execute(f"PRAGMA max_page_count = {pages + 20}").fetchall()
        for _ in range(2):
            with pytest.raises(EngineUnavailable, match=r"full.*nothing was changed"):
                await submitted(to, *large)
        assert count(to) == 1
        to.connection.execute("PRAGMA max_page_count = 1000000").fetchall()
        assert len(await submitted(to, *large)) == 10
        assert count(to) == 11


async def test_a_failed_commit_fails_all_of_its_calls_and_changes_nothing(store: Path) -> None:
    with desk(store) as to:
        turnstile, task = await held(to)
        tasks = await queued(to, *([new_job()] for _ in range(3)))
        to.connection.breaks = lambda sql: sql == "COMMIT"
        turnstile.open.set()
        results = await asyncio.gather(task, *tasks, return_exceptions=True)
        assert [type(result) for result in results] == [EngineUnavailable] * 4
        assert count(to) == 0
        to.connection.breaks = lambda _: False
        assert await submitted(to, new_job())
        assert count(to) == 1


async def test_whoever_stops_waiting_does_not_stop_the_call(store: Path) -> None:
    with desk(store) as to:
        turnstile, task = await held(to)
        (gone, stays) = await queued(to, [new_job()], [new_job()])
        gone.cancel()
        await asyncio.sleep(0)
        turnstile.open.set()
        await task
        await stays
        assert gone.cancelled()
        assert count(to) == 2


async def test_loops_of_many_threads_may_call(store: Path) -> None:
    with desk(store) as to:

        async def client() -> None:
            await asyncio.gather(*(submitted(to, new_job()) for _ in range(20)))

        await asyncio.gather(*(asyncio.to_thread(asyncio.run, client()) for _ in range(4)))
        assert count(to) == 80


async def test_a_loop_that_was_closed_meanwhile_harms_nobody(store: Path) -> None:
    with desk(store) as to:
        turnstile, task = await held(to)

        async def gone() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await submitted(to, new_job())

        await asyncio.to_thread(asyncio.run, gone())
        (stays,) = await queued(to, [new_job()])
        turnstile.open.set()
        await task
        assert await stays
        assert count(to) == 2


async def test_calls_under_way_are_finished_before_it_closes(store: Path) -> None:
    async with SqliteEngine(store) as engine:
        tasks = [asyncio.create_task(engine.submit([new_job()])) for _ in range(50)]
        await asyncio.sleep(0)
    assert all(receipt.submission is Submission.CREATED for (receipt,) in await asyncio.gather(*tasks))
    with pytest.raises(EngineUnavailable, match="not open"):
        await engine.submit([new_job()])


def _die(_: Session) -> None:
    raise SystemExit("the thread ends here")


async def test_when_the_thread_ends_everybody_is_told(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with desk(store) as to:
        turnstile, task = await held(to)
        dying = asyncio.create_task(to.writer.do(_die))
        await asyncio.sleep(0)
        (waiting,) = await queued(to, [new_job()])
        turnstile.open.set()
        await task
        for call in (dying, waiting):
            with pytest.raises(EngineUnavailable, match="has ended"):
                await call
        with pytest.raises(EngineUnavailable, match="has ended"):
            await submitted(to, new_job())


async def test_a_submit_wakes_who_waits_for_its_queue_and_a_failed_one_does_not(store: Path) -> None:
    with desk(store) as to:
        waits = partial(to.bell.wait, ["queue:default"])
        async with asyncio.timeout(PATIENCE):
            waiting = asyncio.create_task(waits(timedelta(seconds=60)))
            await asyncio.sleep(0)
            with pytest.raises(InvalidInput):
                await submitted(to, new_job(user_id="\ud800"))
            assert not waiting.done()
            await submitted(to, new_job())
            await waiting


@pytest.mark.slow
def test_the_log_is_moved_into_the_store_when_it_is_quiet(store: Path) -> None:
    moved = threading.Event()
    size = store.stat().st_size

    def watch(sql: str) -> None:
        if sql == "PRAGMA wal_checkpoint(PASSIVE)":
            moved.set()

    with desk(store) as to:
        to.connection.set_trace_callback(watch)
        asyncio.run(_fill(to))
        assert moved.wait(PATIENCE)
        to.connection.set_trace_callback(None)
        asyncio.run(_fill(to))
        assert store.stat().st_size > size


async def _fill(to: Desk) -> None:
    await submitted(to, *(new_job() for _ in range(100)))


@pytest.mark.slow
def test_readers_that_overlap_do_not_let_the_log_grow_for_ever(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT_EVERY", 1)
    monkeypatch.setattr(writer, "LONGEST_LOG", 10)
    log = store.with_name("jobs.db-wal")
    with desk(store) as to, closing(sqlite3.connect(store)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM jobs").fetchall()
        for _ in range(4):
            asyncio.run(_fill(to))
        assert "PRAGMA wal_checkpoint(RESTART)" in to.statements, "the log is long, and the reader keeps it so"
        reader.execute("COMMIT")
        asyncio.run(_fill(to))
        size = log.stat().st_size
        for _ in range(20):
            asyncio.run(_fill(to))
        assert log.stat().st_size <= size + 1_000_000
