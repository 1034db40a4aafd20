"""Documents and the gates they imply."""

from collections.abc import Sequence
from typing import Final

from tidegate.core.verbs import Document, Gate, Swap, Swapped
from tidegate.engines.sql.codec import micros, stamp
from tidegate.engines.sql.sqlite.ledger import GateRow
from tidegate.engines.sql.sqlite.session import Session
from tidegate.engines.sql.sqlite.snapshot import Value
from tidegate.errors import InvalidInput

LOAD: Final = "SELECT version, value FROM documents WHERE kind = ? AND key = ?"
SCAN: Final = """
SELECT key, version, value FROM documents WHERE kind = ? AND key > ? AND value IS NOT NULL ORDER BY key LIMIT ?
"""
_STORED: Final = "SELECT version, value, nonce FROM documents WHERE kind = ? AND key = ?"
_STORE: Final = "INSERT OR REPLACE INTO documents (kind, key, version, value, nonce) VALUES (?, ?, ?, ?, ?)"
_GATES_OF: Final = "SELECT name FROM gates WHERE kind = ? AND key = ?"
_DROP_GATES: Final = "DELETE FROM gates WHERE kind = ? AND key = ?"
_SET_GATES: Final = """
INSERT OR REPLACE INTO gates (name, kind, key, not_before, most, pace_period, pace_burst, era, paced_until) {rows}
"""
_RUNNING: Final = "SELECT count(*) FROM lease_gates WHERE gate = ? AND era = ?"


def swap(session: Session, swap: Swap) -> Swapped:
    """See `ports.Documents.swap`."""
    stored, nonce = _stored(session, swap.kind, swap.key)
    if nonce == swap.nonce:
        return Swapped(True, stored)
    if stored.version != swap.expected:
        return Swapped(False, stored)
    for gate in swap.gates:
        _check(session, gate)
    session.ledger.last_version += 1
    written = Document(kind=swap.kind, key=swap.key, version=session.ledger.last_version, value=swap.value)
    session.run(_STORE, written.kind, written.key, written.version, written.value, swap.nonce)
    _set_gates(session, swap)
    return Swapped(True, written)


def _stored(session: Session, kind: str, key: str) -> tuple[Document, str | None]:
    """What is stored, and the nonce of the swap that stored it."""
    for version, value, nonce in session.connection.execute(_STORED, (kind, key)).fetchall():
        return Document(kind=kind, key=key, version=version, value=value), str(nonce)
    return Document(kind=kind, key=key), None


def _check(session: Session, gate: Gate) -> None:
    known = session.ledger.gates.get(gate.name)
    if gate.limit is None or (known is not None and known.most is not None):
        return
    era = -1 if known is None else known.era
    if gate.era <= era:
        raise InvalidInput("gates", f"{gate.name} had no limit: it may get one only with an era above {era}")


def _set_gates(session: Session, swap: Swap) -> None:
    """Replace the gates of a document; a pace's last slot outlives that."""
    ledger = session.ledger
    before = [name for (name,) in session.connection.execute(_GATES_OF, (swap.kind, swap.key)).fetchall()]
    ledger.unpaced()
    paced = {name: ledger.gates.pop(name).paced_until for name in before}
    session.run(_DROP_GATES, swap.kind, swap.key)
    if swap.value is None:
        return
    rows = [_row(gate, paced.get(gate.name)) for gate in {gate.name: gate for gate in swap.gates}.values()]
    for row in rows:
        ((row.running,),) = session.connection.execute(_RUNNING, (row.name, row.era)).fetchall()
        ledger.gates[row.name] = row
    session.write(_SET_GATES, [_columns(row, swap) for row in rows])


def _row(gate: Gate, paced_until: int | None) -> GateRow:
    return GateRow(
        name=gate.name,
        not_before=None if gate.not_before is None else stamp(gate.not_before),
        most=gate.limit,
        pace_period=None if gate.pace is None else micros(gate.pace.period),
        pace_burst=None if gate.pace is None else gate.pace.burst,
        era=gate.era,
        paced_until=paced_until,
    )


def _columns(row: GateRow, swap: Swap) -> Sequence[Value]:
    pace = (row.pace_period, row.pace_burst)
    return (row.name, swap.kind, swap.key, row.not_before, row.most, *pace, row.era, row.paced_until)
