"""`tidegate jobs ...`: the same routes that any client uses."""

import asyncio
import json
import shlex
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tidegate.cli import EXIT_FAILED
from tidegate.cli.display import Watch, details, row_of, table
from tidegate.cli.service import IN_PROCESS, Service, reach
from tidegate.clock import SystemClock
from tidegate.config import load
from tidegate.engines import file_of
from tidegate.errors import EngineUnavailable, InvalidInput, RateLimited, ResultTimeout, ServiceError, TidegateError

POLLS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between looks at a job that is waited for; the last repeats."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which server, which user, which form."""

    url: Annotated[str | None, Parameter(help="Server (TIDEGATE_URL); else the running one, else no server.")] = None
    user: Annotated[
        str | None,
        Parameter(help="Whose jobs (TIDEGATE_USER), '*' for everybody's; else by the key, or the account's name."),
    ] = None
    as_json: Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON.")] = False


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which jobs."""

    status: Annotated[str | None, Parameter(help="A status, or scheduled, ready, retrying, dead_letter ...")] = None
    type: Annotated[str | None, Parameter(help="A job type.")] = None
    queue: Annotated[str | None, Parameter(help="A queue.")] = None
    tag: Annotated[str | None, Parameter(help="A tag.")] = None
    error: Annotated[str | None, Parameter(help="Text in the error.")] = None
    limit: Annotated[int, Parameter(help="At most so many (1 to 200).")] = 20
    cursor: Annotated[str | None, Parameter(help="Go on after a page: its `next`.")] = None


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked of the new job."""

    payload: Annotated[str, Parameter(allow_leading_hyphen=True, help="JSON, or @FILE, or - for stdin.")] = "{}"
    file: Annotated[Path | None, Parameter(help="Upload this file and name it in the payload's `file`.")] = None
    key: Annotated[str | None, Parameter(help="Idempotency key.")] = None
    queue: Annotated[str | None, Parameter(help="Queue.")] = None
    priority: Annotated[int | None, Parameter(help="0 to 9, higher first.")] = None
    delay: Annotated[float | None, Parameter(help="Seconds until it is due.")] = None
    max_attempts: Annotated[int | None, Parameter(help="Attempts before it is a dead letter.")] = None
    timeout: Annotated[float | None, Parameter(help="Seconds that one run may take.")] = None
    tag: Annotated[list[str] | None, Parameter(negative=(), help="A tag; may be repeated.")] = None


