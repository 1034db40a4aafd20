"""What the pages about queues and breakers say in numbers, in their words, as the code has it."""

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from tidegate.config import Settings, load
from tidegate.core import fairness
from tidegate.core.adaptive import UNUSED
from tidegate.core.budget import Budget, money
from tidegate.core.failure import Failure
from tidegate.core.fault import Fault, fault_of
from tidegate.core.job import (
    HIGHEST_PRIORITY,
    INLINE_RESULT_LIMIT,
    LOWEST_PRIORITY,
    MOST_PARENTS,
    PAYLOAD_LIMIT,
    Retention,
)
from tidegate.core.lifecycle import (
    CRASH_BACKOFF,
    MAX_CRASHES,
    MAX_SYSTEM_CRASHES,
    MAX_UPSTREAM_AGE,
    MAX_UPSTREAM_FAULTS,
    TIMEOUT_GRACE,
)
from tidegate.core.retry import DEFAULT, MOST_ATTEMPTS, UPSTREAM_BACKOFF, Steps
from tidegate.core.rules import API, LLM, PROVIDER, QUEUE, WEBHOOK, RunRule
from tidegate.core.upstream import BUDGET, MOST_OWED, UNKNOWN_LEVEL
from tidegate.core.waiting import SOON
from tidegate.handlers import LONGEST_TIMEOUT
from tidegate.requests import LONGEST_DELAY
from tidegate.system_jobs import SYSTEM_QUEUE, SYSTEM_WEIGHT
from tidegate.upstreams.keeping import SETTLING
from tidegate.upstreams.policies import BREAKING_QUEUES
from tidegate.upstreams.service import PACED_FOR
from tidegate.worker.runtime import WorkerSettings

_NO_PROSE: Final = re.compile(
    r"```.*?```|<!-- generated.*?<!-- end -->|`[^`]*`|\]\([^)]*\)|\bdecision \d{4}|^\d+\. |^\| [A-E]\d[^|]*",
    re.DOTALL | re.MULTILINE,
)
_NUMBER: Final = re.compile(r"(?<![\w.])\d[\d,.]*\w*")
_STATUS: Final = re.compile(r"[2-5](\d\ds?|xx)[.,]?")

COUNTED: Final = ("no", "one", "two", "three", "four", "five", "six")
NTH: Final = ("", "first", "second", "third", "fourth", "fifth", "sixth")


def plain(text: str) -> str:
    """A page on one line."""
    return " ".join(text.split())


def s(length: timedelta) -> str:
    """As in `15 s`."""
    return f"{length.total_seconds():g} s"


def h(length: timedelta) -> str:
    """As in `24 h`."""
    return f"{length.total_seconds() / 3600:g} h"


def m(length: timedelta) -> str:
    """As in `10`, minutes."""
    return f"{length.total_seconds() / 60:g}"


def numbers(text: str) -> list[str]:
    """The numbers of a text's prose that are no HTTP status and name no decision, row or place."""
    return [word for word in _NUMBER.findall(_NO_PROSE.sub(" ", text)) if not _STATUS.fullmatch(word)]


# the queue --------------------------------------------------------------------------------------------------------


def queue() -> Iterator[str]:
    """The sentences of docs/queue-spec.md that hold a number."""
    settings = load(data_dir=".")
    yield from _waiting(settings, WorkerSettings())
    yield from _retrying()
    yield from _bounds(settings)


def _waiting(settings: Settings, worker: WorkerSettings) -> Iterator[str]:
    weights = ", ".join(f"`{name}` {weight}" for name, weight in _by_weight(settings.queues))
    yield f"at most one upstream with up to {COUNTED[MOST_PARENTS]} parents"
    yield f"Once it has been due for {s(SOON)}, its `wait_reason` says so"
    yield f"by weight: {weights} (`TIDEGATE_QUEUES`), and `{SYSTEM_QUEUE}`, Tidegate's own, {SYSTEM_WEIGHT};"
    assert fairness.weight(5) == 2 * fairness.weight(4)
    yield "each step of priority doubles the share"
    yield f"at most {worker.upstream_share:.0%} of a worker's slots".replace("%", " %")
    assert worker.renew_every * 3 == worker.lease_for == settings.lease
    yield f"A lease lasts {s(settings.lease)} (`TIDEGATE_LEASE`) and is renewed every third of that"
    yield f"{COUNTED[round(TIMEOUT_GRACE.total_seconds())].capitalize()} seconds past a run's `timeout_at`"
    yield f"the {NTH[_run().length]} rate limit in a row, for {s(_run().pause)}"
    for name in BREAKING_QUEUES:
        yield f"The queue `{name}` does so unless told otherwise"


