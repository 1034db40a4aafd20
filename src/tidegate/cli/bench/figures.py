"""What a load test counts while it runs, and what it comes to."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.core.job import Status
from tidegate.sdk.values import JobStatus


@dataclass(slots=True, kw_only=True)
class Tally:
    """The figures so far. `took` are the seconds of each answer that accepted a job; `stopped` says why it ended early.

    `refused` are jobs by why they were last refused, `turned_away` answers by why they asked to come again.
    """

    count: int
    jobs: list[str] = field(default_factory=list)
    replayed: int = 0
    took: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    turned_away: Counter[str] = field(default_factory=Counter)
    pauses: int = 0
    paused: float = 0.0
    seconds: float = 0.0
    ended: list[JobStatus] = field(default_factory=list)
    gone: int = 0
    stopped: str = ""

    @property
    def answered(self) -> int:
        """Jobs whose fate is known."""
        return len(self.jobs) + self.refused.total()

    @property
    def followed(self) -> int:
        """Accepted jobs that are not waited for any more: they have ended, or were pruned since."""
        return len(self.ended) + self.gone

    @property
    def per_second(self) -> float:
        """Accepted jobs a second, pauses included."""
        return len(self.jobs) / self.seconds if self.seconds else 0.0

    def well(self, *, waited: bool) -> bool:
        """Whether every job was accepted, and where they were waited for, has succeeded."""
        succeeded = sum(job.status is Status.SUCCEEDED for job in self.ended)
        return len(self.jobs) == self.count and (not waited or succeeded == self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Milliseconds that half, 95 % and 99 % stay within."""

    p50: float
    p95: float
    p99: float


def spread(seconds: Sequence[float]) -> Spread | None:
    """How durations spread, by the nearest rank; None where there are none."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    p50, p95, p99 = (round(1000 * ordered[math.ceil(len(ordered) * p / 100) - 1], 3) for p in (50, 95, 99))
    return Spread(p50=p50, p95=p95, p99=p99)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedOff:
    """Pauses of all senders together, their seconds, and the answers that asked for them, by why."""

    times: int
    seconds: float
    answers: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of accepted jobs, and how many of them ended in a second, from the first job to the last end."""

    succeeded: int
    failed: int
    cancelled: int
    gone: int
    open: int
    per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a load test came to. `end_to_end_ms` is from a job's acceptance to its end, by the server's clock."""

    url: str
    type: str
    key: str
    count: int
    concurrency: int
    accepted: int
    replayed: int
    refused: Mapping[str, int]
    unanswered: int
    backed_off: BackedOff
    seconds: float
    per_second: float
    submit_ms: Spread | None
    ended: Ended | None
    end_to_end_ms: Spread | None
    stopped: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What was tested, and how."""

    url: str
    type: str
    key: str
    concurrency: int
    wait: bool


def report(subject: Subject, tally: Tally) -> Report:
    """What it came to."""
    turned_away = dict(tally.turned_away.most_common())
    return Report(
        url=subject.url,
        type=subject.type,
        key=subject.key,
        count=tally.count,
        concurrency=subject.concurrency,
        accepted=len(tally.jobs),
        replayed=tally.replayed,
        refused=dict(tally.refused.most_common()),
        unanswered=tally.count - tally.answered,
        backed_off=BackedOff(times=tally.pauses, seconds=round(tally.paused, 3), answers=turned_away),
        seconds=round(tally.seconds, 3),
        per_second=round(tally.per_second, 1),
        submit_ms=spread(tally.took),
        ended=_ended(tally) if subject.wait else None,
        end_to_end_ms=spread([end - begin for begin, end in _lives(tally)]),
        stopped=tally.stopped,
    )


def _ended(tally: Tally) -> Ended:
    how = Counter(job.status for job in tally.ended)
    return Ended(
        succeeded=how[Status.SUCCEEDED],
        failed=how[Status.FAILED],
        cancelled=how[Status.CANCELLED],
        gone=tally.gone,
        open=len(tally.jobs) - tally.followed,
        per_second=_rate(_lives(tally)),
    )


def _rate(lives: Sequence[tuple[float, float]]) -> float:
    lasted = max(end for _, end in lives) - min(begin for begin, _ in lives) if lives else 0.0
    return round(len(lives) / lasted, 1) if lasted > 0 else 0.0


def _lives(tally: Tally) -> list[tuple[float, float]]:
    """When each job was accepted, and when it ended."""
    return [
        (job.created_at.timestamp(), job.finished_at.timestamp()) for job in tally.ended if job.finished_at is not None
    ]
