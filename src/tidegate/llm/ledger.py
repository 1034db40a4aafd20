"""What every try used and cost, failed ones too. Holds counts, names and codes: no key, prompt or answer."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from tidegate.context import Log
from tidegate.llm.values import Usage

CANCELLED: Final = "cancelled"
"""The `fault` of a try that was given up by its caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One try. `fault` is a word of `core.fault.Fault`, "cancelled", a class of ours that failed, or "" for success.

    `usage` is None where the provider did not say: a failed try may have been billed all the same.
    """

    upstream: str
    model: str
    number: int
    took: timedelta
    first_token: timedelta | None = None
    status: int | None = None
    fault: str = ""
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """A sum over tries. `unknown` counts those whose usage nobody told, `unpriced` those without a cost."""

    tries: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0
    unknown: int = 0
    unpriced: int = 0

    def plus(self, one: Try) -> "Totals":
        """With one more try."""
        usage = one.usage or Usage()
        return Totals(
            tries=self.tries + 1,
            failed=self.failed + bool(one.fault),
            input_tokens=self.input_tokens + usage.input_tokens,
            output_tokens=self.output_tokens + usage.output_tokens,
            cost=self.cost + (usage.cost or 0),
            unknown=self.unknown + (one.usage is None),
            unpriced=self.unpriced + (usage.cost is None),
        )


class Ledger:
    """Adds up tries by (upstream, model), from any thread; with a `log`, a line for each try too."""

    def __init__(self, log: Log | None = None) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._totals: dict[tuple[str, str], Totals] = {}

    @property
    def totals(self) -> Mapping[tuple[str, str], Totals]:
        """The sums as they stand."""
        with self._lock:
            return dict(self._totals)

    def add(self, one: Try) -> None:
        """Count one try."""
        place = (one.upstream, one.model)
        with self._lock:
            self._totals[place] = self._totals.get(place, Totals()).plus(one)
        if self._log is not None:
            (self._log.warning if one.fault else self._log.info)("llm.try", **_fields(one))


def _fields(one: Try) -> dict[str, object]:
    usage = one.usage
    fields: dict[str, object] = {
        "upstream": one.upstream,
        "model": one.model,
        "try": one.number,
        "took_ms": _ms(one.took),
        "first_token_ms": None if one.first_token is None else _ms(one.first_token),
        "status": one.status,
        "fault": one.fault or None,
        "input_count": usage and usage.input_tokens,
        "output_count": usage and usage.output_tokens,
        "cost_micros": usage and usage.cost,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _ms(duration: timedelta) -> float:
    return round(duration.total_seconds() * 1_000, 3)
