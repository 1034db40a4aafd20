"""What handlers are given, and what becomes of what they return."""

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pydantic import BaseModel
from structlog.testing import capture_logs

from tests.worker import cpu_jobs
from tests.worker.house import AT_ONCE, House, Watch, eventually
from tidegate.artifacts import uploads
from tidegate.context import Context, Result
from tidegate.core.job import INLINE_RESULT_LIMIT, Status
from tidegate.wiring import new_job_id


class Numbers(BaseModel):
    numbers: list[int]


async def on_loop(payload: Numbers) -> int:
    await asyncio.sleep(0)
    return sum(payload.numbers)


def in_thread(payload: Numbers) -> int:
    assert threading.current_thread() is not threading.main_thread()
    return sum(payload.numbers)


@pytest.mark.parametrize(
    ("handler", "cpu"), [(on_loop, False), (in_thread, False), (cpu_jobs.add, True)], ids=["async", "thread", "cpu"]
)
async def test_a_result_is_kept_inline_and_as_artifact(
    house: House, handler: Callable[[Numbers], object], cpu: bool
) -> None:
    house.job("add", handler, cpu=cpu)
    await house.worker()

    job = await house.ended(await house.submit("add", payload=b'{"numbers": [1, 2, 39]}'))

    assert job.status is Status.SUCCEEDED
    assert await house.result(job.id) == b"42"
    assert await house.artifact(job.result_path) == b"42"


async def test_a_handler_that_returns_nothing_leaves_nothing(house: House) -> None:
    async def nothing() -> None:
        pass

    house.job("nothing", nothing)
    await house.worker()

    job = await house.ended(await house.submit("nothing"))

    assert (job.status, job.result_path) == (Status.SUCCEEDED, None)
    assert await house.result(job.id) is None
    assert await house.artifacts(job.id) == []


@pytest.mark.parametrize("cpu", [False, True])
async def test_a_large_result_is_kept_as_artifact_only(house: House, cpu: bool) -> None:
    async def big() -> str:
        return "x" * 100_000

    house.job("big", cpu_jobs.big if cpu else big, cpu=cpu)
    await house.worker()

    job = await house.ended(await house.submit("big"))

    assert await house.result(job.id) is None
    assert await house.artifact(job.result_path) == b'"' + b"x" * 100_000 + b'"'


@pytest.mark.parametrize(("size", "inline"), [(INLINE_RESULT_LIMIT, True), (INLINE_RESULT_LIMIT + 1, False)])
async def test_64_kib_are_the_most_that_is_kept_inline(house: House, size: int, inline: bool) -> None:
    async def sized() -> str:
        return "x" * (size - 2)

    house.job("sized", sized)
    await house.worker()

    job = await house.ended(await house.submit("sized"))

    assert (await house.result(job.id) is not None) is inline


async def test_a_degraded_result_says_so_and_who_served_it(house: House) -> None:
    async def degraded() -> Result[str]:
        return Result(value="half", degraded=True, served_by="fallback")

    house.job("degraded", degraded)
    house.job("degraded.cpu", cpu_jobs.degraded, cpu=True)
    await house.worker()

    job = await house.ended(await house.submit("degraded"))
    from_child = await house.ended(await house.submit("degraded.cpu", payload=b'{"a": 1}'))

    assert (job.degraded, job.served_by, await house.result(job.id)) == (True, "fallback", b'"half"')
    assert (from_child.degraded, from_child.served_by) == (True, "child")
    assert await house.result(from_child.id) == b'{"a":1}'


async def test_saved_files_arrive_under_the_runs_prefix_when_it_succeeds(house: House, tmp_path: Path) -> None:
    async def saver(ctx: Context) -> int:
        ctx.save("report.html", "<p>fine</p>", "text/html")
        ctx.save("charts/one.png", b"\x89PNG")
        (ctx.scratch / "big.csv").write_text("a,b")
        ctx.save("big.csv", ctx.scratch / "big.csv")
        return 1

    house.job("saver", saver)
    await house.worker()

    job = await house.ended(await house.submit("saver"))

    assert await house.artifacts(job.id) == ["big.csv", "charts/one.png", "report.html", "result.json"]
    assert job.result_path is not None
    prefix = job.result_path.removesuffix("result.json")
    assert prefix.startswith(f"jobs/{job.id}/1-")
    assert await house.artifact(prefix + "charts/one.png") == b"\x89PNG"


async def test_a_child_saves_files_tells_progress_and_logs_like_any_handler(house: House) -> None:
    house.job("saver", cpu_jobs.saver, cpu=True)
    await house.worker()

    with capture_logs() as lines:
        job = await house.ended(await house.submit("saver", user_id="ada"))

    assert await house.result(job.id) == b'"saver 1 1 ada"'
    assert await house.artifacts(job.id) == ["deep/er.bin", "notes.txt", "result.json"]
    [line] = [line for line in lines if line["event"] == "saved"]
    assert (line["job_id"], line["user_id"], line["files"]) == (job.id, "ada", 2)


async def test_a_handler_may_write_its_result_file_itself(house: House) -> None:
    async def own(ctx: Context) -> dict[str, int]:
        ctx.save("result.json", b'{"own": true}', "application/json")
        return {"a": 1}

    house.job("own", own)
    await house.worker()

    job = await house.ended(await house.submit("own"))

    assert await house.artifact(job.result_path) == b'{"own": true}'


