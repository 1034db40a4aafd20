"""What can go wrong at an upstream, and what each kind asks for: the words that breakers, clients and jobs share.

Providers say "429" for four different things, and "200" for failures; `llm.classify` reads what they meant, and
`fault_of` reads any other failure. From here on only these words count.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tidegate.core.failure import Failure


class Fault(StrEnum):
    """Why a call to an upstream did not give what was asked for. The word is the failure's `code`."""

    RATE_LIMITED = "rate_limited"  # slow down: too many calls, or too steep a rise
    OVERLOADED = "overloaded"  # the upstream lacks capacity, however few calls it gets
    SERVER_ERROR = "server_error"  # any other fault of its own, an error inside a 200 too
    SLOW = "upstream_timeout"  # no answer in time
    DOWN = "down"  # not reached at all
    TRUNCATED = "truncated"  # an answer that broke off
    QUOTA = "quota_exhausted"  # money or a quota is used up: waiting a minute does not help
    AUTH = "auth"  # the credential is not accepted
    CONTEXT_TOO_LONG = "context_too_long"
    CONTENT_REFUSED = "content_refused"
    INVALID_OUTPUT = "invalid_output"  # an answer, but not of the form asked for
    BAD_REQUEST = "bad_request"


class Scope(StrEnum):
    """How far up an upstream's parents a fault reaches."""

    OWN = "own"  # this upstream alone: most often one model
    ACCOUNT = "account"  # its nearest parent: whoever pays
    PROVIDER = "provider"  # all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """What a fault asks for.

    `counts`: it is held against the breaker. `congests`: it asks for fewer calls at once. `blocks`: nothing helps but
    an operator or time. `refunds`: the run is no attempt of the job's. `again`: calling again may help. `scope`: which
    upstreams hear of it.
    """

    counts: bool = False
    congests: bool = False
    blocks: bool = False
    refunds: bool = False
    again: bool = False
    scope: Scope = Scope.OWN


_SICK: Final = Reaction(counts=True, congests=True, refunds=True, again=True, scope=Scope.PROVIDER)
_WITHHELD: Final = Reaction(blocks=True, refunds=True, scope=Scope.ACCOUNT)
_OF_THE_JOB: Final = Reaction()

REACTIONS: Final[Mapping[Fault, Reaction]] = {
    Fault.RATE_LIMITED: Reaction(counts=True, congests=True, refunds=True, again=True),
    Fault.OVERLOADED: Reaction(counts=True, congests=True, refunds=True, again=True),
    Fault.SERVER_ERROR: _SICK,
    Fault.SLOW: _SICK,
    Fault.DOWN: Reaction(counts=True, refunds=True, again=True, scope=Scope.PROVIDER),
    Fault.TRUNCATED: Reaction(counts=True, congests=True, refunds=True, again=True),
    Fault.QUOTA: _WITHHELD,
    Fault.AUTH: Reaction(blocks=True, refunds=True, again=True, scope=Scope.ACCOUNT),
    Fault.CONTEXT_TOO_LONG: _OF_THE_JOB,
    Fault.CONTENT_REFUSED: _OF_THE_JOB,
    Fault.INVALID_OUTPUT: Reaction(again=True),
    Fault.BAD_REQUEST: _OF_THE_JOB,
}
"""After reference tables of providers' status codes: see docs/explanation/upstreams.md."""

_BY_STATUS: Final[Mapping[int, Fault]] = {
    401: Fault.AUTH,
    402: Fault.QUOTA,
    403: Fault.AUTH,
    408: Fault.SLOW,
    429: Fault.RATE_LIMITED,
    498: Fault.OVERLOADED,
    503: Fault.OVERLOADED,
    504: Fault.SLOW,
    529: Fault.OVERLOADED,
}

_BY_CLASS: Final = (
    (re.compile(r"RateLimit|TooManyRequests|Throttl"), Fault.RATE_LIMITED),
    (re.compile(r"Timeout|TimedOut"), Fault.SLOW),
    (re.compile(r"Connect|Disconnected|RemoteProtocolError|ReadError|gaierror|BrokenPipe"), Fault.DOWN),
    (re.compile(r"IncompleteRead|PayloadError"), Fault.TRUNCATED),
)
"""How HTTP clients name their exceptions: the standard library, httpx, aiohttp, requests, openai."""

_SAYS_SO: Final = re.compile(r"\b429\b|rate.?limit|too many requests", re.IGNORECASE)


def fault_of(failure: Failure) -> Fault | None:
    """The fault that a failure is: by its code, else its HTTP status, else its class; None where it is the job's own.

    >>> fault_of(Failure(code="processing_error", message="", error_type="ReadTimeout"))
    <Fault.SLOW: 'upstream_timeout'>
    """
    if failure.code in _WORDS:
        return Fault(failure.code)
    if failure.status is not None and failure.status >= 400:
        return _by_status(failure.status)
    return next((fault for pattern, fault in _BY_CLASS if pattern.search(failure.error_type)), None)


_WORDS: Final = frozenset(Fault)


def _by_status(status: int) -> Fault:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return Fault.SERVER_ERROR if status >= 500 else Fault.BAD_REQUEST


def says_rate_limited(failure: Failure) -> bool:
    """Whether any part of a failure speaks of a rate limit, its message included (REQUIREMENTS B1)."""
    return fault_of(failure) is Fault.RATE_LIMITED or _SAYS_SO.search(failure.message) is not None
