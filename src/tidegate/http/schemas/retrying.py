"""The wire of retry policies, for the document: `core.retry_json` is what reads them."""

from typing import Annotated, Final, Literal, Required

from pydantic import ConfigDict, Field, GetJsonSchemaHandler, TypeAdapter, with_config
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import TypedDict

from tidegate.core.retry import LARGEST_FACTOR, LONGEST_DELAY, LONGEST_ERROR_NAME, MOST_ATTEMPTS, MOST_RULES

Seconds = Annotated[float, Field(gt=0, le=LONGEST_DELAY.total_seconds())]
Jitter = Annotated[float, Field(ge=0, lt=1, description="The part of itself that each wait is spread by, ±.")]
Attempts = Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)]
Delays = Annotated[list[Seconds], Field(min_length=1, max_length=MOST_ATTEMPTS, description="The last repeats.")]
Factor = Annotated[float, Field(ge=1, le=LARGEST_FACTOR, description="2 unless it is said.")]
Longest = Annotated[Seconds, Field(description="Not below `initial`; a day unless it is said.")]
ErrorName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_ERROR_NAME,
        description="A failure's code, its exception's class, or a status: `http:503`, `http:5xx`.",
    ),
]

_closed: Final = with_config(ConfigDict(extra="forbid"))


@_closed
class StepsBackoff(TypedDict, total=False):
    """Waits `delays` in turn."""

    policy: Required[Literal["steps"]]
    delays: Required[Delays]
    jitter: Jitter


@_closed
class ExponentialBackoff(TypedDict, total=False):
    """Waits `initial`·`factor`^n, at most `max`."""

    policy: Required[Literal["exponential"]]
    initial: Required[Seconds]
    factor: Factor
    max: Longest
    jitter: Jitter


@_closed
class RetryRule(TypedDict, total=False):
    """What one kind of failure changes; what is left out is as the policy says."""

    error: Required[ErrorName]
    retry: bool
    max_attempts: Attempts
    backoff: Annotated[StepsBackoff | ExponentialBackoff, Field(discriminator="policy")]


Rules = Annotated[list[RetryRule], Field(max_length=MOST_RULES)]


@_closed
class StepsPolicy(StepsBackoff, total=False):
    """Waits `delays` in turn, until there were `max_attempts`."""

    max_attempts: Attempts
    rules: Rules


@_closed
class ExponentialPolicy(ExponentialBackoff, total=False):
    """Waits `initial`·`factor`^n, at most `max`, until there were `max_attempts`."""

    max_attempts: Attempts
    rules: Rules


_POLICY: Final[TypeAdapter[object]] = TypeAdapter(
    Annotated[StepsPolicy | ExponentialPolicy, Field(discriminator="policy")]
)


class _Policy:
    """Describes an object as one of the policies."""

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema in the place of an object's."""
        return handler(_POLICY.core_schema)


Retry = Annotated[dict[str, object], _Policy()]
"""A policy as it was sent, or as it is told."""

RETRY_EXAMPLES: Final = [
    {"policy": "steps", "delays": [1, 5, 30]},
    {"policy": "exponential", "initial": 2, "factor": 2, "max": 300, "max_attempts": 5},
]
RETRY_WORDS: Final = "How often it is tried, and after how many seconds. Left out: as the job type says."
