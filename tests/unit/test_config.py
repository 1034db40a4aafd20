"""What the environment says, and what it must not say."""

import subprocess
import sys
import traceback
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


def test_a_short_administrators_key_is_told_how_long_it_must_be_and_how_to_make_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TIDEGATE_ADMIN_KEY", "hunter2hunter2hunte")
    with pytest.raises(ConfigError) as refused:
        load()
    told = str(refused.value)
    assert told.startswith("TIDEGATE_ADMIN_KEY: it has 19 characters and needs at least 20: make one with")
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))
    code = told.partition("python3 -c '")[2].partition("'")[0]
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    monkeypatch.setenv("TIDEGATE_ADMIN_KEY", made.stdout.strip())
    assert load().admin_key is not None


@pytest.mark.parametrize("name", ["TIDEGATE_QUEUES", "TIDEGATE_LLM_PRICES"])
def test_a_setting_that_is_no_json_is_named_and_shown_in_a_form_that_is_taken(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "gpt=1")
    with pytest.raises(ConfigError) as refused:
        load()
    told = str(refused.value)
    assert told.startswith(f"{name}: give JSON, as in {name}='")
    assert "gpt" not in told
    monkeypatch.setenv(name, told.partition("='")[2].removesuffix("'"))
    load()