def show_jobs(*, which: Filters | None = None, where: Where | None = None) -> int:
    """List jobs, newest first."""
    chosen, place = which or Filters(), where or Where()

    async def ask(service: Service) -> int:
        page = await service.get(
            "/jobs",
            status=chosen.status,
            type=chosen.type,
            queue=chosen.queue,
            tag=chosen.tag,
            error=chosen.error,
            limit=chosen.limit,
            cursor=chosen.cursor,
        )
        if place.as_json:
            print_json(page)
            return 0
        items = page.get("items")
        rows = [row_of(item) for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
        table(rows)
        if page.get("next"):
            sys.stderr.write(f"more: --cursor {page['next']}\n")
        return 0

    return speak(place, ask)


def show_job(job_id: str, /, *, where: Where | None = None) -> int:
    """Show one job and its history."""
    place = where or Where()

    async def ask(service: Service) -> int:
        job = await service.get(f"/jobs/{job_id}")
        history = await service.get(f"/jobs/{job_id}/history")
        if place.as_json:
            print_json({**job, "history": history.get("items", [])})
        else:
            details(job, history)
        return 0

    return speak(place, ask)


def submit(
    job_type: Annotated[str, Parameter(help="The job type; see `GET /job-types`.")],
    /,
    *,
    order: Order | None = None,
    wait: Annotated[bool, Parameter(negative=(), help="Wait for it and print its result.")] = False,
    where: Where | None = None,
) -> int:
    """Submit a job and print its id."""
    asked, place = order or Order(), where or Where()

    async def ask(service: Service) -> int:
        if wait:
            check_somebody_works(service)
        answer = await service.post("/jobs", await _body(job_type, asked, service))
        job_id = str(answer.body["job_id"])
        if wait:
            with announced(job_id, place):
                return await _wait(service, job_id, 600.0, as_json=place.as_json)
        if place.as_json:
            print_json(answer.body)
        else:
            sys.stdout.write(f"{job_id}\n")
        return 0

    return speak(place, ask, making=True)


def cancel(job_id: str, /, *, where: Where | None = None) -> int:
    """Cancel a job, or ask its run to stop."""
    return _act(job_id, "cancel", where or Where())


def retry(job_id: str, /, *, where: Where | None = None) -> int:
    """Queue a failed or cancelled job again, as if new."""
    return _act(job_id, "retry", where or Where())


def wait(
    job_id: str,
    /,
    *,
    timeout: Annotated[float, Parameter(help="Seconds to wait; then exit code 124.")] = 600.0,
    where: Where | None = None,
) -> int:
    """Wait for a job, showing its progress, and print its result. Exit code 1 unless it succeeds."""
    place = where or Where()
    return speak(place, lambda service: _wait(service, job_id, timeout, as_json=place.as_json))


def speak(where: Where, ask: Callable[[Service], Awaitable[int]], *, making: bool = False) -> int:
    """Ask the server that is meant; the exit code. With `making`, an embedded store that is missing is made."""

    async def run() -> int:
        async with reach(where.url, where.user, making=making) as service:
            return await ask(service)

    return asyncio.run(run())


def _act(job_id: str, verb: str, where: Where) -> int:
    async def ask(service: Service) -> int:
        answer = await service.post(f"/jobs/{job_id}/{verb}")
        if where.as_json:
            print_json(answer.body)
        else:
            sys.stdout.write(f"{job_id} {_became(answer.body)}\n")
        return 0

    return speak(where, ask)


def _became(status: Mapping[str, object]) -> str:
    asked = status.get("cancel_requested_at") and status.get("status") == "running"
    return "cancel requested" if asked else str(status.get("phase") or status.get("status"))


async def _body(job_type: str, order: Order, service: Service) -> dict[str, object]:
    payload = payload_of(order.payload)
    if order.file is not None:
        payload["file"] = await service.upload(order.file)
    given = {
        "idempotency_key": order.key,
        "queue": order.queue,
        "priority": order.priority,
        "delay": order.delay,
        "max_attempts": order.max_attempts,
        "timeout": order.timeout,
        "tags": order.tag,
    }
    return {"type": job_type, "payload": payload, **{name: v for name, v in given.items() if v is not None}}


def payload_of(text: str) -> dict[str, object]:
    """The payload that a text is or names; raises InvalidInput."""
    try:
        payload = json.loads(_read(text))
    except OSError as exc:
        raise InvalidInput("payload", f"{text.removeprefix('@')} can't be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise InvalidInput("payload", f"it is no JSON: {exc}") from exc
    if not isinstance(payload, dict):
        raise InvalidInput("payload", "it must be a JSON object")
    return payload


def _read(text: str) -> str:
    """The text itself, or what it names."""
    if text == "-":
        return sys.stdin.read()
    return Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text


@contextmanager
def announced(job_id: str, where: Where) -> Iterator[None]:
    """Wait inside for a job whose id nobody knows yet: it is told first, and how to go on where that breaks off."""
    sys.stderr.write(f"tidegate: job {job_id} is accepted\n")
    sys.stderr.flush()
    try:
        yield
    except (ServiceError, EngineUnavailable, RateLimited, ResultTimeout, asyncio.CancelledError):
        given = (("--url", where.url), ("--user", where.user))
        named = [part for option, value in given if value for part in (option, value)]
        again = shlex.join(["tidegate", "jobs", "wait", job_id, *named])
        sys.stderr.write(f"tidegate: the job goes on without this command; to wait for it: {again}\n")
        raise


def check_somebody_works(service: Service) -> None:
    """Raise InvalidInput where a wait would have no end.

    An embedded store belongs to one process: while that is this one, no worker is.
    """
    if service.where == IN_PROCESS and file_of(load().engine_url) is not None:
        raise InvalidInput("--wait", "no server runs on this store, so nobody would do it: start one, or leave it out")


async def _wait(service: Service, job_id: str, timeout: float, *, as_json: bool) -> int:
    status = await ended(service, job_id, timeout, quiet=as_json)
    if status["status"] != "succeeded":
        if as_json:
            print_json(status)
        facts = [status.get(name) for name in ("error", "error_type", "error_message")]
        why = ", ".join(str(fact) for fact in facts if fact)
        sys.stderr.write(f"tidegate: job {job_id} {status['status']}{': ' if why else ''}{why}\n")
        return EXIT_FAILED
    if status.get("result_url"):
        sys.stdout.buffer.write(await service.result(job_id) + b"\n")
        sys.stdout.flush()
    return 0


async def ended(service: Service, job_id: str, timeout: float, *, quiet: bool) -> Mapping[str, object]:
    """The status of a job once it has ended, its progress shown until then.

    Raises ResultTimeout, and what the first look raises. Later looks may fail: a server that restarts meanwhile has not
    lost the job. What the last one met is raised.
    """
    clock = SystemClock()
    deadline, polls = clock.monotonic() + timeout, iter(POLLS)
    poll, trouble = next(polls), None
    with Watch(job_id, quiet=quiet) as watch:
        status = await service.get(f"/jobs/{job_id}/status")
        while status["status"] not in ("succeeded", "failed", "cancelled"):
            watch.show({**status, "wait_reason": str(trouble)} if trouble else status)
            left = deadline - clock.monotonic()
            if left <= 0:
                raise trouble or ResultTimeout(job_id, str(status["status"]))
            await asyncio.sleep(min(poll, left))
            poll = min(next(polls, poll), 1.0 if status.get("progress") else 15.0)
            looked = await _looked(service, job_id)
            status, trouble = (status, looked) if isinstance(looked, TidegateError) else (looked, None)
        watch.show(status)
    return status


async def _looked(service: Service, job_id: str) -> Mapping[str, object] | TidegateError:
    """How the job stands now, or why nobody can tell just now."""
    try:
        return await service.get(f"/jobs/{job_id}/status")
    except (ServiceError, EngineUnavailable, RateLimited) as trouble:
        return trouble


def print_json(value: object) -> None:
    """Print a value as JSON."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
