"""What the page about telemetry shows of metrics, as Markdown."""

from collections.abc import Iterable

from tests.docs.tables import table
from tidegate.telemetry.families import COUNTS, GAUGES, Family


def metrics() -> str:
    """Every metric of a process, then every one of the fleet."""
    return f"Of this process:\n\n{_table(COUNTS)}\nOf the whole fleet:\n\n{_table(GAUGES)}"


def _table(families: Iterable[Family]) -> str:
    rows = (
        (f"`{_shown(one)}`", one.kind, ", ".join(f"`{label}`" for label in one.labels), one.tells) for one in families
    )
    return table(("metric", "kind", "labels", "what it tells"), rows)


def _shown(family: Family) -> str:
    return f"{family.name}_total" if family.kind == "counter" else family.name
