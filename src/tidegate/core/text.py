"""Text that every store can hold, and names."""

from tidegate.errors import InvalidInput


def storable(text: str, limit: int) -> str:
    """At most `limit` characters of `text`, without what no store takes: NUL, and halves of surrogate pairs.

    Handlers meet both in file names and in what others send; a job must not hang on them.
    """
    return text[:limit].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def plainly(message: str) -> str:
    """What a validator says, without the words that Pydantic puts before it."""
    return message.removeprefix("Value error, ")


def check_name(field_name: str, name: str) -> str:
    """A name of a job type, queue or upstream: lower case letters, digits and `_ . : -`, 1 to 128 of them."""
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789_.:-")
    if not 1 <= len(name) <= 128 or not set(name) <= allowed or not name[0].isalnum():
        raise InvalidInput(field_name, f"{name!r} is no name: use a-z, 0-9 and _ . : - (at most 128, alnum first)")
    return name
