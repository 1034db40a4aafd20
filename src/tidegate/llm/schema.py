"""Answers in JSON: how a schema is asked for, and whether an answer keeps to it."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final, Generic, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from tidegate.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
Parsed_co = TypeVar("Parsed_co", covariant=True)

_FENCE: Final = "```"
_AS_IS: Final = frozenset({"properties", "enum", "const"})
_NAME: Final = re.compile(r"[^A-Za-z0-9_-]+")


class Wanted(ABC, Generic[Parsed_co]):
    """A form that answers must have: its name, its JSON Schema, and how to read one."""

    name: str
    schema: Mapping[str, object]

    @abstractmethod
    def read(self, text: str) -> Parsed_co | None:
        """The answer; None where it is not of this form. Says nothing of why: that would quote the answer."""


class WantedModel(Wanted[Model]):
    """The form of a Pydantic model."""

    def __init__(self, model: type[Model]) -> None:
        self._model = model
        self.name = _NAME.sub("_", model.__name__)[:64]
        self.schema = model.model_json_schema()

    def read(self, text: str) -> Model | None:
        """See `Wanted.read`."""
        try:
            return self._model.model_validate_json(unfenced(text))
        except ValidationError:
            return None


class WantedSchema(Wanted[object]):
    """The form of a JSON Schema."""

    def __init__(self, schema: Mapping[str, object]) -> None:
        """Raises ConfigError for what is no schema, or where nothing that checks schemas is installed."""
        try:
            from jsonschema_rs import validator_for
        except ImportError:
            raise ConfigError("a JSON schema is checked by jsonschema-rs: install tidegate[llm]") from None
        try:
            self._validator = validator_for(dict(schema), offline=True)
        except Exception as exc:  # each kind of fault in a schema is a class of its own
            raise ConfigError(f"the schema can't be used: {type(exc).__name__}") from None
        title = schema.get("title")
        self.name = _NAME.sub("_", title)[:64] if isinstance(title, str) and title else "answer"
        self.schema = schema

    def read(self, text: str) -> object | None:
        """See `Wanted.read`."""
        try:
            value: object = msgspec.json.decode(unfenced(text))
        except (msgspec.DecodeError, RecursionError):
            return None
        return value if self._validator.is_valid(value) else None


def unfenced(text: str) -> str:
    """The answer without the Markdown fence that models like to put around JSON."""
    inner = text.strip()
    if not (inner.startswith(_FENCE) and inner.endswith(_FENCE)):
        return text
    language, newline, inner = inner.removeprefix(_FENCE).removesuffix(_FENCE).partition("\n")
    return inner if newline and language.strip().lower() in ("", "json") else text


def instruction(schema: Mapping[str, object]) -> str:
    """What a model is told that takes no schema otherwise."""
    return f"Answer with one JSON value and nothing else. It must fit this JSON schema:\n{json.dumps(schema)}"


def strict(schema: object) -> object:
    """The schema as providers take it in strict mode: objects closed, and every property required.

    An optional property that a model must name anyway is one that the schema lets be null.
    """
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: value if key in _AS_IS else strict(value) for key, value in schema.items() if key != "default"}
    properties = schema.get("properties")
    if isinstance(properties, dict):
        closed["properties"] = {name: strict(value) for name, value in properties.items()}
        closed["additionalProperties"] = False
        closed["required"] = list(properties)
    return closed
