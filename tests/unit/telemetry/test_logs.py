"""What events say as lines, and how everything else gets into the same log."""

import asyncio
import copy
import gc
import io
import json
import logging
import os
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest

from tests.unit.telemetry.conftest import Written
from tests.unit.telemetry.samples import FAILURE, NOW, every_event, job, retried
from tidegate.clock import SystemClock
from tidegate.core.job import Bury, Cancel, Defer, JobId, Refund, Settlement, Succeed
from tidegate.telemetry import Event, JobRef, finished, ref
from tidegate.telemetry.events import CancelRequested, Claimed, Ended, Finished, Pruned, Submitted
from tidegate.telemetry.logs import JobLog, configure, describe, job_logger

IDS = {"request_id", "job_id", "user_id", "attempts", "type", "queue", "run"}


def test_there_is_a_sample_of_every_event() -> None:
    assert {type(event) for event in every_event()} == set(get_args(Event))


@pytest.mark.parametrize("event", list(every_event()), ids=lambda event: type(event).__name__)
def test_every_event_has_a_line(event: Event) -> None:
    line = describe(event)
    assert line.name.count(".") == 1
    assert None not in line.fields.values()


def test_every_step_has_its_own_name() -> None:
    endings = [Finished(job=ref(job()), ended=ended) for ended in Ended if ended is not Ended.FAILED]
    names = [describe(event).name for event in [*every_event(), *endings]]
    assert len(set(names)) == len(names) == len(get_args(Event)) + len(Ended) - 1


def test_every_step_of_a_job_says_which_job_for_whom_and_how_often(written: Written) -> None:
    listener = written.configure()
    steps = [event for event in every_event() if hasattr(event, "job")]
    for event in steps:
        listener(event)
    assert len(written.lines) == len(steps) > 5
    assert all(line.keys() >= IDS for line in written.lines)


def test_enqueue_dequeue_and_complete_say_how_long_they_took(written: Written) -> None:
    listener, about = written.configure(), ref(job())
    listener(Submitted(job=about, latency=timedelta(milliseconds=2)))
    listener(Claimed(job=about, latency=timedelta(seconds=3)))
    listener(finished(job(), Succeed(), now=NOW, latency=timedelta(milliseconds=41.5)))
    told = [(line["event"], line["latency_ms"]) for line in written.lines]
    assert told == [("job.enqueued", 2.0), ("job.dequeued", 3_000.0), ("job.completed", 41.5)]
    assert written.lines[2]["duration_ms"] == 41.5


def test_a_retry_is_logged_with_its_number_its_delay_and_its_instant(written: Written) -> None:
    written.configure()(retried(job(runs=2)))
    assert written.lines == [
        {
            "timestamp": "2026-01-01T12:00:00.250000Z",
            "level": "warning",
            "event": "job.retry_scheduled",
            "request_id": "request-a",
            "job_id": "job-a",
            "user_id": "user-1",
            "type": "analysis",
            "queue": "high",
            "run": 2,
            "attempts": 2,
            "upstream": "openrouter",
            "latency_ms": 1_234.5,
            "duration_ms": 1_234.5,
            "code": "processing_error",
            "error_type": "ValueError",
            "retry_delay_s": 5.0,
            "retry_at": "2026-01-01T12:00:05.250000Z",
        }
    ]


@pytest.mark.parametrize(
    ("settlement", "level", "name"),
    [
        (Succeed(), "info", "job.completed"),
        (Defer(delay=timedelta(0), refund=Refund.CRASH), "info", "job.deferred"),
        (Bury(failure=FAILURE), "error", "job.failed"),
        (Cancel(), "info", "job.cancelled"),
    ],
)
def test_every_ending_has_its_level_and_name(settlement: Settlement, level: str, name: str) -> None:
    line = describe(finished(job(), settlement, now=NOW))
    assert (line.level, line.name) == (level, name)


def test_a_job_of_which_only_the_id_is_known_claims_nothing_else() -> None:
    assert describe(CancelRequested(job=JobRef(job_id=JobId("x")))).fields == {"job_id": "x"}


def test_a_code_that_is_no_word_is_not_logged() -> None:
    event = Finished(job=ref(job()), ended=Ended.FAILED, code="Ada, born 1815", error_type="Ada Lovelace")
    fields = describe(event).fields
    assert (fields["code"], fields["error_type"]) == ("[redacted]", "[redacted]")


def test_lines_below_the_level_are_not_written(written: Written) -> None:
    listener = written.configure("warning")
    listener(Pruned(count=1))
    logging.getLogger("library").info("chatter")
    listener(retried(job()))
    assert [line["event"] for line in written.lines] == ["job.retry_scheduled"]


def test_a_handlers_logger_carries_the_ids_of_its_job(written: Written) -> None:
    written.configure()
    job_logger(ref(job("b"))).info("table read", rows=10)
    (line,) = written.lines
    assert line.keys() >= IDS
    assert (line["job_id"], line["event"], line["rows"]) == ("job-b", "table read", 10)


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_a_log_made_at_need_writes_the_same_lines(written: Written, level: str) -> None:
    written.configure()
    for log in (job_logger(ref(job("b"))), JobLog(job("b"))):
        getattr(log, level)("table read", rows=10)
    assert written.lines[0] == written.lines[1]
    assert written.lines[0]["level"] == level


def test_a_log_made_at_need_can_do_what_a_logger_can(written: Written) -> None:
    written.configure()
    log = copy.copy(JobLog(job("b")))
    log.bind(sheet=2).critical("broken")
    assert (written.lines[0]["job_id"], written.lines[0]["sheet"], written.lines[0]["level"]) == (
        "job-b",
        2,
        "critical",
    )
    with pytest.raises(AttributeError):
        log.no_such_thing("said")


