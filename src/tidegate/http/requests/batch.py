"""A batch of jobs as it was sent, and what becomes of each of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from tidegate.core.idempotency import JSON
from tidegate.core.problem_kinds import INVALID_INPUT
from tidegate.errors import TidegateError
from tidegate.http.problems import Refusal, invalid, refusal_of
from tidegate.http.requests.asking import Origin, job_request, validated
from tidegate.http.requests.reading import parse_json
from tidegate.http.schemas.bulk import Batch, Mode
from tidegate.intake import Accepted
from tidegate.requests import JobRequest, fingerprint_of

MOST_FAULTS: Final = 100
"""Wrong fields that one answer names."""

Fault = dict[str, str]


class _Raw(msgspec.Struct):
    """The jobs as they were sent, to the byte."""

    jobs: list[msgspec.Raw]


@dataclass(slots=True, kw_only=True)
class Asked:
    """The jobs of a batch, by their places in it: those that could be read, and what became of them.

    A twin asks for the same under the same key as the job at an earlier place, and shares its fate.
    """

    mode: Mode
    requests: dict[int, JobRequest] = field(default_factory=dict)
    twins: dict[int, int] = field(default_factory=dict)
    accepted: dict[int, Accepted] = field(default_factory=dict)
    refused: dict[int, Refusal] = field(default_factory=dict)

    @property
    def open(self) -> list[int]:
        """The places of which nothing is known yet."""
        return [
            place
            for place in self.requests
            if not (place in self.accepted or place in self.refused or place in self.twins)
        ]

    def refuse(self, place: int, why: TidegateError | Refusal) -> None:
        """Note why the job at a place can't be accepted."""
        self.refused[place] = why if isinstance(why, Refusal) else refusal_of(why)

    def stop_if_refused(self) -> None:
        """Raise the refusal of the whole batch, if it is one, and a job of it was refused."""
        if self.mode == "all" and self.refused:
            raise _whole(self.refused)

    def settle_twins(self) -> None:
        """Give twins what the first of them got."""
        for place, first in self.twins.items():
            if first in self.accepted:
                self.accepted[place] = Accepted(self.accepted[first].job_id, created=False)
            else:
                self.refused[place] = self.refused[first]


def read_batch(body: bytes, origin: Origin) -> Asked:
    """The batch that a JSON text asks for; jobs that make no sense are refused in it.

    Raises Refusal and InvalidInput for a text that is no batch.
    """
    value = parse_json(body)
    sent = validated(Batch, value)
    asked = Asked(mode=sent.mode)
    texts = msgspec.json.decode(body, type=_Raw).jobs
    for place, (one, text) in enumerate(zip(_jobs(value), texts, strict=True)):
        try:
            asked.requests[place] = job_request(one, bytes(text), origin)
        except (TidegateError, Refusal) as exc:
            asked.refuse(place, exc)
    _find_twins(asked)
    return asked


def _jobs(value: JSON) -> list[JSON]:
    jobs = value["jobs"] if isinstance(value, dict) else []
    return jobs if isinstance(jobs, list) else []


def _find_twins(asked: Asked) -> None:
    firsts: dict[str, int] = {}
    for place, request in list(asked.requests.items()):
        if request.idempotency_key is None:
            continue
        first = firsts.setdefault(request.idempotency_key, place)
        if first == place:
            continue
        if fingerprint_of(request) == fingerprint_of(asked.requests[first]):
            asked.twins[place] = first
        else:
            asked.refuse(
                place, invalid([("idempotency_key", f"is also that of job {first}, which is another request")])
            )


def _whole(refused: Mapping[int, Refusal]) -> Refusal:
    """What a batch is refused with: every wrong field of every job, by the job's place."""
    places = sorted(refused)
    first = refused[places[0]]
    faults = [fault for place in places for fault in _faults(place, refused[place])]
    alike = len({refusal.kind for refusal in refused.values()}) == 1
    kind, members = (first.kind, first.members) if alike else (INVALID_INPUT, {})
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    detail = f"{faults[0]['field']}: {faults[0]['message']}{more}"
    whole = Refusal(kind, detail, **{**members, "errors": faults[:MOST_FAULTS]})
    whole.headers = first.headers if alike else {}
    return whole


def _faults(place: int, refusal: Refusal) -> Iterator[Fault]:
    """The wrong fields of the job at a place; where none is named, its type is to blame."""
    named = refusal.members.get("errors")
    faults = msgspec.convert(named, list[Fault]) if named else [{"field": "type", "message": refusal.detail}]
    for fault in faults:
        path = f"jobs.{place}.{fault['field']}" if fault["field"] else f"jobs.{place}"
        yield {"field": path, "message": fault["message"]}
