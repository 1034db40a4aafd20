"""The front door of reading: any file in, one raw table out."""

from dataclasses import replace
from pathlib import Path
from typing import assert_never

from tidegate.jobs.analysis.contract import Limits, Stage
from tidegate.jobs.analysis.errors import NotData, Reason
from tidegate.jobs.analysis.reading.columnar import read_parquet
from tidegate.jobs.analysis.reading.delimited import read_delimited
from tidegate.jobs.analysis.reading.formats import Format, detect_format
from tidegate.jobs.analysis.reading.raw import Raw, columns_left_out
from tidegate.jobs.analysis.reading.records import NotJson, read_json
from tidegate.jobs.analysis.reading.workbook import read_workbook


def read(source: Path, name: str, limits: Limits, stage: Stage) -> Raw:
    """The one table in this file, cut to `limits`. Raises NotData, saying why there is none."""
    size = source.stat().st_size
    if size > limits.file_bytes:
        raise NotData(
            f"The file {name!r} has {size / 2**20:,.0f} MiB; the limit is "
            f"{limits.file_bytes / 2**20:,.0f} MiB. Send fewer rows or columns.",
            Reason.TOO_LARGE,
        )
    raw = _cut_columns(_read(source, name, limits, stage), limits.columns)
    if not raw.frame.height:
        raise NotData(f"The file {name!r} has no rows under its header: there is nothing to analyse.", Reason.EMPTY)
    if raw.frame.height * raw.frame.width == 1:
        raise NotData(f"The file {name!r} holds a single value, not a table. Send rows with columns.")
    return raw


def _read(source: Path, name: str, limits: Limits, stage: Stage) -> Raw:
    kind = detect_format(source, name)
    match kind:
        case Format.DELIMITED:
            return read_delimited(source, limits, stage)
        case Format.WORKBOOK:
            return read_workbook(source, limits, stage)
        case Format.PARQUET:
            return read_parquet(source, limits, stage)
        case Format.JSON:
            return _json_or_delimited(source, name, limits, stage)
        case _:
            assert_never(kind)


def _json_or_delimited(source: Path, name: str, limits: Limits, stage: Stage) -> Raw:
    """A CSV may begin with a bracket too; a file that calls itself JSON may not."""
    try:
        return read_json(source, limits, stage)
    except NotJson as error:
        if Path(name).suffix.lower() in {".csv", ".tsv", ".txt"}:
            return read_delimited(source, limits, stage)
        raise NotData(
            f"The file {name!r} looks like JSON but breaks off: {error}. Correct it there and send it again.",
            Reason.BROKEN,
        ) from error


def _cut_columns(raw: Raw, most: int) -> Raw:
    if raw.frame.width <= most:
        return raw
    return replace(
        raw,
        frame=raw.frame[:, :most],
        headings=raw.headings[:most],
        left_out=(*raw.left_out, columns_left_out(most, raw.frame.width)),
    )