def test_the_standard_library_logs_through_the_same_door(written: Written) -> None:
    written.configure()
    logging.getLogger("some.library").warning("disk %d %% full", 91)
    (line,) = written.lines
    assert (line["event"], line["level"], line["logger"]) == ("disk 91 % full", "warning", "some.library")


def test_levels_of_others_are_read_as_the_nearest_below(written: Written) -> None:
    written.configure()
    for level in (1, 15, 25, 60):
        logging.getLogger("odd").log(level, "at %d", level)
    assert [line["level"] for line in written.lines] == ["debug", "info", "critical"]


def test_a_record_whose_arguments_do_not_fit_is_still_a_line(written: Written) -> None:
    written.configure()
    logging.getLogger("sloppy").info("%d rows", "many")
    assert [line["event"] for line in written.lines] == ["%d rows"]


def test_uvicorns_lines_are_taken_over_and_lose_the_query(written: Written) -> None:
    own = logging.StreamHandler(io.StringIO())
    access = logging.getLogger("uvicorn.access")
    access.addHandler(own)
    access.propagate = False
    access.setLevel(logging.WARNING)
    written.configure()
    access.info('%s - "%s %s HTTP/%s" %d', "1.2.3.4:5", "GET", "/jobs?error_text=Ada", "1.1", 200)
    (line,) = written.lines
    assert (line["event"], line["method"], line["path"], line["status"]) == (
        "http.request",
        "GET",
        "/jobs",
        "200",
    )
    assert own not in access.handlers


async def forget_a_failed_task() -> None:
    async def doomed() -> None:
        raise ValueError("Ada Lovelace")

    await asyncio.wait([asyncio.get_running_loop().create_task(doomed())])
    gc.collect()


def test_a_task_that_nobody_awaited_is_logged_without_what_it_raised(written: Written) -> None:
    written.configure()
    asyncio.run(forget_a_failed_task())
    (line,) = [line for line in written.lines if line.get("logger") == "asyncio" and line["level"] == "error"]
    assert line["event"] == "Task exception was never retrieved"
    assert line["error_type"] == "ValueError"
    assert "Lovelace" not in written.text


def test_an_exception_is_logged_as_its_class_and_where_it_came_from(written: Written) -> None:
    written.configure()
    try:
        raise ValueError("Ada Lovelace")
    except ValueError:
        job_logger(ref(job())).exception("reading failed")
    (line,) = written.lines
    assert (line["level"], line["error_type"]) == ("error", "ValueError")
    assert "test_logs.py" in str(line["traceback"])
    assert "Lovelace" not in written.text


class Full(io.StringIO):
    """A stream that takes nothing any more."""

    def write(self, text: str) -> int:
        raise OSError(28, "no space left on device")


def test_a_line_that_cannot_be_written_harms_nobody() -> None:
    full = Full()
    configure("info", full, json=True)
    job_logger(ref(job())).info("no room for this")
    assert full.getvalue() == ""


class Terminal(io.StringIO):
    """A stream with a person at its end."""

    def isatty(self) -> bool:
        return True


def test_a_person_at_a_terminal_gets_text_and_anything_else_json(written: Written) -> None:
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        configure("info", stream)(retried(job()))
    assert "job.retry_scheduled" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
    assert file.getvalue().startswith("{")


def test_the_time_is_the_machines_unless_another_clock_is_given(written: Written) -> None:
    before = SystemClock().now().isoformat()
    configure("info", written.stream, json=True)
    job_logger(ref(job())).info("now")
    after = SystemClock().now().isoformat()
    assert before[:26] <= str(written.lines[0]["timestamp"])[:26] <= after[:26]


class Halting(io.StringIO):
    """A stream that lets other threads run in the midst of a line."""

    def write(self, text: str) -> int:
        for character in text:
            super().write(character)
            time.sleep(0)
        return len(text)


def test_lines_from_many_threads_stay_whole(written: Written) -> None:
    written.stream = Halting()
    listener = written.configure()
    start = threading.Barrier(4)

    def talk() -> None:
        start.wait(timeout=10)
        for _ in range(5):
            listener(retried(job()))

    threads = [threading.Thread(target=talk) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert len(written.lines) == 20


async def test_everyday_lines_of_one_turn_of_the_loop_are_one_write_and_graver_ones_are_written_at_once() -> None:
    writes = list[str]()

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            writes.append(text)
            return len(text)

    listener = configure("info", Stream(), json=True)
    for _ in range(3):
        listener(CancelRequested(job=ref(job())))
    assert writes == []
    await asyncio.sleep(0)
    assert [write.count("\n") for write in writes] == [3]
    listener(CancelRequested(job=ref(job())))
    logging.getLogger("mine").warning("grave")
    assert [write.count("\n") for write in writes] == [3, 2]
    assert writes[1].index("job.cancel_requested") < writes[1].index("grave")
    await asyncio.sleep(0)
    assert len(writes) == 2


async def test_a_child_process_writes_its_own_lines_and_no_other_ones(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        listener = configure("info", stream, json=True)
        listener(CancelRequested(job=ref(job("parent"))))
        child = os.fork()
        if not child:
            for _ in range(3):
                listener(CancelRequested(job=ref(job("child"))))
            os._exit(0)
        await asyncio.to_thread(os.waitpid, child, 0)
    written = [json.loads(line)["job_id"] for line in (tmp_path / "log").read_text().splitlines()]
    assert sorted(written) == sorted([job("parent").id, *[job("child").id] * 3])
