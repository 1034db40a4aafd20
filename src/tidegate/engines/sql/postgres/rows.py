"""Between rows and values: what asyncpg gives, and the ids that a `uuid` column may be asked for."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

import asyncpg
import msgspec

from tidegate.core.job import Job, JobId, Lane
from tidegate.engines.sql.codec import JobRow, read_job, read_tags
from tidegate.engines.sql.postgres.store import Store

SHOWN: Final = ", ".join(
    f"shown.{name}::text" if name == "id" else f"shown.{name}" for name in JobRow.__struct_fields__
)
"""The columns of the view `shown` that are a `JobRow`."""

_LINES: Final = "SELECT id, queue, upstream, parents, type FROM tidegate.lines WHERE id = ANY ($1::integer[])"
_CANONICAL: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def uuids(job_ids: Iterable[JobId]) -> list[JobId]:
    """The ids that a job may have, each once; what is written otherwise is nobody's."""
    return [job_id for job_id in dict.fromkeys(job_ids) if _CANONICAL.fullmatch(job_id)]


async def read_jobs(store: Store, rows: "Sequence[asyncpg.Record]") -> list[Job]:
    """The jobs of rows that begin with `SHOWN`. Lines never change, so each is looked up once a process."""
    width = len(JobRow.__struct_fields__)
    known = [msgspec.convert(tuple(row)[:width], JobRow) for row in rows]
    kinds = store.kinds
    new = {number for row in known for number in (row.line_id, row.first_line_id) if number not in kinds}
    if new:
        for number, queue, upstream, parents, type_ in await store.fetch(_LINES, list(new)):
            kinds[number] = (Lane(queue=queue, upstream=upstream, parents=read_tags(parents)), type_)
    return [read_job(row, kinds) for row in known]
