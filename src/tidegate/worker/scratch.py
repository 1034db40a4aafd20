"""Folders for what runs write while they run: one a run, within one a worker, so that a dead worker's are known."""

import shutil
from os.path import exists
from pathlib import Path

from tidegate.core.job import Job, Owner, Token
from tidegate.worker.identity import dead


class Scratch:
    """The folders of one worker. Nothing is made until a run asks for it; all but `given` blocks."""

    def __init__(self, root: Path, owner: Owner) -> None:
        self._root = root
        self._own = root / owner
        self._given: dict[Token, Path] = {}

    def give(self, token: Token, job: Job) -> Path:
        """The folder of one run; it does not exist yet."""
        folder = self._given[token] = self._own / f"{job.id}-{job.counters.runs}"
        return folder

    def take(self, token: Token) -> Path | None:
        """The folder that a run was given and has made, to be removed."""
        folder = self._given.pop(token, None)
        return folder if folder is not None and exists(folder) else None

    def close(self) -> None:
        """Remove what the runs of this worker left, and what those of dead workers of this host did."""
        shutil.rmtree(self._own, ignore_errors=True)
        for folder in self._root.glob("*"):
            if dead(Owner(folder.name)):
                shutil.rmtree(folder, ignore_errors=True)
