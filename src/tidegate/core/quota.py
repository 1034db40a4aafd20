"""What counts against the jobs that a user may have made an hour, whoever makes them: requests, and ticks."""

from datetime import timedelta
from typing import Final

from tidegate.core.verbs import Take

HOUR: Final = timedelta(hours=1)

ENQUEUE: Final = "enqueue:"
"""How the keys of these windows begin."""


def enqueued(user_id: str, limit: int, n: int = 1) -> list[Take]:
    """What `n` jobs of that user count against; nothing where `limit` is 0."""
    return [Take(key=f"{ENQUEUE}user:{user_id}", n=n, limit=limit, window=HOUR)] if limit else []
