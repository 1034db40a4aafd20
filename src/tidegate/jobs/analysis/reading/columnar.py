"""Parquet files. Kinds come with the columns; nested ones are flattened one level."""

from pathlib import Path

import polars as pl

from tidegate.jobs.analysis.contract import Limits, Stage
from tidegate.jobs.analysis.errors import NotData, Reason, first_line, is_panic
from tidegate.jobs.analysis.reading.nested import flatten
from tidegate.jobs.analysis.reading.raw import Origin, Raw, rows_left_out


def read_parquet(source: Path, limits: Limits, stage: Stage) -> Raw:
    """Read a Parquet file as a table of typed cells. Raises NotData when it is broken."""
    stage.at(0.0, "Reading Parquet")
    try:
        scan = pl.scan_parquet(source, glob=False)
        names = scan.collect_schema().names()
        most = limits.rows_of(len(names))
        frame = scan.head(most + 1).collect()
    except BaseException as error:
        if isinstance(error, pl.exceptions.PolarsError | OSError) or is_panic(error):
            raise _broken(error) from error
        raise
    flat, notes = flatten(frame.head(most))
    return Raw(
        frame=flat.rename({old: str(index) for index, old in enumerate(flat.columns)}),
        headings=tuple(flat.columns),
        origin=Origin(format="parquet"),
        notes=notes,
        left_out=(rows_left_out(most),) if frame.height > most else (),
    )


def _broken(error: BaseException) -> NotData:
    return NotData(
        f"The file looks like Parquet but cannot be read: {first_line(error)}. It may have been cut off on its "
        "way; write it again and send that.",
        Reason.BROKEN,
    )
