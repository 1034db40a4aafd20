"""reclaim: take over leases that nobody keeps."""

import json
from collections.abc import Sequence
from typing import Final

import msgspec

from tidegate.core.job import Lease, Owner, Status, Token
from tidegate.core.query import Event
from tidegate.core.verbs import Reason, Reclaimed, ReclaimRequest
from tidegate.engines.sql.codec import JOB_COLUMNS, JobRow, instant, micros, read_job
from tidegate.engines.sql.sqlite import records
from tidegate.engines.sql.sqlite.records import Journal
from tidegate.engines.sql.sqlite.session import Session, numbers

_HELD: Final = """
SELECT json_group_array(json_array(seq, why)) FROM (
    SELECT leases.seq AS seq, CASE
        WHEN leases.reason = 'waited' THEN 'waited'
        WHEN jobs.timeout_at + ? <= ? THEN 'overdue'
        ELSE 'expired' END AS why
    FROM leases CROSS JOIN jobs ON jobs.seq = leases.seq
)
"""
