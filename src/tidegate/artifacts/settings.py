"""Where artifacts go: one URL, and what a bucket needs besides."""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

from tidegate.core.paths import check_prefix, check_segment
from tidegate.core.retry import Backoff, Exponential
from tidegate.errors import ConfigError, InvalidInput

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_KEY: Final = re.compile(r"[!-~]+")
_FORMS: Final = "a folder, file:///folder, s3://bucket/prefix or memory://"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactSettings:
    """Where artifacts go and how hard to try.

    `url` is a folder, `file:///folder`, `s3://bucket/prefix` or `memory://` (lost when the process ends).
    The other places are for S3 alone. Without `access_key` and `secret_key`, the usual AWS variables, web
    identity and instance roles are asked. `attempts` and `backoff` are REQUIREMENTS E1 and E2: 0.5 s and 1 s
    between 3 tries, ± 10 %. `timeout` bounds each silence of the store, not a whole transfer.
    """

    url: str
    endpoint: str | None = None
    region: str = "us-east-1"
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    attempts: int = 3
    backoff: Backoff = Exponential(initial=timedelta(seconds=0.5), cap=timedelta(seconds=10))
    timeout: timedelta = timedelta(seconds=30)

    def __post_init__(self) -> None:
        """Raises ConfigError; no message holds a key."""
        place(self.url)
        _check(self.attempts >= 1, f"artifact attempts are {self.attempts}: at least 1")
        _check(self.timeout > timedelta(0), f"the artifact timeout is {self.timeout}: it must be above 0")
        _check_endpoint(self.endpoint)
        paired = (self.access_key is None) == (self.secret_key is None)
        _check(paired, "access_key and secret_key go together: give both or none")
        for name, key in (("access_key", self.access_key), ("secret_key", self.secret_key)):
            # A stray newline would otherwise crash the driver at the first request.
            usable = key is None or _KEY.fullmatch(key) is not None
            _check(usable, f"{name} is empty, or holds a space, a newline or a letter beyond ASCII")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of this machine."""

    path: Path


@dataclass(frozen=True, slots=True)
class Bucket:
    """An S3 bucket, and the prefix below which everything is kept, "" for none."""

    name: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Memory:
    """This process."""


Place: TypeAlias = Folder | Bucket | Memory


def place(url: str) -> Place:
    """Read an artifact URL; raises ConfigError that names the forms there are."""
    if not _SCHEME.match(url):
        _check(url.strip() != "", f"the artifact URL is empty: use {_FORMS}")
        return Folder(Path(url).expanduser())
    parts = urlsplit(url)
    _check("@" not in parts.netloc, "the artifact URL holds credentials: use access_key and secret_key")
    _check(not parts.query and not parts.fragment, f"the artifact URL {url!r} has a query or fragment")
    match parts.scheme:
        case "file":
            return _folder(parts)
        case "s3":
            return _bucket(parts)
        case "memory":
            return Memory()
        case _:
            raise ConfigError(f"the artifact URL {url!r} is of an unknown kind: use {_FORMS}")


def _folder(parts: SplitResult) -> Folder:
    local = parts.netloc in ("", "localhost") and parts.path.strip("/") != ""
    _check(local, f"the artifact URL {parts.geturl()!r} names no folder here: write file:///folder")
    return Folder(Path(unquote(parts.path)))


def _bucket(parts: SplitResult) -> Bucket:
    url = parts.geturl()
    prefix = parts.path.strip("/")
    try:
        return Bucket(check_segment(parts.netloc), check_prefix(prefix) if prefix else "")
    except InvalidInput as exc:
        raise ConfigError(f"the artifact URL {url!r} names no bucket and prefix: {exc.message}") from exc


def _check_endpoint(endpoint: str | None) -> None:
    if endpoint is not None:
        parts = urlsplit(endpoint)
        _check("@" not in parts.netloc, "the S3 endpoint holds credentials: use access_key and secret_key")
        usable = parts.scheme in ("http", "https") and parts.netloc != ""
        _check(usable, f"the S3 endpoint {endpoint!r} must be an https:// or http:// address")


def _check(ok: bool, message: str) -> None:
    if not ok:
        raise ConfigError(message)
