"""What the environment says, and what it must not say."""

from datetime import timedelta

import pytest

from tidegate.config import load
from tidegate.errors import ConfigError


def test_names_that_teams_already_use_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE_LIMIT_MAX", "7")
    monkeypatch.setenv("RATE_LIMIT_WINDOW", "30")
    monkeypatch.setenv("JOB_TIMEOUT_SECONDS", "90")
    settings = load()
    assert (settings.limit_ip_per_minute, settings.limit_ip_window) == (7, timedelta(seconds=30))
    assert settings.job_timeout == timedelta(seconds=90)


def test_our_own_name_wins_over_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE_LIMIT_MAX", "7")
    monkeypatch.setenv("TIDEGATE_LIMIT_IP_PER_MINUTE", "8")
    assert load().limit_ip_per_minute == 8


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIDEGATE_LEASE", "0"),
        ("TIDEGATE_LEASE", "soon"),
        ("TIDEGATE_POLL", "0"),
        ("TIDEGATE_SLOTS", "0"),
        ("TIDEGATE_LIMIT_IP_WINDOW", "0"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as refused:
        load()
    assert name in str(refused.value)


def test_the_store_is_found_under_the_names_that_platforms_give_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost/jobs")
    assert load().engine_url == "postgresql://localhost/jobs"
    monkeypatch.setenv("REDIS_URL", "redis://localhost")
    assert load().engine_url == "redis://localhost"
    monkeypatch.setenv("TIDEGATE_ENGINE", "sqlite:////tmp/jobs.db")
    assert load().engine_url == "sqlite:////tmp/jobs.db"
