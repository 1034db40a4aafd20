"""The public names, for type checkers; `__init__.py` loads them when they are used."""

from tidegate.app import JobFunction as JobFunction, JobHandle as JobHandle, Tidegate as Tidegate
from tidegate.config import Settings as Settings, load as load
from tidegate.context import Context as Context, LocalFile as LocalFile, Result as Result
from tidegate.core.job import Job as Job, Lane as Lane, Phase as Phase, Retention as Retention, Status as Status
from tidegate.core.query import JobQuery as JobQuery
from tidegate.core.retry import Exponential as Exponential, RetryPolicy as RetryPolicy, Rule as Rule, Steps as Steps
from tidegate.errors import (
    Abandoned as Abandoned,
    GiveUp as GiveUp,
    JobCancelled as JobCancelled,
    JobFailed as JobFailed,
    ResultTimeout as ResultTimeout,
    RetryLater as RetryLater,
    TidegateError as TidegateError,
)

__all__ = [
    "Abandoned",
    "Context",
    "Exponential",
    "GiveUp",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobFunction",
    "JobHandle",
    "JobQuery",
    "Lane",
    "LocalFile",
    "Phase",
    "Result",
    "ResultTimeout",
    "Retention",
    "RetryLater",
    "RetryPolicy",
    "Rule",
    "Settings",
    "Status",
    "Steps",
    "Tidegate",
    "TidegateError",
    "load",
]
