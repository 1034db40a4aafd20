"""What every test runs on: one event loop implementation, logging as it was, and how hard Hypothesis looks."""

import logging
import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

# No deadline and no "too slow": on two busy cores any example is slow now and then, whatever the code.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", _PATIENT)
settings.register_profile("ci", _PATIENT, derandomize=True)
settings.register_profile("thorough", _PATIENT, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "fast"))


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The loop that the service itself runs on; one for the session, so that its fixtures can share it."""
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(autouse=True)
def _logging_restored() -> Iterator[None]:
    """Whoever opens a system sends this process's lines somewhere; no later test may find them there."""
    root = logging.getLogger()
    handlers, level, config = list(root.handlers), root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)
