"""The job types that come with Tidegate, as an application serves them. Their libraries load when a job runs."""

from datetime import timedelta

from tidegate.handlers import JobOptions, Registry
from tidegate.jobs.analysis.job import analysis
from tidegate.jobs.content.payload import Unconfigured
from tidegate.jobs.models import CONTENT_QUEUE, ModelSettings
from tidegate.upstreams import Policies

ANALYSIS = "analysis"
CONTENT = "content.generate"


def register(registry: Registry, policies: Policies, *, timeout: timedelta, models: ModelSettings) -> Policies:
    """Add every built-in job type to `registry`; the policies with their upstreams. Raises ConfigError.

    Without a model `content.generate` is there all the same: another process may have one.
    """
    analysed: JobOptions = {"files": ("file",), "timeout": timeout}
    generated: JobOptions = {"queue": CONTENT_QUEUE, "timeout": timeout}
    if models.missing:
        registry.add(ANALYSIS, analysis, {**analysed, "cpu": True})
        registry.add(CONTENT, Unconfigured(models.missing).generate, generated)
        return policies
    from tidegate.jobs.analysis.analyst import Analyst
    from tidegate.jobs.calling import Connections, declared_by, models_of
    from tidegate.jobs.content.generate import Generator

    known, connections = models_of(models), Connections()
    analyst = Analyst(known.with_fallback(), connections, timeout)
    registry.add(ANALYSIS, analyst.analysis, analysed)
    generated |= {"upstream": known.upstream, "when_open_run": "fallback" if models.fallback else "wait"}
    registry.add(CONTENT, Generator(known, connections).generate, generated)
    return declared_by(known, models, policies)
