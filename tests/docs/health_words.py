"""The words in code font that the pages about queues and breakers may use: those that the code or the API has."""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from tests.docs import http_tables, tables
from tidegate.app import Tidegate
from tidegate.cli import commands
from tidegate.config import load
from tidegate.context import Context
from tidegate.core import failure
from tidegate.core.billing import NEARLY_SPENT, SPENT
from tidegate.core.fault import Fault, Scope
from tidegate.core.rules import RULE_SETS, Rules
from tidegate.handlers import JobOptions
from tidegate.http.app import create_app
from tidegate.ports import Engine
from tidegate.system_jobs import SYSTEM_QUEUE
from tidegate.upstreams.policies import BREAKING_QUEUES

ROUTE: Final = re.compile(r"`(?P<method>GET|POST|PUT|PATCH|DELETE) (?P<path>/[^`?]*)(\?[^`]*)?`")
STATUS: Final = re.compile(r"(?<![\w.])(20\d|[45]\d\d)\b")
_SPAN: Final = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_BEYOND_PROSE: Final = re.compile(r"^```.*?^```$|<!-- generated.*?<!-- end -->", re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """A page without its blocks and its generated parts."""
    return _BEYOND_PROSE.sub("", text)


def spans(text: str) -> set[str]:
    """What a page has in code font."""
    return {" ".join(span.split()) for span in _SPAN.findall(prose(text))}


class Api:
    """What the OpenAPI document says there is."""

    def __init__(self) -> None:
        document: dict[str, Any] = create_app(Tidegate()).openapi()
        self.routes = {
            (method.upper(), _shape(path)): frozenset(found["responses"])
            for path, methods in document["paths"].items()
            for method, found in methods.items()
        }
        self.names = {name for name in _names(document) if name}

    def statuses(self, method: str, path: str) -> frozenset[str]:
        """What a route may answer; none where there is no such route."""
        return self.routes.get((method, _shape(path)), frozenset())

    def places(self, word: str) -> bool:
        """Whether it is a route, or a place whatever may be done there, or a method."""
        method, _, path = word.rpartition(" ")
        known = [(way, place) for way, place in self.routes if method in ("", way)]
        return any(place == _shape(path) for _, place in known) or any(way == word for way, _ in known)


def _shape(path: str) -> str:
    """A path whatever its parameters are called: pages say `{id}` and `{name}`."""
    return re.sub(r"\{\w+\}", "{}", path)


def _names(part: object) -> Iterator[str]:
    """The names of fields, parameters and headers, and the words that they may hold."""
    if isinstance(part, list):
        for one in part:
            yield from _names(one)
    if not isinstance(part, dict):
        return
    yield from part.get("properties", {}) if isinstance(part.get("properties"), dict) else ()
    if "in" in part:
        yield str(part.get("name", ""))
    yield from _words(part.get("enum"))
    yield from _words([part.get("const")])
    for one in part.values():
        yield from _names(one)


def _words(listed: object) -> Iterator[str]:
    yield from (one for one in listed if isinstance(one, str)) if isinstance(listed, list) else ()


HEADERS: Final = frozenset({"Location", "Retry-After", "Idempotent-Replayed", "Accept"})
"""Of answers: the document does not name them, docs/reference/http.md does."""

_OBJECTS: Final[Mapping[str, type]] = {"app": Tidegate, "ctx": Context}


def known() -> set[str]:
    """Every word that stands for something."""
    events = {line for row in tables.log_events().splitlines() for line in re.findall(r"`([^`]+)`", row)}
    codes = {value for name, value in vars(failure).items() if name.isupper() and isinstance(value, str)}
    rules = {path for rule in RULE_SETS.values() for path in _paths(rule)} | set(RULE_SETS)
    verbs = {name for name in dir(Engine) if not name.startswith("_")}
    kinds = {kind.uri for kind in http_tables.kinds()}
    faults = {str(fault) for fault in Fault} | {str(scope) for scope in Scope} | {"cancelled"}
    queues = {*load(data_dir=".").queues, *BREAKING_QUEUES, SYSTEM_QUEUE}
    told = {SPENT, NEARLY_SPENT}
    return {*told, *events, *codes, *rules, *verbs, *kinds, *faults, *queues, *tables.setting_names(), *HEADERS}


def _paths(rules: Rules) -> Iterator[str]:
    for part in fields(rules):
        yield part.name
        value = getattr(rules, part.name)
        if is_dataclass(value):
            yield from (inner.name for inner in fields(value))


def is_call(word: str) -> bool:
    """Whether it is an expression on an application or a context that has such a thing, with such arguments."""
    try:
        made = ast.parse(word, mode="eval").body
    except SyntaxError:
        return False
    place = made.func if isinstance(made, ast.Call) else made
    if not isinstance(place, ast.Attribute) or not isinstance(place.value, ast.Name):
        return False
    return hasattr(_OBJECTS.get(place.value.id, object), place.attr)


def is_command(word: str) -> bool:
    """Whether it is a command line of ours, or the end of one, or an option."""
    known = list(tables.leaves(commands.app, ("tidegate",)))
    if word.startswith("--"):
        return any(one.name == word for _, found in known for one in found.assemble_argument_collection())
    paths, bare = [" ".join(path[1:]) for path, _ in known], word.removeprefix("tidegate ")
    return any(f"{bare} ".startswith(f"{path} ") or path.endswith(f" {bare}") for path in paths)


def is_said(word: str) -> bool:
    """Whether it is what a breaker or a refusal says, with any numbers in it; `…` stands for more."""
    bare = re.escape(word.removesuffix(" …"))
    pattern = re.sub(r"\d+", r"(?:\\d+|\\{[^{}]*(?:\\{[^{}]*\\}[^{}]*)*\\})", bare)
    return any(re.search(rf"[\"'](?:error\"?: ?\")?{pattern}", text) for text in tables.sources())


def is_given(word: str) -> bool:
    """Whether it is `name=value`, an option of a job type, a parameter or a setting of rules."""
    options = {*JobOptions.__annotations__, *inspect.signature(Tidegate.upstream).parameters}
    return word.partition("=")[0] in options | http_tables.filters()
