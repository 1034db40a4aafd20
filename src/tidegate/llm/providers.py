"""Providers by name: where each is, which variable holds its key, and what is odd about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from tidegate.errors import ConfigError
from tidegate.llm.values import Form, Policy, Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What there is to know of a provider before a model is chosen."""

    base_url: str
    key: str
    form: Form = Form.SCHEMA
    limit_field: str = "max_tokens"
    extra: Mapping[str, object] = field(default_factory=dict)


KNOWN: Final[Mapping[str, Known]] = {
    "openrouter": Known(
        base_url="https://openrouter.ai/api/v1",
        key="OPENROUTER_API_KEY",
        extra={"usage": {"include": True}},  # without it, no cost
    ),
    "openai": Known(base_url="https://api.openai.com/v1", key="OPENAI_API_KEY", limit_field="max_completion_tokens"),
    "together": Known(base_url="https://api.together.xyz/v1", key="TOGETHER_API_KEY"),
    "deepseek": Known(base_url="https://api.deepseek.com/v1", key="DEEPSEEK_API_KEY", form=Form.OBJECT),
    "groq": Known(base_url="https://api.groq.com/openai/v1", key="GROQ_API_KEY"),
}
LOCAL: Final = "local"
_LOCAL: Final = Known(base_url="", key="LLM_API_KEY")


def from_environment(environment: Mapping[str, str], name: str = "") -> Provider:
    """The provider that these variables choose.

    It is the one named; else the one that LLM_BASE_URL is the address of; else the first in `KNOWN` with a key;
    else, or where LLM_BASE_URL is not encrypted, a "local" one, whose key LLM_API_KEY may be absent. LLM_BASE_URL
    replaces a provider's address (a proxy then gets its key), LLM_MODEL names the model. Raises ConfigError.
    """
    address = environment.get("LLM_BASE_URL", "").strip()
    plain = LOCAL if address.lower().startswith("http://") else ""  # no provider's key goes out in the clear
    chosen = name or _by_address(address) or plain or _by_key(environment) or (LOCAL if address else "")
    if chosen not in {*KNOWN, LOCAL}:
        raise ConfigError(f"{chosen or 'no'} provider is known: set LLM_BASE_URL, or one of {_keys()}")
    known = KNOWN.get(chosen, _LOCAL)
    key = environment.get(known.key, "").strip()
    if not key and chosen != LOCAL:
        raise ConfigError(f"{known.key} is not set")
    return Provider(
        name=chosen,
        model=environment.get("LLM_MODEL", "").strip(),
        base_url=address or known.base_url,
        api_key=SecretStr(key) if key else None,
        form=known.form,
        limit_field=known.limit_field,
        extra=known.extra,
    )


def policy_from_environment(environment: Mapping[str, str]) -> Policy:
    """The policy with as many tries as LLM_RETRY_ATTEMPTS says; raises ConfigError."""
    said = environment.get("LLM_RETRY_ATTEMPTS", "").strip()
    if not said:
        return Policy()
    if not (said.isascii() and said.isdigit() and len(said) <= 3):
        raise ConfigError(f"LLM_RETRY_ATTEMPTS must be a number of tries, not {said!r}")
    return Policy(tries=int(said))


def _by_address(address: str) -> str:
    host = urlsplit(address).hostname
    return next((name for name, known in KNOWN.items() if host and urlsplit(known.base_url).hostname == host), "")


def _by_key(environment: Mapping[str, str]) -> str:
    return next((name for name, known in KNOWN.items() if environment.get(known.key, "").strip()), "")


def _keys() -> str:
    return ", ".join(known.key for known in KNOWN.values())
