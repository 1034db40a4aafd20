"""What the rules look at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tidegate.jobs.analysis.figures.model import Kpis
from tidegate.jobs.analysis.figures.quality import Quality
from tidegate.jobs.analysis.insights.evidence import Evidence, Insight


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Figures to decide by, and the result document to quote from: the same ones, rounded."""

    kpis: Kpis
    quality: Quality
    document: dict[str, object]

    def evidence(self) -> Evidence:
        """A fresh record of quotes, for one insight."""
        return Evidence(self.document)


Rule = Callable[[Facts], Iterator[Insight]]
"""Finds every instance of one kind of insight."""
