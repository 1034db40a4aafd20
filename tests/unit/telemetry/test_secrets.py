"""What users send and what keys open never leaves by a log or by Sentry (E13)."""

import asyncio
import logging
import sys
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.telemetry.conftest import Written
from tests.unit.telemetry.receiver import receiving
from tests.unit.telemetry.samples import NOW, every_event, job
from tidegate.clock import FakeClock
from tidegate.core.failure import Failure, failure_of
from tidegate.core.job import Bury, Cancel, Defer, Job, Progress, Refund, Retry, Settlement, Succeed
from tidegate.telemetry import Emitter, Event, finished, ref
from tidegate.telemetry.logs import job_logger
from tidegate.telemetry.sentry import configure_sentry

KEY = "sk-or-v1-5f4dcc3b5aa765d61d8327deb882cf99"
ROW = "Ada Lovelace;DE89 3704 0044 0532 0130 00;94000"
PROMPT = "my diagnosis is confidential"
PLANTED = [KEY, KEY[9:], ROW, "Lovelace", "DE89", PROMPT, "diagnosis"]
PAYLOAD = {"prompt": PROMPT, "key": KEY, "rows": [ROW]}


class ProviderError(Exception):
    """An error as a vendor's library raises it: what was sent is in its message, its code and its fields."""

    def __init__(self) -> None:
        super().__init__(f"401 for Bearer {KEY}: {PROMPT}", ROW)
        self.code = f"refused: {ROW}"
        self.body = PAYLOAD


def planted_job() -> Job:
    """A job that carries what nobody else may read, wherever a job can."""
    plain = job()
    spec = replace(plain.spec, tags=(ROW,), idempotency_key=KEY, fingerprint=PROMPT)
    return replace(plain, spec=spec, error=failure_of(ProviderError()), progress=Progress(message=ROW))


def a_life() -> list[Event]:
    """Every event, and every ending with a failure full of secrets."""
    of, failure = planted_job(), failure_of(ProviderError())
    endings: list[Settlement] = [
        Succeed(result=ROW.encode()),
        Retry(delay=timedelta(seconds=1), failure=failure),
        Defer(delay=timedelta(0), refund=Refund.UPSTREAM_FAULT, failure=failure),
        Cancel(),
        Bury(failure=failure),
        Bury(failure=Failure(code="x", message=PROMPT, error_type=ROW)),
    ]
    told = [finished(of, ending, now=NOW, latency=timedelta(seconds=1)) for ending in endings]
    return [*every_event(ref(of)), *told]


def handler_talks() -> None:
    """A careless handler: everything goes to its logger."""
    log = job_logger(ref(planted_job()))
    log.info("calling", payload=PAYLOAD, api_key=KEY, headers={"Authorization": f"Basic {KEY}", "n": 1})
    log.info(f"calling with {KEY}", options={"nested": [{"token": KEY, "file_content": ROW}]})
    log.warning("odd", job=planted_job(), raw=ROW.encode(), result=[ROW], error=ProviderError())
    try:
        fail()
    except ProviderError:
        log.exception("the call failed", body=PROMPT)
        logging.getLogger("handler").exception("the call failed")
        logging.getLogger("handler").error("once more", exc_info=sys.exc_info())


def fail() -> None:
    try:
        raise ProviderError
    except ProviderError as exc:
        raise ProviderError from ExceptionGroup(ROW, [exc, ValueError(KEY)])


async def everything_fails_at_once() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(fail))
        group.create_task(asyncio.to_thread(fail))


def outsiders_talk() -> None:
    """uvicorn and asyncio, as they log a failing application."""
    access = logging.getLogger("uvicorn.access")
    access.info('%s - "%s %s HTTP/%s" %d', "1.2.3.4:5", "GET", f"/jobs?error_text={ROW}&token={KEY}", "1.1", 500)
    try:
        asyncio.run(everything_fails_at_once())
    except ExceptionGroup:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
    task = f"<Task finished name='Task-1' coro=<f() done> exception=ProviderError('{ROW}')>"
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: %s", task)
    logging.getLogger("asyncio").warning("Executing %s took 0.2 seconds", task)


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "console"])
def test_nothing_planted_reaches_a_log_line_or_sentry(written: Written, *, as_json: bool) -> None:
    with receiving() as receiver:
        emit, sentry = Emitter(), configure_sentry(receiver.dsn, "test", "1", clock=FakeClock(NOW))
        emit.subscribe(written.configure(as_json=as_json))
        emit.subscribe(sentry)
        for event in a_life():
            emit(event)
        handler_talks()
        outsiders_talk()
        sentry.close(timedelta(seconds=10))
        sent = b"\n".join(receiver.bodies()).decode()
    assert emit.failures == 0
    assert written.text.count("job.failed") >= 3
    assert sent.count('"level":"error"') >= 3
    for secret in PLANTED:
        assert secret not in written.text
        assert secret not in sent
    assert written.text.count("ProviderError") >= 4  # what may be known is still told
