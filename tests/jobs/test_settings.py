"""From the environment to the models of the built-in job types."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tidegate.cli.serving import application
from tidegate.config import load
from tidegate.core.budget import Budget
from tidegate.core.job import Lane
from tidegate.core.rules import API, LLM, Rules
from tidegate.errors import ConfigError
from tidegate.jobs.calling import models_of
from tidegate.jobs.models import ModelSettings
from tidegate.llm import Prices

KNOWN = {
    "OPENROUTER_API_KEY": "sk-canary",
    "LLM_MODEL": "deepseek/deepseek-chat",
    "LLM_RETRY_ATTEMPTS": "3",
    "RETRY_INITIAL_DELAY": "0.25",
    "RETRY_FACTOR": "3",
    "RETRY_MAX_DELAY": "7",
    "LLM_CIRCUIT_THRESHOLD": "9",
    "LLM_CIRCUIT_WINDOW": "100",
    "LLM_CIRCUIT_COOLDOWN": "200",
}


@pytest.fixture(autouse=True)
def none_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENROUTER", "OPENAI", "TOGETHER", "DEEPSEEK", "GROQ", "LLM"):
        monkeypatch.delenv(f"{name}_API_KEY", raising=False)


def _rules(monkeypatch: pytest.MonkeyPatch, **told: str) -> tuple[dict[str, Rules], Lane]:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    served = application(load(engine="memory://"))
    rules = {name: known.rules for name, known in served.policies.upstreams.items()}
    return rules, served.registry.get("content.generate").lane


@pytest.mark.parametrize("prefix", ["", "TIDEGATE_"])
def test_the_names_that_teams_use_set_the_upstreams(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    rules, lane = _rules(monkeypatch, **{f"{prefix}{name}": value for name, value in KNOWN.items()})
    assert (lane.queue, lane.upstream) == ("content", "openrouter")
    assert (rules["openrouter"].name, rules["openrouter"].limit) == (API.name, 3)
    insights = rules["openrouter.insights"]
    assert insights.count is not None
    assert (insights.count.more_than, insights.count.within) == (8, timedelta(seconds=100))
    assert insights.open_time.first == insights.open_time.cap == timedelta(seconds=200)
    settings = load()
    assert (settings.llm_retry_attempts, settings.retry_factor) == (3, 3)
    assert (settings.retry_initial_delay, settings.retry_max_delay) == (timedelta(seconds=0.25), timedelta(seconds=7))


def test_a_fallback_model_has_an_upstream_of_its_own_and_jobs_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    rules, lane = _rules(monkeypatch, GROQ_API_KEY="sk", LLM_MODEL="a", TIDEGATE_LLM_FALLBACK_MODEL="b")
    assert rules.keys() == {"groq", "groq.insights", "groq.fallback"}
    assert rules["groq.insights"] == LLM
    assert lane == Lane(queue="content")


def test_budgets_hold_for_each_model_and_prices_make_costs_known(monkeypatch: pytest.MonkeyPatch) -> None:
    rules, _ = _rules(
        monkeypatch,
        GROQ_API_KEY="sk",
        LLM_MODEL="a",
        TIDEGATE_LLM_FALLBACK_MODEL="b",
        TIDEGATE_LLM_BUDGET="50",
        TIDEGATE_LLM_BUDGET_PER_USER="2.5",
        TIDEGATE_LLM_BUDGET_WINDOW="7d",
        TIDEGATE_LLM_PRICES='{"a": ["0.25", 2]}',
    )
    week = timedelta(weeks=1)
    for name in ("groq", "groq.fallback"):
        assert (rules[name].budget, rules[name].budget_per_user) == (Budget(50, week), Budget(2.5, week))
    assert (rules["groq.insights"].budget, rules["groq.insights"].budget_per_user) == (
        None,
        None,
    )  # its parent has them
    models = models_of(ModelSettings(environment=load().llm_environment, prices=load().llm_prices))
    assert models.providers[0].prices == {"a": Prices(input=Decimal("0.25"), output=Decimal(2))}


def test_without_a_budget_nothing_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    rules, _ = _rules(monkeypatch, GROQ_API_KEY="sk", LLM_MODEL="a")
    assert {(each.budget, each.budget_per_user) for each in rules.values()} == {(None, None)}


def test_without_a_model_nothing_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    rules, lane = _rules(monkeypatch, OPENAI_API_KEY="sk")
    assert (rules, lane) == ({}, Lane(queue="content"))


@pytest.mark.parametrize(
    ("told", "missing"),
    [
        ({}, "OPENROUTER_API_KEY (or another provider's key, or LLM_BASE_URL) and LLM_MODEL"),
        ({"GROQ_API_KEY": "sk"}, "LLM_MODEL"),
        ({"LLM_MODEL": "m", "LLM_API_KEY": "sk"}, "OPENROUTER_API_KEY (or another provider's key, or LLM_BASE_URL)"),
        ({"LLM_MODEL": "m", "LLM_BASE_URL": "http://127.0.0.1:1/v1"}, ""),
    ],
)
def test_what_is_missing_is_named(told: dict[str, str], missing: str) -> None:
    assert ModelSettings(environment=told).missing == missing


def test_an_address_that_cannot_work_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="address of local"):
        _rules(monkeypatch, LLM_MODEL="m", LLM_BASE_URL="http://user:secret@127.0.0.1/v1")


def test_no_key_is_shown() -> None:
    settings = ModelSettings(environment={"GROQ_API_KEY": "sk-canary", "LLM_MODEL": "m"})
    assert "sk-canary" not in f"{settings} {models_of(settings)}"
