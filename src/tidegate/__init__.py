"""Tidegate: background jobs for handlers that call things that fail.

The public names load when they are first used: `__init__.pyi` lists them for type checkers.
"""

from importlib import import_module

_PLACES = {
    "Abandoned": "errors",
    "Budget": "core.budget",
    "Context": "context",
    "Defer": "errors",
    "Exponential": "core.retry",
    "GiveUp": "errors",
    "Job": "core.job",
    "JobCancelled": "errors",
    "JobFailed": "errors",
    "JobFunction": "app",
    "JobHandle": "app",
    "JobQuery": "core.query",
    "JobRequest": "requests",
    "Lane": "core.job",
    "LocalFile": "context",
    "Override": "core.upstream",
    "Phase": "core.job",
    "Result": "context",
    "ResultTimeout": "errors",
    "Retention": "core.job",
    "RetryLater": "errors",
    "RetryPolicy": "core.retry",
    "Rule": "core.retry",
    "Rules": "core.rules",
    "Settings": "config",
    "Status": "core.job",
    "Steps": "core.retry",
    "Tidegate": "app",
    "TidegateError": "errors",
    "UpstreamUnavailable": "errors",
    "load": "config",
}

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


def __getattr__(name: str) -> object:
    """Import a public name from where it lives."""
    try:
        place = _PLACES[name]
    except KeyError:
        raise AttributeError(f"module 'tidegate' has no attribute {name!r}") from None
    return getattr(import_module(f"tidegate.{place}"), name)
