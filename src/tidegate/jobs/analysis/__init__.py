"""The `analysis` computation: an uploaded data file in, figures, charts and insights out.

Importing this package is cheap. The data and drawing libraries (the `analysis` extra) are imported by the
first call of `analyse`, and by nothing else.
"""

from importlib import import_module
from pathlib import Path
from typing import Protocol

from tidegate.jobs.analysis.contract import Analysis, Limits, Progress
from tidegate.jobs.analysis.errors import NotData, Reason

__all__ = ["Analysis", "Limits", "NotData", "Progress", "Reason", "analyse"]


class _Run(Protocol):
    def __call__(self, source: Path, *, name: str, output: Path, progress: Progress, limits: Limits) -> Analysis: ...


def analyse(source: Path, *, name: str, output: Path, progress: Progress, limits: Limits | None = None) -> Analysis:
    """Analyse the data file at `source`; write `result.json` and `charts/*.png` into `output`.

    `name` is what the user called the file; its content decides the format. `output` is an existing, empty
    directory. `progress` is called often with a fraction from 0 to 1 and a message; whatever it raises ends
    the analysis and passes through. The same bytes, name and limits give the same `result.json`, byte for
    byte.

    Raises NotData when the file holds no table; OSError when it cannot be read or the output not written.
    """
    run: _Run = import_module("tidegate.jobs.analysis.run").run
    return run(source, name=name, output=output, progress=progress, limits=limits or Limits())
