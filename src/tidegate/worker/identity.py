"""Who holds a lease: a name that tells, on the same host, whether its process still lives."""

import os
import sys
from pathlib import Path

from tidegate.core.job import Owner

_UNKNOWN = "0"


def identity(nonce: str) -> Owner:
    """This process's name for one worker: boot, pid namespace, pid, start time, and 64 fresh bits."""
    return Owner(".".join([_boot(), _namespace(), str(os.getpid()), _started("self"), nonce[:16]]))


def dead(owner: Owner) -> bool:
    """Whether `owner`'s process is surely gone: it was on this boot of this host, in these pids, and is not now.

    False for any doubt: another host, another container, a foreign name, a system that doesn't tell.
    """
    return _lives(owner) is False


def lives(owner: Owner) -> bool:
    """Whether `owner`'s process surely lives, on this host; False for any doubt, as above."""
    return _lives(owner) is True


def _lives(owner: Owner) -> bool | None:
    parts = owner.split(".")
    if len(parts) != 5 or _UNKNOWN in parts[:4]:
        return None
    boot, namespace, pid, started, _ = parts
    if (boot, namespace) != (_boot(), _namespace()) or not pid.isdigit():
        return None
    return _started(pid) == started


def pid_of(owner: Owner) -> int | None:
    """The process id in an owner's name, for showing."""
    parts = owner.split(".")
    return int(parts[2]) if len(parts) == 5 and parts[2].isdigit() else None


def _boot() -> str:
    return _read("/proc/sys/kernel/random/boot_id").strip().replace("-", "")[:16] or _UNKNOWN


def _namespace() -> str:
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino) if sys.platform == "linux" else _UNKNOWN
    except OSError:
        return _UNKNOWN


def _started(pid: str) -> str:
    """The process's start time in clock ticks since boot: field 22 of /proc/PID/stat; its name may hold spaces."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] != "Z" else _UNKNOWN


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
