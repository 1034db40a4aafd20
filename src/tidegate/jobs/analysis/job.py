"""The job type `analysis`: the computation as a handler, which runs in a process that can be killed."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, Field

from tidegate.context import Context, Result
from tidegate.errors import GiveUp
from tidegate.jobs.analysis import analyse

CONTENT_TYPES: Final = {".json": "application/json", ".png": "image/png"}


class AnalysisPayload(BaseModel):
    """Which file to analyse."""

    file: Annotated[str, Field(description="What POST /uploads answered as `file`.", examples=["upload:0190b2a4-..."])]


def analysis(payload: AnalysisPayload, ctx: Context) -> Result[dict[str, object]]:
    """Analyse a CSV, TSV, Excel, Parquet or JSON file: schema, quality, KPIs, charts, insights with evidence."""
    source = ctx.files["file"]
    ctx.log.debug("analysis.started", file=payload.file, size=source.size)
    output = ctx.scratch / "analysis"
    output.mkdir()
    try:
        made = analyse(source.path, name=source.name, output=output, progress=ctx.progress)
    except ModuleNotFoundError as exc:
        why = f"its worker has no {exc.name}: install Tidegate with its extra `analysis` where workers run"
        raise GiveUp(why, code="not_installed") from exc
    for path in sorted(output.rglob("*")):
        if path.is_file():
            ctx.save(path.relative_to(output).as_posix(), path, _content_type(path))
    ctx.progress(1.0, "done")
    return Result(value=made.result, degraded=bool(made.result["left_out"]))


def _content_type(path: Path) -> str:
    return CONTENT_TYPES.get(path.suffix, "application/octet-stream")
