"""Upstreams: whose health decides what is claimed."""

from tidegate.core.queue_circuit import QueueCircuit
from tidegate.upstreams.circuits import QueueCircuits
from tidegate.upstreams.keeping import Reach
from tidegate.upstreams.policies import (
    GATES,
    KINDS,
    QUEUES,
    UPSTREAM,
    Known,
    Policies,
    UpstreamOptions,
    declared,
    gate_of,
)
from tidegate.upstreams.probes import Call
from tidegate.upstreams.service import Upstreams

__all__ = [
    "GATES",
    "KINDS",
    "QUEUES",
    "UPSTREAM",
    "Call",
    "Known",
    "Policies",
    "QueueCircuit",
    "QueueCircuits",
    "Reach",
    "UpstreamOptions",
    "Upstreams",
    "declared",
    "gate_of",
]
