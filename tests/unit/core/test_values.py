"""The values that every layer shares can't be changed in place, and mean the same however they are made."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest

from tidegate.core import artifact, failure, fairness, job, query, queue_circuit, retry, verbs
from tidegate.core.job import JobId, Lane, Owner, Token

MODULES: Sequence[ModuleType] = (artifact, failure, fairness, job, query, queue_circuit, retry, verbs)
VALUES = [
    value
    for module in MODULES
    for _, value in inspect.getmembers(module, inspect.isclass)
    if is_dataclass(value) and value.__module__ == module.__name__
]


def test_there_are_values_to_look_at() -> None:
    assert len(VALUES) > 40


@pytest.mark.parametrize("value", VALUES)
def test_every_value_is_frozen_and_has_slots(value: type) -> None:
    assert hasattr(value, "__slots__")
    bare: object = object.__new__(value)
    for field in fields(value):
        with pytest.raises(FrozenInstanceError):
            setattr(bare, field.name, None)


@pytest.mark.parametrize("value", VALUES)
def test_every_value_says_what_it_is(value: type) -> None:
    assert value.__doc__ is not None
    assert not value.__doc__.startswith(f"{value.__name__}(")


def test_a_claim_asks_for_no_share_and_holds_nothing_unless_told() -> None:
    plain = verbs.ClaimRequest(owner=Owner("w"), turns=(), types=frozenset(), limit=0, lease_for=timedelta(seconds=1))
    other = verbs.ClaimRequest(owner=Owner("w"), turns=(), types=frozenset(), limit=0, lease_for=timedelta(seconds=1))
    assert (plain.share, plain.held) == (None, {})
    assert plain.held is not other.held


def test_a_gate_that_says_nothing_bounds_nothing() -> None:
    gate = verbs.Gate(name="upstream:a")
    assert (gate.not_before, gate.limit, gate.pace, gate.era) == (None, None, None, 0)


def test_a_document_that_was_never_written_has_version_0_and_no_value() -> None:
    assert verbs.Document(kind="upstream", key="a") == verbs.Document(kind="upstream", key="a", version=0, value=None)


def test_a_lease_knows_no_era_unless_a_gate_told_it() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    waiting = job.Job(
        id=JobId("id"),
        seq=1,
        spec=job.Spec(type="work"),
        lane=Lane(),
        status=job.Status.QUEUED,
        created_at=now,
        run_at=now,
        due_at=now,
    )
    lease = job.Lease(job=waiting, payload=b"", token=Token("t"), owner=Owner("w"), expires_at=now)
    empty: Mapping[str, int] = {}
    assert lease.eras == empty
