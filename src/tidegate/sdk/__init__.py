"""The client of the HTTP API, for programs in Python: blocking and async, the same calls under the same names.

What a call does is written once, as a coroutine over a `Line` (`exchange`); the blocking client finishes it on the
spot, the other one awaits it (`lines`, `resources`).
"""

from tidegate.core.queue_circuit import QueueCircuit
from tidegate.sdk.asking import Patience
from tidegate.sdk.bulk import BulkResult, Matches, NotDone
from tidegate.sdk.client import AsyncClient, AsyncJobHandle, Client, JobHandle
from tidegate.sdk.keys import KeyInfo, NewKey
from tidegate.sdk.queues import Held, QueueInfo
from tidegate.sdk.schedules import ScheduleDetails, ScheduleInfo
from tidegate.sdk.upstreams import Budgeted, BudgetedPerUser, Overridden, Transition, UpstreamInfo
from tidegate.sdk.values import (
    Artifact,
    Attempt,
    Caller,
    Counts,
    FeedEvent,
    FeedReset,
    JobDetails,
    JobEvent,
    JobItem,
    JobStatus,
    JobStep,
    JobTypeInfo,
    Progress,
    Readiness,
    ServerInfo,
    Upload,
    Usage,
    WorkerInfo,
)
from tidegate.sdk.webhooks import NewWebhook, WebhookInfo

__all__ = [
    "Artifact",
    "AsyncClient",
    "AsyncJobHandle",
    "Attempt",
    "Budgeted",
    "BudgetedPerUser",
    "BulkResult",
    "Caller",
    "Client",
    "Counts",
    "FeedEvent",
    "FeedReset",
    "Held",
    "JobDetails",
    "JobEvent",
    "JobHandle",
    "JobItem",
    "JobStatus",
    "JobStep",
    "JobTypeInfo",
    "KeyInfo",
    "Matches",
    "NewKey",
    "NewWebhook",
    "NotDone",
    "Overridden",
    "Patience",
    "Progress",
    "QueueCircuit",
    "QueueInfo",
    "Readiness",
    "ScheduleDetails",
    "ScheduleInfo",
    "ServerInfo",
    "Transition",
    "Upload",
    "UpstreamInfo",
    "Usage",
    "WebhookInfo",
    "WorkerInfo",
]
