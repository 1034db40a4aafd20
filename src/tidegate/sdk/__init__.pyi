"""The public names, for type checkers; `__init__.py` loads them when they are used."""

from tidegate.sdk.asking import Patience as Patience
from tidegate.sdk.async_client import AsyncClient as AsyncClient
from tidegate.sdk.async_client import AsyncJobHandle as AsyncJobHandle
from tidegate.sdk.client import Client as Client
from tidegate.sdk.client import JobHandle as JobHandle
from tidegate.sdk.values import Artifact as Artifact
from tidegate.sdk.values import JobDetails as JobDetails
from tidegate.sdk.values import JobEvent as JobEvent
from tidegate.sdk.values import JobItem as JobItem
from tidegate.sdk.values import JobStatus as JobStatus
from tidegate.sdk.values import JobStep as JobStep
from tidegate.sdk.values import JobTypeInfo as JobTypeInfo
from tidegate.sdk.values import Overridden as Overridden
from tidegate.sdk.values import Progress as Progress
from tidegate.sdk.values import QueueInfo as QueueInfo
from tidegate.sdk.values import Transition as Transition
from tidegate.sdk.values import Upload as Upload
from tidegate.sdk.values import UpstreamInfo as UpstreamInfo
from tidegate.sdk.values import Usage as Usage

__all__ = [
    "Artifact",
    "AsyncClient",
    "AsyncJobHandle",
    "Client",
    "JobDetails",
    "JobEvent",
    "JobHandle",
    "JobItem",
    "JobStatus",
    "JobStep",
    "JobTypeInfo",
    "Overridden",
    "Patience",
    "Progress",
    "QueueInfo",
    "Transition",
    "Upload",
    "UpstreamInfo",
    "Usage",
]
