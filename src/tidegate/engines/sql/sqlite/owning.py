"""One process owns a store: a locked file beside it says so, and holds that process's id.

The kernel drops the lock when the process dies, however it dies, so no lock is ever stale. The id in the
file outlives a crash, which is how the next owner knows that there was one.
"""

import fcntl
import os
import threading
from pathlib import Path
from typing import Final

from tidegate.errors import ConfigError, StoreOwned

NETWORK: Final = frozenset(
    {
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.sshfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
    }
)
"""File systems on which SQLite's locks and shared memory can't be relied upon."""

_MOUNTS: Final = Path("/proc/mounts")


class _Held:
    """The lock files that this process holds, by the store's real path."""

    def __init__(self) -> None:
        self.forget()
        os.register_at_fork(after_in_child=self._close)

    def forget(self) -> None:
        """Hold nothing."""
        self.mutex = threading.Lock()
        self.descriptors: dict[Path, int] = {}

    def _close(self) -> None:
        """A forked child owns nothing: its copies must not keep the locks alive when the parent dies."""
        for descriptor in self.descriptors.values():
            os.close(descriptor)
        self.forget()


_held: Final = _Held()


class Ownership:
    """The right of this process to open a store, from `take` to `release`.

    `crashed` says whether the last owner ended without `release`.
    """

    def __init__(self, path: Path, *, crashed: bool) -> None:
        self._path = path
        self.crashed = crashed

    def release(self) -> None:
        """Give the store back."""
        with _held.mutex:
            descriptor = _held.descriptors.pop(self._path, None)
            if descriptor is not None:
                os.ftruncate(descriptor, 0)
                os.close(descriptor)


def take(path: Path) -> Ownership:
    """Own the store at a real path; raises StoreOwned when somebody does, in this process or another."""
    with _held.mutex:
        if path in _held.descriptors:
            raise StoreOwned(str(path), os.getpid())
        descriptor = _locked(path)
        crashed = _pid(descriptor) is not None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        _held.descriptors[path] = descriptor
    return Ownership(path, crashed=crashed)


def _locked(path: Path) -> int:
    """The lock file's descriptor, with the lock."""
    lock = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise ConfigError(f"the lock file {lock} can't be opened ({exc.strerror}): name another place") from exc
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        owner = _pid(descriptor)
        os.close(descriptor)
        if isinstance(exc, BlockingIOError):
            raise StoreOwned(str(path), owner) from None
        raise ConfigError(f"the lock file {lock} can't be locked ({exc.strerror}): name another place") from exc
    return descriptor


def _pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0)
    return int(text) if text.isdigit() else None


def refuse_network(path: Path, mounts: Path = _MOUNTS) -> None:
    """Raise ConfigError for a path on a network file system, where this system tells."""
    try:
        lines = mounts.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return
    kinds = {Path(fields[1].replace("\\040", " ")): fields[2] for fields in map(str.split, lines) if len(fields) > 2}
    kind = next((kinds[folder] for folder in (path, *path.parents) if folder in kinds), "")
    if kind in NETWORK:
        raise ConfigError(f"{path} is on a network file system ({kind}), where SQLite loses data: name a local folder")
