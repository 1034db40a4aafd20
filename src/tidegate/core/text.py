"""Text that every store can hold, names, and lists of either."""

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from tidegate.errors import InvalidInput

Item = TypeVar("Item")

_PLAIN_WORDS: Final = {
    "Input should be a valid dictionary": "Input should be an object",
    "Input should be a valid dictionary or object to extract fields from": "send an object, as application/json",
}

SYSTEM_PREFIX: Final = "tidegate."
"""Names of job types that begin so are Tidegate's own: no application may register one, no client submit one."""


def storable(text: str, limit: int) -> str:
    """At most `limit` characters of `text`, without what no store takes: NUL, and halves of surrogate pairs.

    Handlers meet both in file names and in what others send; a job must not hang on them.
    """
    return text[:limit].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def plainly(message: str) -> str:
    """What a validator says, without the words that Pydantic puts before it, and in those of JSON."""
    said = message.removeprefix("Value error, ")
    return _PLAIN_WORDS.get(said, said)


def listed(field_name: str, given: Iterable[Item]) -> tuple[Item, ...]:
    """The items of a list; raises InvalidInput for a lone text, whose letters would be taken for them."""
    if isinstance(given, str | bytes | Mapping):
        raise InvalidInput(field_name, f"give a list, as in {field_name}=[…], and no lone {type(given).__name__}")
    return tuple(given)


def check_name(field_name: str, name: str) -> str:
    """A name of a job type, queue or upstream: lower case letters, digits and `_ . : -`, 1 to 128 of them."""
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789_.:-")
    if not 1 <= len(name) <= 128 or not set(name) <= allowed or not name[0].isalnum():
        raise InvalidInput(field_name, f"{name!r} is no name: use a-z, 0-9 and _ . : - (at most 128, alnum first)")
    return name
