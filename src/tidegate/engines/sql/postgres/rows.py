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

WIDTH: Final = len(JobRow.__struct_fields__)

_LINES: Final = "SELECT id, queue, upstream, parents, type FROM tidegate.lines WHERE id = ANY ($1::integer[])"
_TERMS: Final = "SELECT id, terms FROM tidegate.terms WHERE id = ANY ($1::integer[])"
_CANONICAL: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def uuids(job_ids: Iterable[JobId]) -> list[JobId]:
    """The ids that a job may have, each once; what is written otherwise is nobody's."""
    return [job_id for job_id in dict.fromkeys(job_ids) if _CANONICAL.fullmatch(job_id)]


async def read_jobs(store: Store, rows: "Sequence[asyncpg.Record]") -> list[Job]:
    """The jobs of rows that begin with `SHOWN`."""
    known = [msgspec.convert(tuple(row)[:WIDTH], JobRow) for row in rows]
    await learn_lines(store, {number for row in known for number in (row.line_id, row.first_line_id)})
    return [read_job(row, store.kinds) for row in known]


async def learn_lines(store: Store, numbers: set[int]) -> None:
    """Look up the lines that are new to this process: they never change."""
    new = numbers - store.kinds.keys()
    if new:
        for number, queue, upstream, parents, type_ in await store.fetch(_LINES, list(new)):
            store.kinds[number] = (Lane(queue=queue, upstream=upstream, parents=read_tags(parents)), type_)


async def learn_terms(store: Store, numbers: set[int]) -> None:
    """The same for terms."""
    new = numbers - store.terms.keys()
    if new:
        for number, terms in await store.fetch(_TERMS, list(new)):
            store.terms[number] = terms
