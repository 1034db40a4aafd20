"""claim: lease ready jobs to one owner."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import msgspec

from tidegate.core.job import Lease, Owner, Status, Token
from tidegate.core.verbs import Claimed, ClaimRequest
from tidegate.engines.sql.codec import JOB_COLUMNS, JobRow, instant, micros, read_job
from tidegate.engines.sql.sqlite.ledger import Ledger, Line, Stand
from tidegate.engines.sql.sqlite.news import told
from tidegate.engines.sql.sqlite.planning import Plan
from tidegate.engines.sql.sqlite.promoting import lapse, promote, sweep
from tidegate.engines.sql.sqlite.session import Session
from tidegate.engines.sql.sqlite.snapshot import numbers

MOST_SWEEPS: Final = 20
"""Sweeps in one claim at most, where ever more lapsed jobs are in the way; then it says that there is more."""

MOST_INLINE: Final = 8_192
"""Bytes of a payload that comes along with its row; a larger one is read by itself."""

NONCE_LIFETIME: Final = timedelta(hours=1)
"""How long a nonce is remembered at least: far longer than anybody repeats a call."""

_NONCE_KNOWN: Final = "SELECT iif(EXISTS (SELECT 1 FROM nonces WHERE nonce = ?), 'true', 'false')"
_HEADS: Final = """
SELECT json_group_array(json_array(asked.value, json((
    SELECT json_group_array(json_array(seq, rank, expires_at)) FROM (
        SELECT seq, rank, expires_at FROM jobs
        WHERE line_id = asked.value AND status = 'queued' AND stage = 1 ORDER BY rank, seq LIMIT ?
    )
)))) FROM json_each(?) AS asked
"""
_READY: Final = f"""
SELECT json_group_array(json_array(
    {JOB_COLUMNS}, iif(length(bodies.payload) <= {MOST_INLINE}, hex(bodies.payload), NULL)
))
FROM json_each(?) AS asked CROSS JOIN jobs ON jobs.seq = asked.value CROSS JOIN bodies ON bodies.seq = jobs.seq
"""
_LARGE_PAYLOAD: Final = "SELECT payload FROM bodies WHERE seq = ?"
_RUN: Final = """
UPDATE jobs SET status = 'running', stage = 0, runs = runs + 1, started_at = ?, timeout_at = ? + timeout,
    progress_fraction = NULL, progress_message = NULL, steps = steps + 1
