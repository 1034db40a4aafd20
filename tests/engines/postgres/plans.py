"""What the server really does for each statement: the plans that `auto_explain` writes into its log."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from tests.servers.postgres import PostgresServer

SETTINGS: Final = (
    *("fsync=off", "autovacuum=off", "log_line_prefix=", "session_preload_libraries=auto_explain"),
    *("auto_explain.log_min_duration=0", "auto_explain.log_nested_statements=on", "auto_explain.log_format=json"),
    *("auto_explain.log_analyze=on", "auto_explain.log_timing=off", "auto_explain.log_verbose=off"),
)
"""With these a server logs every plan, those inside of functions too, and how many rows each step met."""


class _Node(msgspec.Struct, rename=lambda name: name.replace("_", " ").title()):
    node_type: str
    relation_name: str = ""
    index_name: str = ""
    actual_rows: float = 0
    actual_loops: float = 0
    rows_removed_by_filter: float = msgspec.field(default=0, name="Rows Removed by Filter")
    rows_removed_by_join_filter: float = msgspec.field(default=0, name="Rows Removed by Join Filter")
    plans: "list[_Node]" = []


class _Logged(msgspec.Struct):
    query: str = msgspec.field(name="Query Text")
    plan: _Node = msgspec.field(name="Plan")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of one plan; `rows` is how many it met, over all its loops."""

    query: str
    kind: str
    table: str
    index: str
    rows: float


def steps(server: PostgresServer, since: int) -> list[Step]:
    """The steps of all plans in the log from character `since` on."""
    found: list[Step] = []
    for logged in _plans(server.log()[since:]):
        found += _steps(logged.query, logged.plan)
    return found


def _plans(log: str) -> Iterator[_Logged]:
    for entry in log.split("plan:\n")[1:]:
        plan, _, _ = entry.partition("\n\t}\n")
        yield msgspec.json.decode(plan + "\n}", type=_Logged)


def _steps(query: str, node: _Node) -> Iterator[Step]:
    met = node.actual_rows + node.rows_removed_by_filter + node.rows_removed_by_join_filter
    yield Step(query, node.node_type, node.relation_name, node.index_name, met * node.actual_loops)
    for inner in node.plans:
        yield from _steps(query, inner)
