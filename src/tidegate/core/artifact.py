"""What is known of an artifact, as values."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An artifact as written: `sha256` in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactInfo:
    """An artifact as found."""

    path: str
    size: int
    modified_at: datetime
    content_type: str | None = None
