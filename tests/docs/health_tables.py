"""What the page about breakers shows of rules and faults, as Markdown."""

from dataclasses import fields, is_dataclass
from datetime import timedelta

from tests.docs.tables import table
from tidegate.core.fault import REACTIONS
from tidegate.core.rules import RULE_SETS


def rules() -> str:
    """Every number of every rule set; a rule that a set does not have is `–`."""
    sets = ("api", "llm", "queue", "provider")
    paths = {path: None for name in sets for path in _numbers(RULE_SETS[name], "")}
    rows = [(f"`{path}`", *(_numbers(RULE_SETS[name], "").get(path, "–") for name in sets)) for path in paths]
    return table(("", *(f"`{name}`" for name in sets)), rows)


def faults() -> str:
    """Every fault and what it asks for."""
    rows = []
    for fault, asks in REACTIONS.items():
        flags = (asks.counts, asks.congests, asks.blocks, asks.refunds)
        scope = asks.scope.value if asks.counts or asks.blocks else ""
        rows.append((f"`{fault.value}`", *("yes" if flag else "" for flag in flags), scope))
    return table(("fault", "counts", "congests", "blocks", "refunds the attempt", "heard by"), rows)


def _numbers(value: object, path: str) -> dict[str, str]:
    if is_dataclass(value):
        parts = [(f"{path}.{part.name}".lstrip("."), getattr(value, part.name)) for part in fields(value)]
        return {name: text for inner, one in parts for name, text in _numbers(one, inner).items()}
    if value is None or path == "name":
        return {}
    return {path: f"{value.total_seconds():g} s" if isinstance(value, timedelta) else str(value)}
