"""Text that every store can hold."""


def storable(text: str, limit: int) -> str:
    """At most `limit` characters of `text`, without what no store takes: NUL, and halves of surrogate pairs.

    Handlers meet both in file names and in what others send; a job must not hang on them.
    """
    return text[:limit].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
