"""The SDK's words are the server's: every field that is told, every option that may be said."""

import inspect

import pytest

import tidegate.sdk
from tests.sdk.house import calls_of
from tidegate.http.requests.parameters import JobFilter, JobMatch
from tidegate.http.schemas import bulk as bulk_schemas
from tidegate.http.schemas import events as event_schemas
from tidegate.http.schemas import jobs as job_schemas
from tidegate.http.schemas import keys as key_schemas
from tidegate.http.schemas import operations as operation_schemas
from tidegate.http.schemas import schedules as schedule_schemas
from tidegate.http.schemas import service as service_schemas
from tidegate.http.schemas import upstreams as upstream_schemas
from tidegate.http.schemas import webhooks as webhook_schemas
from tidegate.http.schemas.base import Told
from tidegate.sdk import (
    AsyncClient,
    AsyncJobHandle,
    Client,
    JobHandle,
    QueueCircuit,
    bodies,
    bulk,
    keys,
    options,
    queues,
    schedules,
    upstreams,
    values,
    webhooks,
)
from tidegate.sdk.asking import LONGEST_WAIT
from tidegate.sdk.resources import Resource
from tidegate.sdk.webhooks import ENDS

SAME: dict[type[object], type[Told]] = {
    values.Progress: job_schemas.JobProgress,
    values.JobStatus: job_schemas.JobStatus,
    values.JobItem: job_schemas.JobItem,
    values.JobDetails: job_schemas.JobWhole,
    values.JobStep: job_schemas.HistoryItem,
    values.JobEvent: event_schemas.JobEvent,
    values.FeedEvent: event_schemas.FeedEvent,
    values.Usage: job_schemas.UsageItem,
    values.Attempt: operation_schemas.AttemptItem,
    values.Artifact: job_schemas.ArtifactItem,
    values.Upload: job_schemas.UploadReceived,
    values.JobTypeInfo: service_schemas.JobTypeItem,
    values.WorkerInfo: operation_schemas.WorkerItem,
    values.Counts: operation_schemas.Counts,
    values.Readiness: service_schemas.Ready,
    values.ServerInfo: service_schemas.Index,
    values.Caller: key_schemas.SessionItem,
    upstreams.Overridden: upstream_schemas.OverrideItem,
    upstreams.Budgeted: upstream_schemas.BudgetItem,
    upstreams.BudgetedPerUser: upstream_schemas.UserBudgetItem,
    upstreams.UpstreamInfo: upstream_schemas.UpstreamItem,
    upstreams.Transition: upstream_schemas.TransitionItem,
    queues.Held: upstream_schemas.HeldItem,
    queues.QueueInfo: upstream_schemas.QueueItem,
    schedules.ScheduleInfo: schedule_schemas.ScheduleItem,
    schedules.ScheduleDetails: schedule_schemas.ScheduleWhole,
    webhooks.WebhookInfo: webhook_schemas.WebhookItem,
    webhooks.NewWebhook: webhook_schemas.WebhookWithSecret,
    keys.KeyInfo: key_schemas.KeyItem,
    keys.NewKey: key_schemas.KeyMade,
    bulk.Matches: bulk_schemas.BulkMatches,
}
"""Each value, and what a server tells it as."""

OURS: dict[type[object], set[str]] = {values.FeedEvent: {"id"}}
"""What the SDK adds: where a stream was."""

MADE_HERE = {values.FeedReset, bulk.BulkResult, bulk.NotDone, QueueCircuit}
"""Values that the document has no schema of: a notice of a stream, a job's result, and what the library tells too."""


@pytest.mark.parametrize(("ours", "theirs"), SAME.items(), ids=[kind.__name__ for kind in SAME])
def test_a_value_has_every_field_that_the_server_tells(ours: type[object], theirs: type[Told]) -> None:
    fields = inspect.get_annotations(ours).keys() | {
        name for base in ours.__mro__[1:] for name in inspect.get_annotations(base)
    }
    assert fields - OURS.get(ours, set()) == set(theirs.model_fields)


def test_every_value_that_is_public_is_compared() -> None:
    public = {getattr(tidegate.sdk, name) for name in tidegate.sdk.__all__}
    assert {kind for kind in public if not issubclass(kind, Resource)} - {tidegate.sdk.Patience} == {*SAME, *MADE_HERE}


def test_every_field_of_a_job_can_be_submitted_and_every_filter_asked_for() -> None:
    job = set(job_schemas.JobCreate.model_fields) - {"type", "payload"}
    assert set(options.SubmitOptions.__annotations__) == job
    assert set(options.BatchOptions.__annotations__) == job - {"idempotency_key"}
    paging = {"limit", "offset", "cursor"}
    assert set(options.Filters.__annotations__) == set(JobFilter.model_fields) - paging
    assert set(options.Match.__annotations__) == set(JobMatch.model_fields) - paging
    assert set(options.Filters.__annotations__) == set(bulk_schemas.BulkFilter.model_fields)
    assert bodies.MOST_JOBS == bulk_schemas.MOST_JOBS
    assert list(ENDS) == webhook_schemas.WebhookCreate.model_fields["events"].default
    assert LONGEST_WAIT.total_seconds() == 600


def test_the_public_names_are_sorted() -> None:
    assert list(tidegate.sdk.__all__) == sorted(tidegate.sdk.__all__)
    for name in tidegate.sdk.__all__:
        assert getattr(tidegate.sdk, name).__name__ == name


@pytest.mark.parametrize(("blocking", "awaited"), [(Client, AsyncClient), (JobHandle, AsyncJobHandle)])
def test_both_clients_have_the_same_calls(blocking: type[object], awaited: type[object]) -> None:
    assert calls_of(blocking).keys() == calls_of(awaited).keys()


def test_a_call_tells_its_name_its_arguments_and_what_it_does() -> None:
    client, awaited = Client("http://h", user_id="ada"), AsyncClient("http://h", user_id="ada")
    for call in (client.schedules.pause, awaited.schedules.pause):
        assert list(inspect.signature(call).parameters) == ["name"]
        assert inspect.getdoc(call) == "Let no tick make a job until it is resumed."
    assert client.schedules.pause.__name__ == "pause"
    assert not inspect.iscoroutinefunction(client.schedules.pause)
    assert inspect.iscoroutinefunction(awaited.schedules.pause)
    assert inspect.getdoc(Client.submit) == inspect.getdoc(client.submit)
