"""A timeline as its author writes it: tenants, and for each the phases that follow one another.

Durations are those of the file; `script` divides them by the scale.
"""

import math
from enum import StrEnum
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_UNITS: Final = (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0))
_LONGEST: Final = 30 * 24 * 3600.0


class Does(StrEnum):
    """What a phase does to the calls that it is for."""

    HEALTHY = "healthy"
    SLOW = "slow"
    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"
    AUTH = "auth"
    SERVER_ERROR = "server_error"
    OVERLOADED = "overloaded"
    BLACK_HOLE = "black_hole"
    DISCONNECT = "disconnect"
    TRUNCATE = "truncate"
    ERROR_IN_200 = "error_in_200"
    INVALID_JSON = "invalid_json"


STATUSES: Final = {
    Does.RATE_LIMIT: (429, 503),
    Does.QUOTA: (429, 402, 403),
    Does.AUTH: (401, 403),
    Does.SERVER_ERROR: (500, *range(501, 600)),
    Does.OVERLOADED: (529, 503),
}
"""The statuses that a phase may choose; the first is what it answers unless told otherwise."""

_HINTING: Final = {Does.RATE_LIMIT, Does.SERVER_ERROR, Does.OVERLOADED, Does.HEALTHY, Does.SLOW}


def seconds(value: object) -> float:
    """A duration like `250ms`, `10s`, `2m`, `1h` or a number of seconds. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("is no duration: write 250ms, 10s, 2m, 1h or a number of seconds")
    number, factor = str(value).strip(), 1.0
    for unit, size in _UNITS:
        if number.endswith(unit):
            number, factor = number.removesuffix(unit), size
            break
    try:
        found = float(number) * factor
    except ValueError:
        raise ValueError("is no duration: write 250ms, 10s, 2m, 1h or a number of seconds") from None
    if not 0 <= found <= _LONGEST or math.isnan(found):
        raise ValueError("must be between 0 s and 30 days")
    return found


def _hint(value: object) -> object:
    return value if value in ("none", "exact") else seconds(value)


def _capacity(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return {"from": value, "to": value}


def _latency(value: object) -> object:
    return {"mean": value} if isinstance(value, str | int | float) else value


Seconds: TypeAlias = Annotated[float, BeforeValidator(seconds)]
Hint: TypeAlias = Annotated[float | Literal["none", "exact"], BeforeValidator(_hint)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Latency(_Model):
    """How long an answer takes: lognormal about a mean, or uniform. With `sigma: 0` always the mean."""

    mean: Seconds | None = None
    sigma: float = Field(0.0, ge=0, le=3)
    uniform: tuple[Seconds, Seconds] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.mean is None) == (self.uniform is None):
            raise ValueError("give either mean (and sigma) or uniform")
        if self.uniform is not None and (self.uniform[0] > self.uniform[1] or self.sigma):
            raise ValueError("uniform is [least, most], and has no sigma")
        return self


class Capacity(_Model):
    """How many calls are answered at a time; it may change evenly over its phase."""

    start: int = Field(alias="from", ge=0, le=1_000_000)
    end: int = Field(alias="to", ge=0, le=1_000_000)


Within: TypeAlias = Annotated[Capacity, BeforeValidator(_capacity)]
Takes: TypeAlias = Annotated[Latency, BeforeValidator(_latency)]


class Phase(_Model):
    """A stretch of time in which a tenant's calls meet one fate, or the `share` of them that is given."""

    at: Seconds | None = None
    lasts: Seconds | None = Field(None, alias="for")
    does: Does
    name: str = Field("", max_length=60)
    latency: Takes | None = None
    status: int | None = None
    retry_after: Hint = "none"
    capacity: Within | None = None
    share: float = Field(1.0, ge=0, le=1)

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        allowed = STATUSES.get(self.does, ())
        if self.status is not None and self.status not in allowed:
            which = ", ".join(str(one) for one in allowed[:3]) + (" …" if len(allowed) > 3 else "")
            raise ValueError(f"status {self.status} is not for {self.does}: {which or 'it has none to choose'}")
        if self.retry_after != "none" and self.does not in _HINTING:
            raise ValueError(f"{self.does} answers no retry_after")
        if self.does is Does.SLOW and self.latency is None:
            raise ValueError("slow needs a latency")
        if self.does is Does.HEALTHY and self.share != 1:
            raise ValueError("share says how many calls misbehave: a healthy phase has none")
        return self


class Tenant(_Model):
    """One customer of the provider. `capacity` and `latency` hold where a phase does not say otherwise."""

    latency: Takes = Latency(mean=0.0)
    capacity: Within | None = None
    phases: tuple[Phase, ...] = Field(max_length=1_000)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.phases:
            raise ValueError("phases: there is none")
        end: float | None = 0.0
        for number, phase in enumerate(self.phases, 1):
            if end is None:
                raise ValueError(f"phase {number} never begins: the one before it has no `for`")
            if phase.at is not None and not math.isclose(phase.at, end, abs_tol=1e-6):
                raise ValueError(f"phase {number} begins at {phase.at:g} s, but what is before it ends at {end:g} s")
            if phase.lasts == 0:
                raise ValueError(f"phase {number} lasts no time")
            capacity = phase.capacity
            if phase.lasts is None and capacity is not None and capacity.start != capacity.end:
                raise ValueError(f"phase {number} has a capacity that changes, so it needs a `for`")
            end = None if phase.lasts is None else end + phase.lasts
        return self


Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]


class Timeline(_Model):
    """Everything that a provider does, for all of its tenants."""

    about: str = Field("", max_length=500)
    seed: int = Field(0, ge=0, le=2**63 - 1)
    scale: float = Field(1.0, ge=0.01, le=1_000)
    repeat: bool = False
    tenants: dict[Name, Tenant] = Field(min_length=1, max_length=64)

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        for name, tenant in self.tenants.items():
            if name in ("v1", "control"):
                raise ValueError(f"a tenant can't be called {name}: that is a path of the provider's own")
            if self.repeat and tenant.phases[-1].lasts is None:
                raise ValueError(f"repeat needs an end: the last phase of tenant {name} has no `for`")
        return self
