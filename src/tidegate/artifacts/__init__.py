"""One artifact store: a local folder, an S3 bucket (Supabase's too) or memory, chosen by one URL."""

import asyncio
import atexit
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache
from typing import Final, NotRequired, TypedDict, assert_never

from obstore.store import MemoryStore, S3Store

from tidegate import clock
from tidegate.artifacts.backend import Backend, ObjectBackend
from tidegate.artifacts.disk import DiskBackend
from tidegate.artifacts.settings import ArtifactSettings, Bucket, Folder, Memory, place
from tidegate.artifacts.store import ArtifactStore
from tidegate.artifacts.tries import Tries
from tidegate.errors import ConfigError

__all__ = ["ArtifactSettings", "ArtifactStore", "open_artifacts", "warm_up"]

_LONGEST_TRANSFER: Final = timedelta(hours=1)
"""A whole request; generous, because a slow reader slows the download that feeds it."""

_CONNECT_TIMEOUT: Final = timedelta(seconds=5)

_LAST_ANSWERS: Final = timedelta(milliseconds=50)
"""How long a process that ends leaves obstore's threads to let go of their last answers. One that still holds one
while the interpreter goes aborts the process: pyo3-async-runtimes has no shutdown (its issue 40). One in nine
processes that ended right after a write did so on a busy machine, and none of 300 that waited this long.
"""


class _Keys(TypedDict):
    access_key_id: str
    secret_access_key: str
    token: NotRequired[str | None]
    expires_at: datetime | None


def open_artifacts(
    settings: ArtifactSettings,
    *,
    dice: Callable[[], float] = clock.dice,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> ArtifactStore:
    """The store that `settings` names. A folder is made when missing; a bucket is not asked (see `check`).

    `dice` in [0, 1) spreads the waits between tries. Raises ConfigError.
    """
    _end_after_the_last_answers()
    tries = Tries(settings.attempts, settings.backoff, dice=dice, sleep=sleep)
    once = Tries(1, settings.backoff, dice=dice, sleep=sleep)
    return ArtifactStore(_backend(settings), tries, once=once, token=clock.token)


async def warm_up() -> None:
    """Make obstore start its threads now.

    It starts them at its first call, and where that fails, for want of file descriptors, every later call
    fails too: better at the start of a process than in the middle of its work.
    """
    _end_after_the_last_answers()
    with suppress(FileNotFoundError):
        MemoryStore().head("nothing")


@cache
def _end_after_the_last_answers() -> None:
    atexit.register(time.sleep, _LAST_ANSWERS.total_seconds())


def _backend(settings: ArtifactSettings) -> Backend:
    match place(settings.url):
        case Folder(path):
            try:
                return DiskBackend(path)
            except OSError as exc:
                raise ConfigError(f"the artifact folder {path} can't be used: {exc.strerror}") from exc
        case Bucket() as bucket:
            return ObjectBackend(_s3(bucket, settings))
        case Memory():
            return ObjectBackend(MemoryStore())
        case unknown:
            assert_never(unknown)


def _s3(bucket: Bucket, settings: ArtifactSettings) -> S3Store:
    region, endpoint = settings.region, settings.endpoint
    return S3Store(
        bucket.name,
        prefix=bucket.prefix or None,
        config={"region": region, "endpoint": endpoint} if endpoint else {"region": region},
        client_options={
            "allow_http": (endpoint or "").startswith("http://"),
            "connect_timeout": min(_CONNECT_TIMEOUT, settings.timeout),
            "read_timeout": settings.timeout,
            "timeout": _LONGEST_TRANSFER,
        },
        retry_config={"max_retries": 0},  # only Tries repeats, or the counts would multiply
        credential_provider=_keys(settings),
    )


def _keys(settings: ArtifactSettings) -> Callable[[], _Keys] | None:
    """None lets obstore look where AWS's own tools look.

    Given as plain configuration, the keys would be sent together with any session token that happens to be
    in the environment, and be refused.
    """
    access_key, secret_key = settings.access_key, settings.secret_key
    if access_key is None or secret_key is None:
        return None
    return lambda: {
        "access_key_id": access_key,
        "secret_access_key": secret_key,
        "token": None,
        "expires_at": None,
    }