WHERE seq IN (SELECT value FROM json_each(?))
"""
_HISTORY: Final = """
INSERT INTO history (seq, n, at, event, run, note)
SELECT seq, steps, started_at, 'claimed', runs, '' FROM jobs WHERE seq IN (SELECT value FROM json_each(?))
"""
_LEASE: Final = """
INSERT INTO leases (seq, token, eras, timeout_at, nonce, owner, claimed_by, expires_at)
SELECT taken.column1, taken.column2, taken.column3, taken.column4, ?, ?, ?, ? FROM ({rows}) AS taken
"""
_LIMITED: Final = "INSERT INTO lease_gates (seq, gate, era) {rows}"
_PACED: Final = "UPDATE gates SET paced_until = paced.column2 FROM ({rows}) AS paced WHERE name = paced.column1"
_NONCE: Final = "INSERT INTO nonces (nonce, until) VALUES (?, ?)"
_UNDER: Final = f"""
SELECT {JOB_COLUMNS}, bodies.payload, leases.token, leases.expires_at, leases.eras
FROM leases CROSS JOIN jobs ON jobs.seq = leases.seq CROSS JOIN bodies ON bodies.seq = leases.seq
WHERE leases.owner = ? AND leases.nonce = ?
"""


class _Head(msgspec.Struct, array_like=True, gc=False):
    """A job at the head of its line."""

    seq: int
    rank: int
    expires_at: int | None


class _Ready(JobRow):
    """A job to lease, with its payload in hex where that is small."""

    payload: str | None


class _Leased(JobRow):
    """A job under lease."""

    payload: bytes
    token: str
    lease_expires_at: int
    eras: str


_flag: Final = msgspec.json.Decoder(bool)
_heads: Final = msgspec.json.Decoder(list[tuple[int, list[_Head]]])
_ready: Final = msgspec.json.Decoder(list[_Ready])
_eras: Final = msgspec.json.Decoder(dict[str, int])


def claim(session: Session, request: ClaimRequest, nonce: str) -> Claimed:
    """See `ports.JobQueue.claim`."""
    if nonce_known(session, nonce):
        return told(session, request, _still_held(session, request.owner, nonce), more_due=False)
    swept = sweep(session)
    promoted = promote(session)
    _calm(session)
    drawn = _draw(session, request, all_live=swept)
    leases = _lease(session, request, nonce, drawn) if drawn else ()
    return told(session, request, leases, more_due=not (swept and promoted))


def _calm(session: Session) -> None:
    """What a clock set back, or a slower pace, left ahead of a whole burst shuts no gate for longer than that."""
    ledger, now = session.ledger, session.now
    calm, ledger.calm_at = ledger.calm_at <= now, now
    ahead: list[tuple[str, int]] = []
    for gate in () if calm else ledger.gates.values():
        most = now + (gate.pace_burst or 0) * (gate.pace_period or 0)
        if gate.paced_until is not None and gate.paced_until > most:
            gate.paced_until = most
            ahead.append((gate.name, most))
    session.write(_PACED, ahead)


def nonce_known(session: Session, nonce: str) -> bool:
    """Whether a claim or reclaim of this nonce took jobs before."""
    return session.read(_flag, _NONCE_KNOWN, nonce)


def remember_nonce(session: Session, nonce: str, lease_for: timedelta) -> None:
    """A claim or reclaim of this nonce took jobs: from now on it is a repeat."""
    session.run(_NONCE, nonce, session.now + micros(max(lease_for, NONCE_LIFETIME)))


def _still_held(session: Session, owner: Owner, nonce: str) -> tuple[Lease, ...]:
    rows = session.rows(_Leased, _UNDER, owner, nonce)
    rows.sort(key=lambda row: int(row.token.rpartition(".")[2]))
    return tuple(
        Lease(
            job=read_job(row, session.ledger.kinds),
            payload=row.payload,
            token=Token(row.token),
            owner=owner,
            expires_at=instant(row.lease_expires_at),
            eras=_eras.decode(row.eras),
        )
        for row in rows
    )


# drawing: which jobs ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Drawn:
    """Some jobs of one line, taken in one turn."""

    line: Line
    heads: list[_Head]


def _draw(session: Session, request: ClaimRequest, *, all_live: bool) -> list[_Drawn]:
    """The jobs to take, in order. Only where a sweep left lapsed jobs in line may some be met here."""
    for _ in range(0 if request.limit <= 0 else MOST_SWEEPS):
        plan = Plan(session.ledger, request, session.now)
        plan.draw_all()
        drawn = _heads_of(session, plan)
        lapsed = [] if all_live else _lapsed(drawn, session.now)
        if not lapsed:
            return drawn
        lapse(session, lapsed)
        all_live = sweep(session)
    return []


def _heads_of(session: Session, plan: Plan) -> list[_Drawn]:
    wanted: dict[int, int] = {}
    for line, n in plan.draws:
        wanted[line.id] = wanted.get(line.id, 0) + n
    heads: dict[int, list[_Head]] = {}
    for most in {1 << (n - 1).bit_length() for n in wanted.values()}:
        alike = [line_id for line_id, n in wanted.items() if most // 2 < n <= most]
        limit = wanted[alike[0]] if len(alike) == 1 else most
        found = session.read(_heads, _HEADS, limit, numbers(alike))
        heads |= dict(found)
    places = dict.fromkeys(wanted, 0)
    drawn = []
    for line, n in plan.draws:
        start = places[line.id]
        places[line.id] = start + n
        drawn.append(_Drawn(line, heads[line.id][start : start + n]))
    return drawn


def _lapsed(drawn: Sequence[_Drawn], now: int) -> list[tuple[int, int, int]]:
    return [
        (head.seq, draw.line.id, 1)
        for draw in drawn
        for head in draw.heads
        if head.expires_at is not None and head.expires_at <= now
    ]


# leasing them -----------------------------------------------------------------------------------------------


def _lease(session: Session, request: ClaimRequest, nonce: str, drawn: Sequence[_Drawn]) -> tuple[Lease, ...]:
    seqs = [head.seq for draw in drawn for head in draw.heads]
    asked = numbers(seqs)
    rows = session.read(_ready, _READY, asked)
    eras = {draw.line.id: _eras_of(session.ledger, draw.line) for draw in drawn}
    until = session.now + micros(request.lease_for)
    session.run(_RUN, session.now, session.now, asked)
    session.run(_HISTORY, asked)
    written = {line_id: json.dumps(known) for line_id, known in eras.items()}
    taken = [
        (row.seq, f"{nonce}.{place}", written[row.line_id], session.now + row.timeout) for place, row in enumerate(rows)
    ]
    session.write(_LEASE, taken, nonce, request.owner, request.owner, until)
    remember_nonce(session, nonce, request.lease_for)
    _charge(session, drawn)
    expires_at = instant(until)
    return tuple(
        Lease(
            job=read_job(_started(row, session.now), session.ledger.kinds),
            payload=_payload(session, row),
            token=Token(token),
            owner=request.owner,
            expires_at=expires_at,
            eras=eras[row.line_id],
        )
        for row, (_, token, *_) in zip(rows, taken, strict=True)
    )


def _started(row: _Ready, now: int) -> _Ready:
    """The row as the claim leaves it: what `_RUN` says in SQL."""
    row.status = Status.RUNNING
    row.runs += 1
    row.started_at = now
    row.timeout_at = now + row.timeout
    row.progress_fraction = row.progress_message = None
    return row


def _payload(session: Session, row: _Ready) -> bytes:
    if row.payload is not None:
        return bytes.fromhex(row.payload)
    ((payload,),) = session.connection.execute(_LARGE_PAYLOAD, (row.seq,)).fetchall()
    return bytes(payload)


def _eras_of(ledger: Ledger, line: Line) -> dict[str, int]:
    return {name: ledger.gates[name].era for name in line.gates if name in ledger.gates}


def _charge(session: Session, drawn: Sequence[_Drawn]) -> None:
    """Note in the ledger what was drawn: turns, counts, and what it uses of the gates."""
    ledger, now = session.ledger, session.now
    limited: list[tuple[int, str, int]] = []
    paced: dict[str, int] = {}
    for draw in drawn:
        n = len(draw.heads)
        ledger.count(draw.line, Stand.READY, -n)
        ledger.count(draw.line, Stand.RUNNING, n)
        ledger.serve(draw.line, draw.heads[-1].rank, ledger.last_turn + 1)
        for gate in (ledger.gates[name] for name in draw.line.gates if name in ledger.gates):
            if gate.most is not None:
                gate.running += n
                limited += [(head.seq, gate.name, gate.era) for head in draw.heads]
            if gate.pace_period is not None:
                gate.paced_until = paced[gate.name] = max(gate.paced_until or now, now) + n * gate.pace_period
    ledger.limited += len(limited)
    session.write(_LIMITED, limited)
    session.write(_PACED, list(paced.items()))
