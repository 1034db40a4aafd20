"""The public names, for type checkers; `__init__.py` loads them when they are used."""

from tidegate.app import JobFunction as JobFunction
from tidegate.app import JobHandle as JobHandle
from tidegate.app import Tidegate as Tidegate
from tidegate.config import Settings as Settings
from tidegate.config import load as load
from tidegate.context import Context as Context
from tidegate.context import LocalFile as LocalFile
from tidegate.context import Result as Result
from tidegate.core.budget import Budget as Budget
from tidegate.core.job import Job as Job
from tidegate.core.job import Lane as Lane
from tidegate.core.job import Phase as Phase
from tidegate.core.job import Retention as Retention
from tidegate.core.job import Status as Status
from tidegate.core.query import JobQuery as JobQuery
from tidegate.core.retry import Exponential as Exponential
from tidegate.core.retry import RetryPolicy as RetryPolicy
from tidegate.core.retry import Rule as Rule
from tidegate.core.retry import Steps as Steps
from tidegate.core.rules import Rules as Rules
from tidegate.core.upstream import Override as Override
from tidegate.errors import Abandoned as Abandoned
from tidegate.errors import Defer as Defer
from tidegate.errors import GiveUp as GiveUp
from tidegate.errors import JobCancelled as JobCancelled
from tidegate.errors import JobFailed as JobFailed
from tidegate.errors import ResultTimeout as ResultTimeout
from tidegate.errors import RetryLater as RetryLater
from tidegate.errors import TidegateError as TidegateError
from tidegate.errors import UpstreamUnavailable as UpstreamUnavailable
from tidegate.requests import JobRequest as JobRequest

__all__ = [
    "Abandoned",
    "Budget",
    "Context",
    "Defer",
    "Exponential",
    "GiveUp",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobFunction",
    "JobHandle",
    "JobQuery",
    "JobRequest",
    "Lane",
    "LocalFile",
    "Override",
    "Phase",
    "Result",
    "ResultTimeout",
    "Retention",
    "RetryLater",
    "RetryPolicy",
    "Rule",
    "Rules",
    "Settings",
    "Status",
    "Steps",
    "Tidegate",
    "TidegateError",
    "UpstreamUnavailable",
    "load",
]