def _retrying() -> Iterator[str]:
    assert isinstance(DEFAULT.backoff, Steps)
    first, second, third = map(s, DEFAULT.backoff.delays)
    yield f"against `max_attempts` ({DEFAULT.max_attempts})"
    yield f"after {first}, then {second} ({third}, where a job has more attempts)"
    yield f"not before {_faulty()}"
    yield f"at once, then after {s(CRASH_BACKOFF.initial)}; the {NTH[MAX_CRASHES]} time it is quarantined"
    yield f"when {COUNTED[MAX_CRASHES]} of its workers have died"
    assert MAX_SYSTEM_CRASHES == 100
    yield "one of Tidegate's own when a hundred have"
    yield f"`max_attempts` is {DEFAULT.max_attempts}, and `retry` waits {first}, {second} and {third}"


def _bounds(settings: Settings) -> Iterator[str]:
    kept = Retention()
    assert kept.succeeded == kept.failed == kept.cancelled
    yield f"{kept.failed.total_seconds() / 3600:g} hours by default"
    yield f"`prune_at` is {kept.failed.total_seconds() / 3600:g} hours after `finished_at`"
    yield f"| a payload | {PAYLOAD_LIMIT / 2**20:g} MiB | 413 |"
    yield f"| a result kept in the store | {INLINE_RESULT_LIMIT / 2**10:g} KiB;"
    yield f"| a user's new jobs | {settings.limit_user_per_hour} an hour | 429 |"
    yield f"| priority | {LOWEST_PRIORITY} to {HIGHEST_PRIORITY} | 422 |"
    yield f"| `max_attempts` | 1 to {MOST_ATTEMPTS:,} | 422 |"
    yield f"| one run | {LONGEST_TIMEOUT.total_seconds() / 3600:g} hours | 422 |"
    yield f"| due time | {LONGEST_DELAY.days} days ahead | 422 |"
    yield f"more than {settings.limit_user_per_hour} new jobs in an hour are 429"


def _by_weight(weights: dict[str, int]) -> Sequence[tuple[str, int]]:
    return sorted(weights.items(), key=lambda item: -item[1])


# the breaker ------------------------------------------------------------------------------------------------------


def breaker() -> Iterator[str]:
    """The sentences of docs/circuit-breaker.md that hold a number."""
    yield f"its lease runs out after {s(load(data_dir='.').lease)}"
    yield _statuses()
    yield from _opening()
    yield from _probing()
    yield from _ramping()
    yield from _holding_back()
    yield from _of_jobs()
    yield from _telling()


def _statuses() -> str:
    """Which fault a status is; 5xx and 4xx are named last."""
    found: dict[Fault, list[str]] = {}
    for status in range(400, 600):
        fault = fault_of(Failure(code="", message="", status=status))
        if fault is not None and fault not in (Fault.SERVER_ERROR, Fault.BAD_REQUEST):
            found.setdefault(fault, []).append(str(status))
    parts = [
        f"{_listed(found[fault])} {'is' if len(found[fault]) == 1 else 'are'} `{fault}`"
        for fault in Fault
        if fault in found
    ]
    return f"{', '.join(parts)}, any other 5xx is `server_error`, any other 4xx is `bad_request`"


