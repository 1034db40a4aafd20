"""What is asked of a model and what it gave, as frozen values. No `repr` shows a key, a prompt or an answer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import Final, Generic, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr

from tidegate.core.retry import Backoff, Exponential
from tidegate.core.text import check_name, listed
from tidegate.errors import ConfigError, InvalidInput

Parsed_co = TypeVar("Parsed_co", covariant=True)


def _check(ok: bool, message: str) -> None:
    if not ok:
        raise ConfigError(message)


def _parents(upstream: str, given: Iterable[str]) -> tuple[str, ...]:
    try:
        parents = listed("parents", given)
        for name in (upstream, *parents):
            check_name("upstream", name)
    except InvalidInput as exc:
        raise ConfigError(str(exc)) from None
    return parents


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str = field(repr=False)


def system(content: str) -> Message:
    """What the model shall be and do."""
    return Message(role="system", content=content)


def user(content: str) -> Message:
    """What is asked of it."""
    return Message(role="user", content=content)


def assistant(content: str) -> Message:
    """What it said before."""
    return Message(role="assistant", content=content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """US dollars per million tokens, which are micro-dollars per token. Cached input costs as much unless said."""

    input: Decimal
    output: Decimal
    cached: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one try used. Cached tokens are part of the input, reasoning tokens of the output.

    `cost` is in micro-dollars, rounded up: what the provider says, else by the price table, else None.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost: int | None = None

    @property
    def total_tokens(self) -> int:
        """Input and output."""
        return self.input_tokens + self.output_tokens


def cost_of(usage: Usage, prices: Prices) -> int:
    """Micro-dollars by the price table, rounded up so that a budget is never passed by rounding."""
    cached = min(usage.cached_tokens, usage.input_tokens)
    cached_price = prices.input if prices.cached is None else prices.cached
    exact = (usage.input_tokens - cached) * prices.input + cached * cached_price + usage.output_tokens * prices.output
    return int(exact.to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Generic[Parsed_co]):
    """What the model answered.

    `parsed` is the answer read by the schema asked for, None without one. `model` is what the provider says it
    used. `served_by` names the upstream (or "deterministic"); `degraded` where that was not the first choice.
    """

    text: str = field(repr=False)
    parsed: Parsed_co = field(repr=False)
    model: str
    usage: Usage
    finish_reason: str
    served_by: str
    degraded: bool = False

    @property
    def cost(self) -> int | None:
        """Micro-dollars of the try that answered; failed tries are in the ledger."""
        return self.usage.cost


class Form(StrEnum):
    """How a provider is told to answer in JSON."""

    SCHEMA = "json_schema"  # it is given the schema, and keeps to it
    OBJECT = "json_object"  # it keeps to JSON only: the schema goes into the prompt
    PROMPT = "prompt"  # it knows neither: all is in the prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long a call may take; what passes one is `upstream_timeout`.

    `first_token` and `idle` (the longest silence after it) bound each try of a stream, `overall` the whole call
    with its tries and waits. A reply that does not stream shows nothing before its end: `overall` alone bounds it.
    """

    connect: timedelta = timedelta(seconds=5)
    first_token: timedelta = timedelta(seconds=30)
    idle: timedelta = timedelta(seconds=30)
    overall: timedelta = timedelta(seconds=120)

    def __post_init__(self) -> None:
        for name in ("connect", "first_token", "idle", "overall"):
            _check(getattr(self, name) > timedelta(0), f"the deadline {name} must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How hard a call tries: REQUIREMENTS E1, E3 and E4.

    At most `tries`, of those at most two for 401, 403 and output of the wrong form, and one for any other 4xx. A
    wait longer than `patience` is not made here: the error says how long it is, and the job waits without a slot.
    """

    tries: int = 2
    backoff: Backoff = Exponential(initial=timedelta(seconds=0.5), cap=timedelta(seconds=10))
    patience: timedelta = timedelta(seconds=10)
    deadlines: Deadlines = Deadlines()

    def __post_init__(self) -> None:
        _check(1 <= self.tries <= 10, f"the tries of a model call are {self.tries}: 1 to 10")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One model at one provider: where it is, and how it is spoken to.

    `upstream` is the name that its health is kept under, the provider's name by default; `parents` are that
    upstream's, nearest first. `prices` are by model. `extra` goes into each request as it is. Raises ConfigError.
    """

    name: str
    model: str
    base_url: str
    api_key: SecretStr | None = None
    upstream: str = ""
    parents: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    prices: Mapping[str, Prices] = field(default_factory=dict)
    form: Form = Form.SCHEMA
    limit_field: str = "max_tokens"
    extra: Mapping[str, object] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "upstream", self.upstream or self.name)
        object.__setattr__(self, "parents", _parents(self.upstream, self.parents))
        _check(self.model != "", f"the provider {self.name} has no model: set LLM_MODEL")
        parts = urlsplit(self.base_url)
        _check("@" not in parts.netloc, f"the address of {self.name} holds credentials: use api_key")
        usable = parts.scheme in ("http", "https") and parts.hostname is not None and not parts.query
        _check(usable, f"the address of {self.name} must be an http:// or https:// address without a query")
        key = "" if self.api_key is None else self.api_key.get_secret_value()
        _check(key.isascii() and key.isprintable(), f"the key of {self.name} holds a newline or a letter beyond ASCII")

    @property
    def url(self) -> str:
        """Where chats go."""
        return f"{self.base_url.rstrip('/')}/chat/completions"


DETERMINISTIC: Final = "deterministic"
"""Who served a reply that no model made."""
