"""One call's tries: what each is watched for, and whether there is another."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import httpx2

from tidegate.clock import Clock, dice
from tidegate.core.fault import REACTIONS, Fault
from tidegate.core.retry import delay
from tidegate.errors import LLMError
from tidegate.llm import headers as said
from tidegate.llm.classify import Verdict
from tidegate.llm.guard import Call, Guard, entered
from tidegate.llm.ledger import CANCELLED, Ledger, Try
from tidegate.llm.values import Policy, Provider, Usage

_MEANS: Final[Mapping[Fault, str]] = {
    Fault.RATE_LIMITED: "too many calls",
    Fault.OVERLOADED: "it is overloaded",
    Fault.SERVER_ERROR: "it failed",
    Fault.SLOW: "no answer in time",
    Fault.DOWN: "it can't be reached",
    Fault.TRUNCATED: "the answer broke off",
    Fault.QUOTA: "the quota or the credit is used up",
    Fault.AUTH: "the key is not accepted",
    Fault.CONTEXT_TOO_LONG: "the prompt is too long for the model",
    Fault.CONTENT_REFUSED: "the content was refused",
    Fault.INVALID_OUTPUT: "the answer is not of the form asked for",
    Fault.BAD_REQUEST: "the request was refused",
}
_TWICE_AT_MOST: Final = frozenset({Fault.AUTH, Fault.INVALID_OUTPUT})


@dataclass(slots=True, kw_only=True)
class Running:
    """What is known of a try so far."""

    number: int
    started: float
    call: Call
    first_token: float | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    usage: Usage | None = None
    fault: str = ""


class Watch:
    """Makes tries of one LLM: each in its guard's block, ended as an LLMError or not at all, and in the ledger."""

    def __init__(self, provider: Provider, ledger: Ledger, clock: Clock) -> None:
        self._provider = provider
        self._ledger = ledger
        self._clock = clock

    @asynccontextmanager
    async def trying(self, course: "Course", guard: Guard | None) -> AsyncIterator[Running]:
        """A block for one try. Raises what entering the guard raises."""
        async with entered(guard, self._provider.upstream, self._provider.parents) as call:
            course.may_retry = call.may_retry
            one = Running(number=course.number, started=self._clock.monotonic(), call=call)
            try:
                yield one
            except LLMError as error:
                self._failed(one, error)
                raise
            except (TimeoutError, httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL) as exc:
                # Without the cause: what it says or holds is the request and pieces of the answer.
                broken = self.error(Verdict(fault=_fault(exc, one)), type(exc).__name__)
                self._failed(one, broken)
                raise broken from None
            except (asyncio.CancelledError, GeneratorExit):
                one.fault = CANCELLED
                raise
            except BaseException as exc:
                one.fault = type(exc).__name__
                raise
            else:
                self._succeeded(one)
            finally:
                self._count(one)
                self._ledger.add(self._tried(one))

    def touched(self, one: Running) -> None:
        """A first sign of the answer came."""
        if one.first_token is None:
            one.first_token = self._clock.monotonic()

    def error(self, verdict: Verdict, detail: str = "") -> LLMError:
        """The exception for a verdict; `detail` is a class name, or another word of ours."""
        status = "" if verdict.status is None else f"HTTP {verdict.status}"
        known = ", ".join(part for part in (status, verdict.word, detail) if part)
        reaction = REACTIONS[verdict.fault]
        return LLMError(
            f"{self._provider.name}, model {self._provider.model}: {_MEANS[verdict.fault]}" + (known and f" ({known})"),
            code=verdict.fault.value,
            transient=reaction.again or reaction.refunds,
            retry_after=verdict.retry_after,
            status_code=verdict.status,
        )

    def _failed(self, one: Running, error: LLMError) -> None:
        one.fault, one.status = error.code, error.status_code or one.status
        if error.retry_after is not None:
            one.call.hint(error.retry_after, None)

    def _succeeded(self, one: Running) -> None:
        usage = one.usage or Usage()
        pace = said.pace(one.headers, self._clock.now(), usage.total_tokens)
        if pace is not None:
            one.call.hint(None, pace)

    def _count(self, one: Running) -> None:
        """What it used counts however it ended; of a success of which that is not known, that it is not."""
        if one.usage is not None or not one.fault:
            one.call.spent(one.usage or Usage())

    def _tried(self, one: Running) -> Try:
        first = one.first_token
        return Try(
            upstream=self._provider.upstream,
            model=self._provider.model,
            number=one.number,
            took=timedelta(seconds=self._clock.monotonic() - one.started),
            first_token=None if first is None else timedelta(seconds=first - one.started),
            status=one.status,
            fault=one.fault,
            usage=one.usage,
        )


def _fault(error: Exception, one: Running) -> Fault:
    """Before an answer began, a broken connection is an upstream that is not there; after, an answer cut off."""
    match error:
        case httpx2.ConnectTimeout() | httpx2.ConnectError() | httpx2.ProxyError() | httpx2.UnsupportedProtocol():
            return Fault.DOWN
        case TimeoutError() | httpx2.TimeoutException():
            return Fault.SLOW
        case httpx2.SSEError():  # one event that is longer than any
            return Fault.INVALID_OUTPUT
        case httpx2.InvalidURL():
            return Fault.BAD_REQUEST
        case _:
            return Fault.DOWN if one.status is None else Fault.TRUNCATED


class Course:
    """The tries of one call and its deadlines. Made in the loop that runs the call."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.number = 1
        self.may_retry: Callable[[], bool] = lambda: True
        self._now = asyncio.get_running_loop().time
        self._deadline = self._now() + policy.deadlines.overall.total_seconds()
        self._first_by = 0.0

    async def go_on(self, error: LLMError) -> None:
        """Wait until the next try; raises `error` where there is none."""
        wait = self._wait(error)
        if wait is None or not self.may_retry():
            raise error
        await asyncio.sleep(wait)
        self.number += 1

    def _wait(self, error: LLMError) -> float | None:
        fault, policy = Fault(error.code), self.policy
        most = min(policy.tries, 2) if fault in _TWICE_AT_MOST else policy.tries
        if not REACTIONS[fault].again or self.number >= most:
            return None
        if error.retry_after is not None and error.retry_after > policy.patience:
            return None
        wait = delay(policy.backoff, self.number, dice=dice(), retry_after=error.retry_after).total_seconds()
        return wait if self._now() + wait < self._deadline else None

    def begin(self) -> None:
        """A try of a stream begins: its first token is due."""
        self._first_by = self._now() + self.policy.deadlines.first_token.total_seconds()

    def whole(self) -> asyncio.Timeout:
        """A block that ends with the call."""
        return asyncio.timeout_at(self._deadline)

    def piece(self, one: Running) -> asyncio.Timeout:
        """A block for waiting for the next piece of a stream."""
        idle = self._now() + self.policy.deadlines.idle.total_seconds()
        return asyncio.timeout_at(min(self._deadline, self._first_by if one.first_token is None else idle))
