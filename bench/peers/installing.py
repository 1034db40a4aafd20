"""An environment for each rival, below `.bench/`, made once for each version of its requirements."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench.peers.roster import Peer

ROOT: Final = Path(__file__).parents[2]
CACHE: Final = ROOT / ".bench"
HERE: Final = Path(__file__).parent
NODE: Final = CACHE / "node"
UV: Final = ROOT / ".tools" / "bin" / "uv"


class NotInstalled(Exception):
    """A rival that can't be installed here, with the reason in one line."""


def requirements(peer: Peer) -> Path:
    """The file that pins a rival's packages."""
    if peer.environment == "node":
        return HERE / "requirements" / "package.json"
    return HERE / "requirements" / f"{peer.environment}.txt"


def pins(peer: Peer) -> list[str]:
    """What it pins, for the record."""
    if not peer.environment:
        return []
    lines = requirements(peer).read_text("utf-8").splitlines()
    return [line.strip() for line in lines if "==" in line or "bullmq" in line]


def install(peer: Peer) -> None:
    """Make its environment unless it is there; raises NotInstalled."""
    if not peer.environment:
        return
    folder = NODE if peer.environment == "node" else CACHE / "venvs" / peer.environment
    wanted = requirements(peer).read_text("utf-8")
    mark = folder / "installed.txt"
    if mark.exists() and mark.read_text("utf-8") == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    if peer.environment == "node":
        _npm(peer, folder)
    else:
        _uv(peer, folder)
    mark.write_text(wanted, "utf-8")


def _npm(peer: Peer, folder: Path) -> None:
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise NotInstalled(f"{tool} is not on the path")
    shutil.copy(requirements(peer), folder / "package.json")
    _run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], folder)


def _uv(peer: Peer, folder: Path) -> None:
    python = interpreter(peer.python) if peer.python else sys.executable
    _run([str(UV), "venv", "--quiet", "--clear", "--no-python-downloads", "--python", python, str(folder)], ROOT)
    _run(
        [
            str(UV),
            "pip",
            "install",
            "--quiet",
            "--python",
            str(folder / "bin" / "python"),
            "-r",
            str(requirements(peer)),
        ],
        ROOT,
    )


def interpreter(wanted: str) -> str:
    """A Python of this version that runs, on the path or of pyenv; raises NotInstalled."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [shutil.which(f"python{wanted}"), *sorted(pyenv.glob(f"versions/{wanted}.*/bin/python"), reverse=True)]
    for candidate in candidates:
        if candidate and not subprocess.run([candidate, "--version"], capture_output=True, check=False).returncode:
            return str(candidate)
    raise NotInstalled(f"it needs Python {wanted}, which is not here")


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise NotInstalled(" ".join(lines)[:300] or f"{command[0]} ended with {done.returncode}")
