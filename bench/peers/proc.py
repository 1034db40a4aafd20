"""Process trees as Linux shows them below /proc."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
TICK: Final = os.sysconf("SC_CLK_TCK")
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
STATE, PARENT, GROUP, USER_TIME, SYSTEM_TIME = 0, 1, 2, 11, 12


def tree(top: int) -> list[int]:
    """A process and all below it that live, parents first."""
    children: dict[int, list[int]] = {}
    for pid, fields in _all():
        if fields[STATE] != "Z":
            children.setdefault(int(fields[PARENT]), []).append(pid)
    found = [top]
    for pid in found:  # grows while it is walked
        found += children.get(pid, [])
    return found


def resident(pid: int) -> int:
    """Bytes in memory; none once it is gone."""
    try:
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


def busy(pid: int) -> float:
    """Seconds of processor time so far; none once it is gone."""
    fields = _fields(pid)
    return (int(fields[USER_TIME]) + int(fields[SYSTEM_TIME])) / TICK if fields else 0.0


def group(pid: int) -> int | None:
    """Its process group; None once it is gone."""
    fields = _fields(pid)
    return int(fields[GROUP]) if fields else None


def _all() -> Iterator[tuple[int, list[str]]]:
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (fields := _fields(int(entry.name))):
            yield int(entry.name), fields


def _fields(pid: int) -> list[str]:
    """What follows the name in its stat line; nothing once it is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return []
