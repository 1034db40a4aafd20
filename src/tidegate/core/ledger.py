"""What a job spent on models: values."""

from dataclasses import dataclass
from typing import Final

USAGE: Final = "usage.json"
"""The name of the artifact in which a run keeps what it spent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One call: `cost` in millionths of a US dollar, None where the price is not known."""

    run: int
    upstream: str
    input_tokens: int
    output_tokens: int
    cost: int | None
