"""The client of the HTTP API, for programs in Python: blocking and async, the same calls under the same names.

What a call does is written once, as a plan without I/O (`steps`); `blocking` and `awaiting` carry plans out. The names
load when they are first used: `__init__.pyi` lists them for type checkers.
"""

from importlib import import_module

_PLACES = {
    "Artifact": "values",
    "AsyncClient": "async_client",
    "AsyncJobHandle": "async_client",
    "Client": "client",
    "JobDetails": "values",
    "JobEvent": "values",
    "JobHandle": "client",
    "JobItem": "values",
    "JobStatus": "values",
    "JobStep": "values",
    "JobTypeInfo": "values",
    "Overridden": "values",
    "Patience": "asking",
    "Progress": "values",
    "QueueInfo": "values",
    "Transition": "values",
    "Upload": "values",
    "UpstreamInfo": "values",
    "Usage": "values",
}

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


def __getattr__(name: str) -> object:
    """Import a public name from where it lives."""
    try:
        place = _PLACES[name]
    except KeyError:
        raise AttributeError(f"module 'tidegate.sdk' has no attribute {name!r}") from None
    return getattr(import_module(f"tidegate.sdk.{place}"), name)
