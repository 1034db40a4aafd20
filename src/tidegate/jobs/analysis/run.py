"""One analysis from file to result. Imports the data and drawing libraries: import it only to run one."""

import json
from dataclasses import dataclass
from pathlib import Path

from tidegate.jobs.analysis.charts.plan import draw_charts
from tidegate.jobs.analysis.columns.build import build_table
from tidegate.jobs.analysis.columns.table import Table
from tidegate.jobs.analysis.contract import Analysis, Limits, Progress, Stage
from tidegate.jobs.analysis.figures.finite import to_json
from tidegate.jobs.analysis.figures.kpis import kpis
from tidegate.jobs.analysis.figures.model import Kpis
from tidegate.jobs.analysis.figures.quality import assess
from tidegate.jobs.analysis.figures.schema import schema
from tidegate.jobs.analysis.insights.evidence import Insight
from tidegate.jobs.analysis.insights.facts import Facts
from tidegate.jobs.analysis.insights.find import find_insights
from tidegate.jobs.analysis.reading.raw import LeftOut, Raw
from tidegate.jobs.analysis.reading.read import read

VERSION = 1
BY_RULES = "rules"
"""Who found the insights; else the name of a model."""

_READ, _TYPED, _FIGURED, _DRAWN = 0.4, 0.55, 0.75, 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All but the charts: the typed table, its figures and insights, and the result document made of them."""

    table: Table
    kpis: Kpis
    insights: list[Insight]
    left_out: tuple[LeftOut, ...]
    document: dict[str, object]


def run(source: Path, *, name: str, output: Path, progress: Progress, limits: Limits) -> Analysis:
    """What `tidegate.jobs.analysis.analyse` promises."""
    found = examine(source, name=name, progress=progress, limits=limits)
    stage = Stage(progress, _FIGURED, _DRAWN)
    pictures, undrawn = draw_charts(found.table, found.kpis, found.insights, output, stage)
    left_out = to_json([*found.left_out, *undrawn])
    result = found.document | {"charts": to_json(pictures), "left_out": left_out}
    _write(result, output)
    progress(1.0, "Done")
    return Analysis(result=result, charts=tuple(picture.file for picture in pictures))


def examine(source: Path, *, name: str, progress: Progress, limits: Limits) -> Findings:
    """Everything but the charts. Raises NotData as `run` does."""
    raw = read(source, name, limits, Stage(progress, 0.0, _READ))
    table = build_table(raw, Stage(progress, _READ, _TYPED))
    figures = kpis(table, progress, _TYPED, _FIGURED)
    quality = assess(table, raw)
    document: dict[str, object] = {
        "version": VERSION,
        "source": _source(raw, table, source, name),
        "schema": to_json(schema(table)),
        "quality": to_json(quality),
        "kpis": to_json(figures),
    }
    insights = find_insights(Facts(kpis=figures, quality=quality, document=document))
    document["insights"], document["insights_by"] = to_json(insights), BY_RULES
    return Findings(table=table, kpis=figures, insights=insights, left_out=raw.left_out, document=document)


def _source(raw: Raw, table: Table, source: Path, name: str) -> dict[str, object]:
    origin = raw.origin
    return {
        "name": name,
        "format": origin.format,
        "encoding": origin.encoding,
        "delimiter": origin.delimiter,
        "sheet": origin.sheet,
        "other_sheets": list(origin.other_sheets),
        "has_header": origin.has_header,
        "rows_above_header": origin.rows_above_header,
        "bytes": source.stat().st_size,
        "rows": table.rows,
        "columns": len(table.columns),
    }


def _write(document: dict[str, object], output: Path) -> None:
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)
    (output / "result.json").write_text(text + "\n", encoding="utf-8")
