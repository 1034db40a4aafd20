"""What is known about one chart."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One entry of the result's `charts`; `file` is relative to the output directory."""

    file: str
    title: str
    kind: str
    columns: tuple[str, ...]
