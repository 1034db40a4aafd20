"""Settings: the only reader of the environment; docs/reference/settings.md lists every `TIDEGATE_<NAME>`."""

import os
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, SecretStr, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from tidegate.core.text import plainly
from tidegate.errors import ConfigError

SHORTEST_KEY = 20
"""Characters of an administrators' key."""

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(value: object) -> object:
    """Read "30s", "5m", "24h" or plain seconds."""
    if not isinstance(value, str):
        return timedelta(seconds=value) if isinstance(value, int | float) else value
    text = value.strip()
    for unit in sorted(_UNITS, key=len, reverse=True):
        number = text.removesuffix(unit)
        if number != text or unit == "s":
            try:
                return timedelta(seconds=float(number) * _UNITS[unit])
            except (ValueError, OverflowError):
                continue
    raise ValueError(f"{value!r} is no duration: write 30s, 5m, 24h or a number of seconds")


def _listed(value: object) -> object:
    """Read what is written with commas."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _long(key: SecretStr) -> SecretStr:
    """Refuse a key that could be guessed."""
    if len(key.get_secret_value()) < SHORTEST_KEY:
        raise ValueError(
            f"it has {len(key.get_secret_value())} characters and needs at least {SHORTEST_KEY}: make one with "
            "`python3 -c 'import secrets; print(secrets.token_urlsafe(32))'`"
        )
    return key


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(0))]


_ORIGIN = r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?"
Origin = Annotated[str, StringConstraints(pattern=rf"^(\*|{_ORIGIN})$")]


def _names(*others: str) -> AliasChoices:
    return AliasChoices(*others)


class Settings(BaseSettings):
    """What a process is told at its start. Unknown names given as arguments are errors."""

    model_config = SettingsConfigDict(
        env_prefix="TIDEGATE_", frozen=True, extra="forbid", populate_by_name=True, hide_input_in_errors=True
    )

    data_dir: Path = Field(Path("tidegate-data"), description="Folder of the embedded store and local artifacts.")
    engine: str = Field(
        "",
        validation_alias=_names("TIDEGATE_ENGINE", "REDIS_URL", "DATABASE_URL"),
        description="Engine URL: sqlite, redis, rediss, unix, postgresql, memory; empty is SQLite in the data folder.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    metrics_host: str = Field("127.0.0.1", description="Address at which `tidegate worker` tells its metrics.")
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="Port for that; 0 picks a free one; unset: it tells none."
    )
    auth: Literal["keys", "none"] = Field(
        "keys", description="`keys`: as soon as there is an API key, requests need one. `none`: somebody else checks."
    )
    auth_role: Literal["reader", "writer", "operator", "admin"] = Field(
        "admin", description="What everybody may do where `TIDEGATE_AUTH` is `none`: a role, as API keys have them."
    )
    admin_key: Annotated[SecretStr, AfterValidator(_long)] | None = Field(
        None, description="An API key for administrators, to make others with; at least 20 characters."
    )
    app: str = Field("", description="`module:attribute` of the Tidegate application to serve; empty: built-in types.")

    slots: int = Field(10, ge=1, le=10_000, description="Jobs that a worker runs at a time.")
    queues: dict[str, int] = Field(
        default_factory=lambda: {"high": 6, "default": 3, "content": 3, "low": 1},
        description="Queues served, with their weights.",
    )
    lease: Duration = Field(
        timedelta(seconds=15), ge=timedelta(seconds=1), description="How long a lease lasts without renewal."
    )
    poll: Duration = Field(
        timedelta(seconds=1),
        ge=timedelta(milliseconds=10),
        description="How long an idle worker rests before it asks again, or up to half as long again.",
    )
    grace: Duration = Field(timedelta(seconds=30), description="Time that running jobs get at a stop.")
    job_timeout: Duration = Field(
        timedelta(seconds=600),
        validation_alias=_names("TIDEGATE_JOB_TIMEOUT", "JOB_TIMEOUT_SECONDS"),
        description="Longest run of the built-in job types.",
    )

    artifacts: str = Field("", description="Where artifacts go: a folder or s3://bucket/prefix; empty: data folder.")
    s3_endpoint: str | None = Field(None, description="Endpoint of an S3-compatible store.")
    s3_region: str = Field("us-east-1", description="Region of the bucket.")
    s3_access_key: SecretStr | None = Field(None, description="Access key of the bucket.")
    s3_secret_key: SecretStr | None = Field(None, description="Secret key of the bucket.")

    upload_limit: int = Field(20 * 1024 * 1024, ge=1, description="Bytes of an uploaded file.")
    upload_kept: Duration = Field(timedelta(hours=24), description="How long an uploaded file is kept.")
    limit_user_per_hour: int = Field(60, ge=0, description="Jobs that a user may submit per hour; 0: no limit.")
    limit_ip_per_minute: int = Field(
        60,
        ge=0,
        validation_alias=_names("TIDEGATE_LIMIT_IP_PER_MINUTE", "RATE_LIMIT_MAX"),
        description="POSTs that an address may make per minute, or per window if one is set; 0: no limit.",
    )
    limit_ip_window: Duration = Field(
        timedelta(seconds=60),
        ge=timedelta(seconds=1),
        validation_alias=_names("TIDEGATE_LIMIT_IP_WINDOW", "RATE_LIMIT_WINDOW"),
        description="The window in which an address's POSTs are counted.",
    )
    limit_bulk_per_user: int = Field(
        1, ge=0, description="Bulk actions of a user that run at once, the others wait their turn; 0: no limit."
    )
    limit_streams_per_user: int = Field(
        20, ge=0, description="Streams of events that a user may have open at a server; 0: no limit."
    )
    limit_streams_per_address: int = Field(
        100, ge=0, description="Streams of events that an address may have open at a server; 0: no limit."
    )
    limit_streams: int = Field(1_000, ge=0, description="Streams of events that a server has open; 0: no limit.")
    limit_waits_per_user: int = Field(
        100, ge=0, description="Long polls that a user may have under way at a server; 0: no limit."
    )
    limit_waits_per_address: int = Field(
        200, ge=0, description="Long polls that an address may have under way at a server; 0: no limit."
    )
    limit_waits: int = Field(1_000, ge=0, description="Long polls that a server has under way; 0: no limit.")

    http_receive_timeout: Duration = Field(
        timedelta(seconds=10),
        ge=timedelta(milliseconds=100),
        description="How long a request's headers may take, its JSON, or each 128 KiB of an upload.",
    )
    http_keep_alive: Duration = Field(
        timedelta(seconds=30), ge=timedelta(seconds=1), description="How long a connection may rest between requests."
    )
    http_requests: int = Field(2_000, ge=0, description="Requests answered at a time, others get 503; 0: no limit.")
    cors_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="Origins whose pages may call the API, with commas between; `*`: any, without credentials."
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (),
        description="Addresses or networks of proxies whose X-Forwarded-For and -Proto count, with commas between.",
    )
    hsts: Duration = Field(
        timedelta(0), description="How long browsers shall come by TLS only; 0s: not said. Set it where all is TLS."
    )

    llm_model: str = Field(
        "",
        validation_alias=_names("TIDEGATE_LLM_MODEL", "LLM_MODEL"),
        description="Model of the built-in job types, as its provider calls it; empty: none.",
    )
    llm_fallback_model: str = Field(
        "", description="Another model of the same provider, asked where the first can't be."
    )
    llm_base_url: str = Field(
        "",
        validation_alias=_names("TIDEGATE_LLM_BASE_URL", "LLM_BASE_URL"),
        description="Address of a proxy or a local server; empty: the provider's own.",
    )
    llm_api_key: SecretStr | None = Field(
        None,
        validation_alias=_names("TIDEGATE_LLM_API_KEY", "LLM_API_KEY"),
        description="Key of a local server, if it wants one.",
    )
    openrouter_api_key: SecretStr | None = Field(
        None,
        validation_alias=_names("TIDEGATE_OPENROUTER_API_KEY", "OPENROUTER_API_KEY"),
        description="Key at OpenRouter. The first provider with a key is called, in the order of this table.",
    )
    openai_api_key: SecretStr | None = Field(
        None, validation_alias=_names("TIDEGATE_OPENAI_API_KEY", "OPENAI_API_KEY"), description="Key at OpenAI."
    )
    together_api_key: SecretStr | None = Field(
        None,
        validation_alias=_names("TIDEGATE_TOGETHER_API_KEY", "TOGETHER_API_KEY"),
        description="Key at Together AI.",
    )
    deepseek_api_key: SecretStr | None = Field(
        None, validation_alias=_names("TIDEGATE_DEEPSEEK_API_KEY", "DEEPSEEK_API_KEY"), description="Key at DeepSeek."
    )
    groq_api_key: SecretStr | None = Field(
        None, validation_alias=_names("TIDEGATE_GROQ_API_KEY", "GROQ_API_KEY"), description="Key at Groq."
    )
    llm_limit: int = Field(3, ge=1, le=10_000, description="Jobs that call the model at once, in the whole fleet.")
    llm_budget: Decimal = Field(
        Decimal(0), ge=0, description="US dollars that calls to each model may cost in a window; 0: no limit."
    )
    llm_budget_per_user: Decimal = Field(
        Decimal(0), ge=0, description="US dollars of these that calls for one user's jobs may cost; 0: no limit."
    )
    llm_budget_window: Duration = Field(
        timedelta(days=1), ge=timedelta(seconds=1), description="How long a window is; days begin at midnight UTC."
    )
    llm_prices: dict[str, tuple[Decimal, Decimal]] = Field(
        default_factory=dict,
        description='Prices by model, where its provider tells no cost: `{"model": ["0.27", "1.10"]}`, US dollars '
        "per million tokens of input and output.",
    )
    llm_timeout: Duration = Field(
        timedelta(seconds=120),
        ge=timedelta(seconds=1),
        description="Longest call to a model, with its tries and waits.",
    )
    llm_retry_attempts: int = Field(
        2,
        ge=1,
        le=10,
        validation_alias=_names("TIDEGATE_LLM_RETRY_ATTEMPTS", "LLM_RETRY_ATTEMPTS"),
        description="Tries of a call to a model.",
    )
    retry_initial_delay: Duration = Field(
        timedelta(seconds=0.5),
        gt=timedelta(0),
        validation_alias=_names("TIDEGATE_RETRY_INITIAL_DELAY", "RETRY_INITIAL_DELAY"),
        description="Wait before the second try of a call to a model.",
    )
    retry_factor: float = Field(
        2.0,
        ge=1,
        le=1_000,
        validation_alias=_names("TIDEGATE_RETRY_FACTOR", "RETRY_FACTOR"),
        description="How much longer each further wait is.",
    )
    retry_max_delay: Duration = Field(
        timedelta(seconds=10),
        gt=timedelta(0),
        validation_alias=_names("TIDEGATE_RETRY_MAX_DELAY", "RETRY_MAX_DELAY"),
        description="The longest of these waits.",
    )
    llm_circuit_threshold: int = Field(
        5,
        ge=1,
        le=64,
        validation_alias=_names("TIDEGATE_LLM_CIRCUIT_THRESHOLD", "LLM_CIRCUIT_THRESHOLD"),
        description="Faults after which analyses do without the model for a while.",
    )
    llm_circuit_window: Duration = Field(
        timedelta(seconds=300),
        gt=timedelta(0),
        validation_alias=_names("TIDEGATE_LLM_CIRCUIT_WINDOW", "LLM_CIRCUIT_WINDOW"),
        description="The window in which these are counted.",
    )
    llm_circuit_cooldown: Duration = Field(
        timedelta(seconds=600),
        gt=timedelta(0),
        validation_alias=_names("TIDEGATE_LLM_CIRCUIT_COOLDOWN", "LLM_CIRCUIT_COOLDOWN"),
        description="How long that while is.",
    )

    webhook_http: bool = Field(False, description="Webhooks may be `http:` too, not only `https:`; for development.")
    webhook_networks: str = Field(
        "", description="Networks that are not public and may be sent webhooks: `10.1.0.0/16,fd12:3456::/32`."
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe line logged.")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto: console on a terminal.")
    sentry_dsn: SecretStr | None = Field(
        None, validation_alias=_names("TIDEGATE_SENTRY_DSN", "SENTRY_DSN"), description="Where Sentry events go."
    )
    environment: str = Field("production", description="Name of this deployment, for Sentry.")

    @property
    def engine_url(self) -> str:
        """The engine's URL, with the default filled in."""
        return self.engine or f"sqlite:///{(self.data_dir / 'tidegate.db').absolute()}"

    @property
    def engine_from(self) -> str:
        """The variable that names the engine: ours, or the one that a platform set for many programs."""
        names = ("TIDEGATE_ENGINE", "REDIS_URL", "DATABASE_URL")
        found = next((name for name in names if self.engine and os.environ.get(name) == self.engine), names[0])
        return found if found == names[0] else f"{names[0]} (from {found})"

    @property
    def llm_environment(self) -> dict[str, str]:
        """Model, address and keys, under the names that `tidegate.llm.from_environment` reads."""
        names = ("openrouter_api_key", "openai_api_key", "together_api_key", "deepseek_api_key", "groq_api_key")
        keys: dict[str, SecretStr | None] = {name.upper(): getattr(self, name) for name in (*names, "llm_api_key")}
        told = {name: key.get_secret_value() for name, key in keys.items() if key is not None}
        return {**told, "LLM_MODEL": self.llm_model, "LLM_BASE_URL": self.llm_base_url}

    @property
    def artifacts_url(self) -> str:
        """The artifact store's URL, with the default filled in."""
        return self.artifacts or str((self.data_dir / "artifacts").absolute())


_FORMS = {"queues": '{"high": 6, "default": 3}', "llm_prices": '{"model": ["0.27", "1.10"]}'}
"""What settings look like that are read as JSON."""


def load(**given: object) -> Settings:
    """The settings from arguments, then the environment, then the defaults; raises ConfigError naming each fault."""
    make: Callable[..., Settings] = Settings
    try:
        return make(**given)
    except ValidationError as exc:
        raise ConfigError("; ".join(_fault(str(e["loc"][0]), e["msg"]) for e in exc.errors(include_url=False))) from exc
    except SettingsError as exc:
        raise ConfigError(_no_json(str(exc))) from exc


def _no_json(message: str) -> str:
    """What to say where a setting is no JSON, by the message that quotes its field's name."""
    name = next((name for name in _FORMS if f'"{name}"' in message), None)
    if name is None:
        return f"{message}: give JSON"
    variable = f"TIDEGATE_{name.upper()}"
    return f"{variable}: give JSON, as in {variable}='{_FORMS[name]}'"


def _fault(name: str, message: str) -> str:
    """One wrong setting, by the name it has in the environment."""
    variable = name if name.isupper() else f"TIDEGATE_{name.upper()}"
    return f"{variable}: {plainly(message)}"
