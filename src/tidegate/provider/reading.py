"""Reads timelines from YAML, and says in which line a mistake is."""

from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Final

import yaml
from pydantic import ValidationError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from tidegate.core.text import plainly
from tidegate.errors import ConfigError
from tidegate.provider.timeline import Timeline

LARGEST: Final = 1_000_000
_DEEPEST: Final = 12
_MERGE: Final = "tag:yaml.org,2002:merge"
_BUILT_IN: Final = resources.files("tidegate.provider") / "timelines"


def names() -> list[str]:
    """The timelines that ship."""
    return sorted(file.name.removesuffix(".yaml") for file in _BUILT_IN.iterdir() if file.name.endswith(".yaml"))


def load(name: str) -> Timeline:
    """The timeline of that name, or in the file at that path. Raises ConfigError with every mistake and its line."""
    if name in names():
        return read((_BUILT_IN / f"{name}.yaml").read_text("utf-8"), name)
    path = Path(name)
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"{name}: larger than {LARGEST:,} bytes")
        text = path.read_text("utf-8")
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{name}: is not UTF-8") from exc
    except FileNotFoundError as exc:
        raise ConfigError(f"{name}: no such file, and no timeline that ships ({', '.join(names())})") from exc
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{name}: can't be read: {exc}") from exc
    return read(text, name)


def read(text: str, where: str) -> Timeline:
    """A timeline written in YAML; `where` is what messages call it. Raises ConfigError."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if not isinstance(root, MappingNode):
            raise ConfigError(f"{where}: is no mapping; it begins with `tenants:`")
        _check(root, where, set(), 0)
        loaded: object = yaml.load(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise ConfigError(f"{where}:{line}: is no YAML: {exc.problem or exc.context}") from exc
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as exc:
        raise ConfigError(f"{where}: is no YAML: {str(exc)[:200]}") from exc
    try:
        return Timeline.model_validate(loaded)
    except ValidationError as exc:
        raise ConfigError("\n".join(_said(exc, root, where))) from exc


def _check(node: Node, where: str, known: set[int], depth: int) -> None:
    """Each node once, however often it is referred to: a few lines can refer to billions."""
    if depth > _DEEPEST:
        raise ConfigError(f"{where}:{node.start_mark.line + 1}: is nested deeper than any timeline")
    if id(node) in known:
        return
    known.add(id(node))
    if isinstance(node, SequenceNode):
        for item in node.value:
            _check(item, where, known, depth + 1)
    if isinstance(node, MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            _check_key(key, where, seen)
            seen.add(key.value)
            _check(value, where, known, depth + 1)


def _check_key(key: Node, where: str, seen: set[str]) -> None:
    """A key given twice would win over the first without a word; a merge of merges grows without bound."""
    line = key.start_mark.line + 1
    if not isinstance(key, ScalarNode):
        raise ConfigError(f"{where}:{line}: a key must be a word")
    if key.tag == _MERGE:
        raise ConfigError(f"{where}:{line}: `<<` is not for timelines")
    if key.value in seen:
        raise ConfigError(f"{where}:{line}: {key.value} is given twice")


def _said(exc: ValidationError, root: Node, where: str) -> Iterator[str]:
    for error in exc.errors(include_url=False, include_input=False, include_context=False)[:20]:
        line, field = _place(root, error["loc"])
        message = plainly(error["msg"])
        yield f"{where}:{line}: {field}: {message}" if field else f"{where}:{line}: {message}"


def _place(node: Node, path: Sequence[str | int]) -> tuple[int, str]:
    """The line of a value, or of what is nearest to it, and the path to it as far as the file has it."""
    line, field = node.start_mark.line + 1, ""
    for step in path:
        if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line, field = node.start_mark.line + 1, f"{field}[{step + 1}]"
            continue
        found = [pair for pair in node.value if pair[0].value == step] if isinstance(node, MappingNode) else []
        if found:
            key, node = found[0]
            line = key.start_mark.line + 1
        elif not (isinstance(node, MappingNode) and isinstance(step, str) and step.islower()):
            break  # a name of the validator's own, such as which arm of a union
        field = f"{field}.{step}".lstrip(".")
        if not found:
            break
    return line, field
