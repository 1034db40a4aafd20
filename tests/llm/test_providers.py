"""Which provider a set of variables chooses."""

from datetime import timedelta

import pytest
from pydantic import SecretStr

from tests.llm.calls import KEY, PROMPT, provider
from tidegate.errors import ConfigError
from tidegate.llm import Deadlines, Form, Policy, Provider, from_environment, policy_from_environment, user
from tidegate.llm.providers import KNOWN

MODEL = {"LLM_MODEL": "m"}


@pytest.mark.parametrize("name", KNOWN)
def test_a_key_chooses_its_provider(name: str) -> None:
    found = from_environment({KNOWN[name].key: KEY, **MODEL})
    assert (found.name, found.upstream, found.url) == (name, name, f"{KNOWN[name].base_url}/chat/completions")
    assert found.api_key == SecretStr(KEY)


def test_the_first_key_in_order_wins_and_a_name_beats_it() -> None:
    keys = {"DEEPSEEK_API_KEY": "d", "OPENROUTER_API_KEY": "o", **MODEL}
    assert from_environment(keys).name == "openrouter"
    found = from_environment(keys, "deepseek")
    assert (found.name, found.form) == ("deepseek", Form.OBJECT)


def test_an_address_chooses_the_provider_that_lives_there() -> None:
    both = {"LLM_BASE_URL": "https://api.deepseek.com", "OPENROUTER_API_KEY": "o", "DEEPSEEK_API_KEY": "d", **MODEL}
    found = from_environment(both)
    assert (found.name, found.url) == ("deepseek", "https://api.deepseek.com/chat/completions")


def test_a_proxy_gets_the_key_of_its_provider() -> None:
    found = from_environment({"LLM_BASE_URL": "https://proxy.example/v1/", "OPENROUTER_API_KEY": KEY, **MODEL})
    assert (found.name, found.url) == ("openrouter", "https://proxy.example/v1/chat/completions")


def test_no_providers_key_goes_out_in_the_clear_unasked() -> None:
    found = from_environment({"LLM_BASE_URL": "http://127.0.0.1:11434/v1", "OPENROUTER_API_KEY": KEY, **MODEL})
    assert (found.name, found.api_key) == ("local", None)
    found = from_environment({"LLM_BASE_URL": "http://127.0.0.1:11434/v1", "LLM_API_KEY": KEY, **MODEL})
    assert found.api_key == SecretStr(KEY)


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        (MODEL, ""),
        (MODEL, "openai"),
        (MODEL, "nobody"),
        ({"OPENAI_API_KEY": KEY}, ""),
        ({"OPENAI_API_KEY": f"{KEY}\n{KEY}", **MODEL}, ""),
        ({"LLM_BASE_URL": "ftp://127.0.0.1", **MODEL}, ""),
        ({"LLM_BASE_URL": f"https://user:{KEY}@proxy.example/v1", **MODEL}, ""),
        ({"LLM_BASE_URL": "https:///v1", **MODEL}, ""),
        ({"LLM_BASE_URL": f"https://proxy.example/v1?key={KEY}", **MODEL}, ""),
    ],
)
def test_what_is_missing_or_odd_is_said_at_once_and_without_the_key(environment: dict[str, str], name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        from_environment(environment, name)
    assert KEY not in str(raised.value)


def test_the_number_of_tries_is_a_setting() -> None:
    assert policy_from_environment({}).tries == 2
    assert policy_from_environment({"LLM_RETRY_ATTEMPTS": "3"}).tries == 3
    for wrong in ("0", "eleven", "11", "-1", "1000000"):
        with pytest.raises(ConfigError):
            policy_from_environment({"LLM_RETRY_ATTEMPTS": wrong})


def test_policies_and_deadlines_are_checked() -> None:
    with pytest.raises(ConfigError):
        Policy(tries=0)
    with pytest.raises(ConfigError):
        Deadlines(idle=timedelta(0))


def test_no_value_shows_a_key_or_a_prompt() -> None:
    shown = repr([provider("https://a.example/v1"), user(PROMPT), Provider(
        name="x", model="m", base_url="https://a.example", headers={"x-key": KEY}, extra={"user": PROMPT}
    )])  # fmt: skip
    assert KEY not in shown
    assert PROMPT not in shown


@pytest.mark.parametrize("name", ["", "Open Router", "meta-llama/llama", "x" * 129])
def test_an_upstream_has_a_name_that_lanes_take(name: str) -> None:
    with pytest.raises(ConfigError):
        Provider(name=name, model="m", base_url="https://a.example")
    with pytest.raises(ConfigError):
        Provider(name="x", model="m", base_url="https://a.example", parents=(name,))