def _opening() -> Iterator[str]:
    times, waits = API.open_time, WEBHOOK.open_time
    assert API.count is not None
    assert LLM.count is not None
    assert PROVIDER.count is not None
    yield f"with at most {WEBHOOK.limit} calls at once"
    yield f"open for {s(waits.first)}, then each time {_fold(waits.factor)} as long, up to {h(waits.cap)}"
    yield f"with `api` the {NTH[API.count.more_than + 1]}, with `llm` the {NTH[LLM.count.more_than + 1]}"
    yield f"{s(times.first)} for the first {COUNTED[times.grace]} openings in a row"
    yield f"then each {times.factor:g} times longer"
    grown = [min(times.first * times.factor ** max(opening - times.grace, 0), times.cap) for opening in range(1, 7)]
    yield f"longer, up to {s(times.cap)}: {', '.join(f'{length.total_seconds():g}' for length in grown)} …"
    yield f"spread by up to {_share(times.jitter)} of itself"
    yield (
        f"more than {PROVIDER.count.more_than} faults within {s(PROVIDER.count.within)}, "
        f"from at least {COUNTED[PROVIDER.count.sources]} of its upstreams"
    )
    yield f"`{API.count.more_than + 1} faults in {s(API.count.within)}`"
    yield f"`{_run().length} rate limits in a row`"


def _probing() -> Iterator[str]:
    probing = API.probing
    assert probing.most == 3
    yield f"the fleet lends one such call at a time, for {s(probing.soft)}"
    yield f"the next probe follows in {s(probing.limited)}, or when it was told to"
    assert probing.soft / 5 == timedelta(seconds=1)
    yield "its job comes back a second after that"
    yield f"takes longer than {s(probing.soft)} |"
    yield f"a second job after {s(probing.soft)}, a third after {s(probing.soft * 2)};"
    yield f"takes longer than {s(probing.hard)} |"


def _ramping() -> Iterator[str]:
    adapting = API.adapting
    assert adapting is not None
    assert UNUSED == 0.5
    yield f"{COUNTED[adapting.start].capitalize()} jobs at a time are let through"
    yield f"up to half of what ran at once before the outage ({UNKNOWN_LEVEL / 2:g} where nobody knows)"
    yield f"A 429 leaves {_share(adapting.keep_limited)} of it"
    yield f"another fault that congests {_share(adapting.keep)}, once for all calls"
    yield f"When {s(adapting.calm)} have passed without one and less than half of the limit is in use"
    yield f"For {s(adapting.calm)} more it counts as ramping"


def _holding_back() -> Iterator[str]:
    block = API.blocking
    yield f"shuts the upstream until then, up to {h(API.longest_gate)}"
    yield f"when calls have cost {money(Budget(50).micros)} in a day"
    assert PACED_FOR == MOST_OWED == timedelta(minutes=1)
    yield "no more starts than one a period, for a minute or until the limit is renewed"
    yield "so it delays the claims that follow, by a minute at most"
    yield f"`auth` at the refusal of a {NTH[block.refusals]} job"
    assert block.cap == timedelta(hours=1)
    first, second, third = m(block.first), m(block.first * 2), m(block.first * 4)
    yield f"A block lasts {first} minutes, then {second}, {third}, and an hour at most"


def _of_jobs() -> Iterator[str]:
    yield f"it waits {_faulty()} at most"
    yield f"Only after {MAX_UPSTREAM_FAULTS} such faults *and* {h(MAX_UPSTREAM_AGE)[:-1]}hours"
    yield f"only beyond {MAX_UPSTREAM_FAULTS} faults and a day"
    yield f"{BUDGET:g} at once, a tenth of one more with each success, {BUDGET:g} more a minute"


def _telling() -> Iterator[str]:
    assert SETTLING == 60
    yield "successes once a second while something is wrong, else once a minute"


def _run() -> RunRule:
    assert QUEUE.run is not None
    return QUEUE.run


def _faulty() -> str:
    first, factor = UPSTREAM_BACKOFF.initial, UPSTREAM_BACKOFF.factor
    grown = ", ".join(s(first * factor**times) for times in range(3))
    return f"{grown} … {s(UPSTREAM_BACKOFF.cap)}"


def _share(part: float) -> str:
    return f"{part * 100:g} %"


def _fold(factor: float) -> str:
    return {2.0: "twice", 3.0: "three times"}[factor]


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