async def test_nothing_that_a_failed_run_saved_is_kept(house: House) -> None:
    async def saves_and_fails(ctx: Context) -> None:
        ctx.save("half.txt", "half")
        raise ValueError("no")

    house.job("fails", saves_and_fails)
    await house.worker()

    job = await house.ended(await house.submit("fails", max_attempts=1))

    assert await house.artifacts(job.id) == ["error.json"]


async def _chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_uploads_that_the_payload_refers_to_are_fetched(house: House) -> None:
    async def reader(payload: dict[str, object], ctx: Context) -> str:
        file = ctx.files["file"]
        return f"{file.name} {file.size} {file.path.read_text()}"

    incoming = uploads.Incoming(
        upload_id=new_job_id(), user_id="ada", name="data.csv", content_type="text/csv", created_at=house.clock.now()
    )
    stored = await uploads.receive(house.runtime.artifacts, _chunks(b"a,b\n", b"1,2\n"), incoming, limit=100)
    house.job("reader", reader, files=("file",))
    house.job("reader.cpu", cpu_jobs.reader, cpu=True, files=("file",))
    await house.worker()
    payload = json.dumps({"file": stored.reference}).encode()

    for name in ("reader", "reader.cpu"):
        job = await house.ended(await house.submit(name, payload=payload, user_id="ada"))
        assert await house.result(job.id) == b'"data.csv 8 a,b\\n1,2\\n"', job.error


async def test_scratch_is_a_private_folder_that_is_gone_afterwards(house: House) -> None:
    async def scratches(ctx: Context) -> str:
        (ctx.scratch / "a").write_text("x")
        assert os.stat(ctx.scratch).st_mode & 0o077 == 0
        return str(ctx.scratch)

    house.job("scratches", scratches)
    await house.worker()

    job = await house.ended(await house.submit("scratches"))

    folder = Path(json.loads(await house.result(job.id) or b""))
    await eventually(lambda: not folder.exists())


async def test_a_context_knows_its_run(house: House) -> None:
    seen: list[tuple[object, ...]] = []

    async def knows(ctx: Context) -> None:
        seen.append((ctx.job_id, ctx.type, ctx.user_id, ctx.request_id, ctx.run, ctx.attempt))
        if ctx.attempt == 1:
            raise ValueError("once")

    house.job("knows", knows, retry=AT_ONCE)
    await house.worker()

    job = await house.ended(await house.submit("knows", user_id="ada", request_id="r-1"))

    assert seen == [(job.id, "knows", "ada", "r-1", 1, 1), (job.id, "knows", "ada", "r-1", 2, 2)]


async def test_a_context_knows_which_call_asked_for_the_job_in_a_process_of_its_own_too(house: House) -> None:
    async def origin(ctx: Context) -> list[str]:
        return [ctx.request_id, ctx.traceparent]

    house.job("here", origin)
    house.job("there", cpu_jobs.origin, cpu=True)
    await house.worker()
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for name in ("here", "there"):
        job = await house.ended(await house.submit(name, request_id="r-1", traceparent=trace))
        assert json.loads(await house.result(job.id) or b"") == ["r-1", trace]


async def test_log_lines_of_a_handler_carry_the_jobs_ids(house: House) -> None:
    async def logs(ctx: Context) -> None:
        ctx.log.info("step.done", rows=3)

    house.job("logs", logs)
    await house.worker()

    with capture_logs() as lines:
        job = await house.ended(await house.submit("logs", user_id="ada", request_id="r-1"))

    [line] = [line for line in lines if line["event"] == "step.done"]
    bound = {name: line[name] for name in ("job_id", "user_id", "request_id", "type", "run", "attempts", "rows")}
    assert bound == {
        "job_id": job.id,
        "user_id": "ada",
        "request_id": "r-1",
        "type": "logs",
        "run": 1,
        "attempts": 1,
        "rows": 3,
    }


async def test_progress_is_in_the_store_within_a_second_and_a_half(house: House) -> None:
    goes_on = asyncio.Event()

    async def tells(ctx: Context) -> None:
        ctx.progress(0.5, "half way")
        await goes_on.wait()

    house.job("tells", tells)
    await house.worker()
    job_id = await house.submit("tells")
    await house.running(job_id)

    watch = Watch()
    job = await house.until(job_id, lambda job: job.progress is not None)
    assert watch.seconds < 1.5
    assert job.progress is not None
    assert (job.progress.fraction, job.progress.message) == (0.5, "half way")

    goes_on.set()
    await house.ended(job_id)


async def test_progress_is_told_also_while_the_handler_blocks_the_event_loop(house: House) -> None:
    seen = threading.Event()

    async def blocks(ctx: Context) -> bool:
        ctx.progress(0.5, "blocking")
        return seen.wait(3)

    def look() -> None:
        with asyncio.Runner() as runner:
            job = runner.run(house.until(job_id, lambda job: job.progress is not None, within=1.5))
            assert job.progress is not None
            seen.set()

    house.job("blocks", blocks)
    job_id = await house.submit("blocks")
    onlooker = threading.Thread(target=look)
    onlooker.start()
    await house.worker()

    job = await house.ended(job_id)
    onlooker.join()

    assert await house.result(job.id) == b"true"
