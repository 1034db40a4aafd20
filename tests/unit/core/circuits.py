"""One upstream in the hands of a test: time passes only when told, and every change is checked as engines check it."""

from datetime import UTC, datetime, timedelta
from itertools import count

from tidegate.core.breaker import observe, tick
from tidegate.core.fault import Fault
from tidegate.core.rules import API, Rules
from tidegate.core.upstream import (
    Mark,
    Overridden,
    Override,
    Present,
    Seen,
    State,
    Tally,
    Upstream,
    fenced,
    gate,
    overridden,
    state,
)
from tidegate.core.verbs import Gate

START = datetime(2026, 1, 1, tzinfo=UTC)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


class Circuit:
    """An upstream, its rules and the store's clock."""

    def __init__(self, rules: Rules = API, *, dice: float = 0.0, running: int = 10) -> None:
        self.rules, self.dice, self.running = rules, dice, running
        self.upstream, self.now = Upstream(), START
        self.stored: Gate | None = None
        self._numbers = count()

    @property
    def state(self) -> State:
        return state(self.upstream, self.now)

    @property
    def gate(self) -> Gate:
        return gate(self.upstream, self.rules, "a", self.now)

    @property
    def shut(self) -> float:
        """Seconds until the next claim."""
        until = self.gate.not_before
        return 0.0 if until is None else (until - self.now).total_seconds()

    @property
    def present(self) -> Present:
        return Present(now=self.now, dice=self.dice, running=self.running)

    def after(self, number: float) -> "Circuit":
        self.now += seconds(number)
        return self

    def keep(self, upstream: Upstream) -> None:
        """Store it with its gate, which no engine may refuse."""
        self.upstream = fenced(upstream, self.rules, self.now)
        known = self.stored or Gate(name="a", era=-1)
        assert self.gate.era >= known.era or self.stored is None
        assert self.gate.limit is None or known.limit is not None or self.gate.era > known.era
        self.stored = self.gate

    def tell(self, tally: Tally) -> "Circuit":
        self.keep(observe(self.upstream, tally, self.rules, self.present))
        return self

    def bad(
        self,
        fault: Fault = Fault.SERVER_ERROR,
        *,
        job: str | None = None,
        lasted: float = 0.0,
        retry_after: float | None = None,
        era: int | None = None,
    ) -> "Circuit":
        """One call failed, of a job of its own unless told."""
        seen = Seen(
            fault=fault,
            at=self.now,
            lasted=seconds(lasted),
            job=self._job(job),
            retry_after=None if retry_after is None else seconds(retry_after),
        )
        return self.tell(Tally(era=self.upstream.era if era is None else era, faults=(seen,)))

    def good(self, number: int = 1, *, job: str | None = None, era: int | None = None, took: float = 1.0) -> "Circuit":
        """So many calls succeeded just now."""
        mark = Mark(at=self.now, job=self._job(job))
        era = self.upstream.era if era is None else era
        return self.tell(Tally(era=era, ok=number, seconds=number * took, good=(mark,)))

    def slow(self, number: int = 1) -> "Circuit":
        """So many calls succeeded, but slowly."""
        mark = Mark(at=self.now, job=self._job(None))
        return self.tell(Tally(era=self.upstream.era, ok=number, slow=number, good=(mark,)))

    def tick(self, probing: float | None = None, *, running: int = 0) -> "Circuit":
        hung = None if probing is None else seconds(probing)
        present = Present(now=self.now, dice=self.dice, running=running)
        self.keep(tick(self.upstream, self.rules, present, hung))
        return self

    def decide(self, word: Override | None, lasting: float | None = None) -> "Circuit":
        """An operator's word."""
        until = None if lasting is None else self.now + seconds(lasting)
        given = None if word is None else Overridden(word=word, author="ada", at=self.now, until=until)
        self.keep(overridden(self.upstream, given, self.now, "ada"))
        return self

    def opened(self, fault: Fault = Fault.SERVER_ERROR) -> "Circuit":
        """Open by six faults, a second apart."""
        for _ in range(6):
            self.after(1).bad(fault)
        return self

    def closed_again(self) -> "Circuit":
        """Opened, waited for, and closed by its probe."""
        self.opened()
        return self.after(self.shut).good()

    def _job(self, job: str | None) -> str:
        return f"job-{next(self._numbers)}" if job is None else job
