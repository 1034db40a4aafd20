"""A value that a JSON schema allows: the plainest one, always the same."""

import math
from collections.abc import Mapping
from typing import Final

from tidegate.provider.asked import Mistaken

_DEEPEST: Final = 16
_DEEP: Final = 4
_LARGEST: Final = 2_000
_FORMATS: Final = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


class Sampler:
    """Makes values for one schema; `text` is where its strings come from. Of a `pattern` it knows nothing."""

    def __init__(self, schema: Mapping[str, object], text: str) -> None:
        self._root = schema
        self._text = text
        self._made = 0

    def sample(self) -> object:
        """A value. Raises Mistaken where the schema is none, refers to nothing, or asks for too much."""
        try:
            return self._value(self._root, 0)
        except ArithmeticError as exc:
            raise Mistaken("a number of the schema is out of all bounds", "response_format") from exc

    def _value(self, schema: object, depth: int) -> object:
        self._made += 1
        if depth > _DEEPEST or self._made > _LARGEST:
            raise Mistaken("the schema has no end, or asks for too much", "response_format")
        if schema is True or schema == {}:
            return self._text
        if not isinstance(schema, Mapping):
            raise Mistaken("the schema is no schema", "response_format")
        if "$ref" in schema:
            return self._value(self._found(schema["$ref"]), depth + 1)
        if "const" in schema:
            return schema["const"]
        for choice in ("enum", "anyOf", "oneOf"):
            options = schema.get(choice)
            if isinstance(options, list) and options:
                return options[0] if choice == "enum" else self._first(options, depth)
        parts = schema.get("allOf")
        if isinstance(parts, list) and parts:
            return self._value(_merged([schema, *(self._followed(part) for part in parts)]), depth + 1)
        return self._typed(schema, depth)

    def _first(self, options: list[object], depth: int) -> object:
        """The first option that has an end; deep down the last one first, which is often `null`."""
        *others, final = options if depth < _DEEP else options[::-1]
        for option in others:
            try:
                return self._value(option, depth + 1)
            except Mistaken:
                continue
        return self._value(final, depth + 1)

    def _typed(self, schema: Mapping[str, object], depth: int) -> object:
        kind = schema.get("type")
        if isinstance(kind, list) and kind:
            kind = kind[0]
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "integer" | "number":
                return _number(schema, whole=kind == "integer")
            case "boolean":
                return True
            case "null":
                return None
            case "string":
                return self._string(schema)
            case None:
                return self._object(schema, depth) if "properties" in schema else self._text
            case _:
                raise Mistaken(f"the schema has an unknown type {str(kind)[:40]!r}", "response_format")

    def _object(self, schema: Mapping[str, object], depth: int) -> dict[str, object]:
        properties = schema.get("properties", {})
        if not isinstance(properties, Mapping):
            raise Mistaken("properties of the schema must be an object", "response_format")
        required = schema.get("required")
        needed = required if isinstance(required, list) else []
        wanted = [name for name in properties if name in needed or depth < _DEEP]
        return {str(name): self._value(properties[name], depth + 1) for name in wanted}

    def _array(self, schema: Mapping[str, object], depth: int) -> list[object]:
        least, most = _count(schema, "minItems", 1), _count(schema, "maxItems", _LARGEST)
        if "minItems" not in schema and depth >= _DEEP:
            least = 0  # what may be empty ends what would have no end
        return [self._value(schema.get("items", True), depth + 1) for _ in range(min(least, most, _LARGEST + 1))]

    def _string(self, schema: Mapping[str, object]) -> str:
        form = schema.get("format")
        if isinstance(form, str) and form in _FORMATS:
            return _FORMATS[form]
        least, most = _count(schema, "minLength", 0), _count(schema, "maxLength", 1_000_000)
        text = self._text or "x"
        if least > 100_000:
            raise Mistaken("the schema asks for too much", "response_format")
        return (text * (least // len(text) + 1) if len(text) < least else text)[: max(most, least)]

    def _followed(self, schema: object) -> object:
        for _ in range(_DEEPEST):
            if not (isinstance(schema, Mapping) and "$ref" in schema):
                return schema
            schema = self._found(schema["$ref"])
        raise Mistaken("the schema refers to itself", "response_format")

    def _found(self, ref: object) -> object:
        if not (isinstance(ref, str) and ref.startswith("#")):
            raise Mistaken("a $ref must begin with #", "response_format")
        found: object = self._root
        for step in filter(None, ref[1:].split("/")):
            name = step.replace("~1", "/").replace("~0", "~")
            if not (isinstance(found, Mapping) and name in found):
                raise Mistaken("a $ref of the schema leads nowhere", "response_format")
            found = found[name]
        return found


def _merged(parts: list[object]) -> dict[str, object]:
    whole: dict[str, object] = {}
    properties: dict[str, object] = {}
    required: list[object] = []
    for part in parts:
        if isinstance(part, Mapping):
            whole |= {str(name): value for name, value in part.items() if name != "allOf"}
            own, needs = part.get("properties"), part.get("required")
            properties |= own if isinstance(own, Mapping) else {}
            required += needs if isinstance(needs, list) else []
    return whole | ({"properties": properties, "required": required} if properties else {})


def _count(schema: Mapping[str, object], name: str, otherwise: int) -> int:
    value = schema.get(name)
    return value if isinstance(value, int) and value >= 0 else otherwise


def _number(schema: Mapping[str, object], *, whole: bool) -> float:
    value, step = 1.0, schema.get("multipleOf")
    for name, edge in (("minimum", 0), ("exclusiveMinimum", 1), ("maximum", 0), ("exclusiveMaximum", -1)):
        bound = schema.get(name)
        if isinstance(bound, int | float) and not isinstance(bound, bool):
            limit = bound + (edge if whole else edge / 1024)
            value = max(value, limit) if "inimum" in name else min(value, limit)
    if isinstance(step, int | float) and step > 0:
        value = -(-value // step) * step
    return int(value) if whole else _finite(float(value))


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise OverflowError
    return value
