"""What every test runs on: one event loop implementation, and how hard Hypothesis looks."""

import os

import pytest
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
