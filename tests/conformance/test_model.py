"""Any sequence of calls has the answers, and leaves the state, that the memory engine has and leaves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.conformance import drafts
from tests.conformance.build import OTHER_WORKER, WORKER, seconds
from tests.conformance.drafts import Draft
from tests.conformance.harness import STORES
from tests.conformance.twins import Twins
from tidegate.core.ids import uuid7
from tidegate.core.job import Ending, Job, JobId, Owner, Progress, Settlement, Token
from tidegate.core.lifecycle import LEGAL
from tidegate.core.query import JobQuery, WorkerInfo
from tidegate.core.verbs import Beat, Claimed, ClaimRequest, Gate, Reason, ReclaimRequest, Swap, Take

T = TypeVar("T")

MADE_AT_MS = 1_767_225_600_000
TICK = timedelta(microseconds=1)
WINDOWS = {"minute": (3, timedelta(minutes=1)), "second": (2, timedelta(seconds=1))}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that may be repeated: what it was, its nonce, and until when its answer is promised."""

    what: object
    nonce: str
    until: datetime
