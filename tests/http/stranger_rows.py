"""What a stranger asks of each route, by its operation, to get at what is the owner's. A route without a row fails."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from tests.http.strangers import KEY, OWNER, SECRET, Ask, Row, Things, Verdict

UP_AND_OVER: Final = "%2e%2e%2f%2e%2e%2f"
"""Out of the folder of one's own job."""

EVERY_MINUTE: Final = {"expression": "* * * * *", "type": "echo"}


_STAR: Final = Ask(headers={"X-User-ID": "*"}, everybodys=True)


def _plain(_: Things) -> Sequence[Ask]:
    return [Ask()]


def _jobs(things: Things) -> Sequence[Ask]:
    return [Ask(path={"job_id": job_id}) for job_id in things.jobs]


def _waiting(things: Things) -> Sequence[Ask]:
    return [*_jobs(things), Ask(path={"job_id": things.queued}, query={"wait": "0.01"})]


def _files(things: Things) -> Sequence[Ask]:
    names = ("charts/trend.png", "page.html", "result.json")
    theirs = [Ask(path={"job_id": things.done, "path": name}) for name in names]
    climbing = (f"{UP_AND_OVER}{things.result}", f"{UP_AND_OVER}jobs%2f{things.result}", f"%2f{things.result}")
    return [*theirs, *(Ask(path={"job_id": things.own, "path": path}) for path in climbing)]


def _files_of(things: Things) -> list[Mapping[str, object]]:
    return [{"type": "measure", "payload": {"file": given}} for given in (things.upload, f"{things.upload} ")]


def _submits(things: Things) -> Sequence[Ask]:
    return [Ask(body=job, query=query) for job in _files_of(things) for query in ({}, {"wait": "0.01"})]


def _keyed(_: Things) -> Sequence[Ask]:
    job = {"type": "chart"}
    return [
        Ask(body={**job, "idempotency_key": KEY}),
        Ask(body=job, headers={"Idempotency-Key": KEY}),
        Ask(body={"jobs": [{**job, "idempotency_key": KEY}]}),
    ]


def _batches(things: Things) -> Sequence[Ask]:
    return [Ask(body={"jobs": [job], "mode": mode}) for job in _files_of(things) for mode in ("all", "each")]


def _filters(_: Things) -> Sequence[Ask]:
    plain = [{}, {"tag": SECRET}, {"type": "chart"}, {"error": "broken"}, {"cursor": "9" * 18}, {"queue": "system"}]
    others = [{"user": OWNER}, {"user": "*"}, {"user": OWNER, "tag": SECRET}]
    return [*(Ask(query=query) for query in plain), *(Ask(query=query, everybodys=True) for query in others), _STAR]


def _actions(_: Things) -> Sequence[Ask]:
    filters = [{"tag": SECRET}, {"user": OWNER}, {"user": "*", "tag": SECRET}, {"status": "dead_letter"}]
    asks = [
        Ask(body={"action": action, "filter": where, "dry_run": dry_run}, everybodys="user" in where)
        for action in ("retry", "cancel", "dismiss")
        for where in filters
        for dry_run in (True, False)
    ]
    return [*asks, Ask(body={"action": "cancel", "all": True, "idempotency_key": KEY})]


def _queue(body: object, _: Things) -> Sequence[Ask]:
    return [Ask(path={"name": "default"}, body=body)]


def _upstreams(body: object, things: Things) -> Sequence[Ask]:
    return [Ask(path={"name": f"webhook.{things.webhook}"}, body=body)]


def _schedules(things: Things) -> Sequence[Ask]:
    return [Ask(path={"name": things.schedule}), Ask(path={"name": things.schedule}, headers={"Idempotency-Key": KEY})]


def _schedule(things: Things) -> Sequence[Ask]:
    named = [{**EVERY_MINUTE, "type": "measure", "payload": {"file": things.upload}}, EVERY_MINUTE]
    return [Ask(path={"name": "of-mine"}, body=body) for body in named]


def _hooked(_: Things) -> Sequence[Ask]:
    """A webhook of his own, and one under the owner's key."""
    body = {"url": "https://93.184.216.34/"}
    return [Ask(body=body), Ask(body=body, headers={"Idempotency-Key": KEY})]


def _webhooks(things: Things) -> Sequence[Ask]:
    return [Ask(path={"webhook_id": things.webhook})]


def _changes(things: Things) -> Sequence[Ask]:
    bodies: Sequence[object] = ({"url": "https://93.184.216.34/taken"}, {"disabled": True}, {})
    return [Ask(path={"webhook_id": things.webhook}, body=body) for body in bodies]


def _replays(things: Things) -> Sequence[Ask]:
    return [
        Ask(path={"webhook_id": webhook, "job_id": job_id})
        for webhook in (things.webhook, things.receiver)
        for job_id in things.jobs
    ]


def _session(things: Things) -> Sequence[Ask]:
    return [Ask(body={"key": text}) for text in ("tg_x", things.webhook)]


def _cookies(_: Things) -> Sequence[Ask]:
    return [Ask(headers={"Cookie": f"tidegate_session={text}"}) for text in ("x", f"aaaaaaaa.{'0' * 32}.{'0' * 64}")]


_KEY_ID: Final = {"key_id": "aaaaaaaa"}

ROWS: Final[Mapping[str, Sequence[Row]]] = {
    "service_index": [Row(Verdict.BLIND, _plain)],
    "service_health": [Row(Verdict.BLIND, _plain)],
    "service_ready": [Row(Verdict.BLIND, _plain)],
    "service_metrics": [Row(Verdict.BLIND, _plain)],
    "jobs_submit": [Row(Verdict.UNKNOWN, _submits), Row(Verdict.BLIND, _keyed)],
    "jobs_submit_many": [Row(Verdict.UNKNOWN, _batches), Row(Verdict.BLIND, _keyed)],
    "jobs_act_on_many": [Row(Verdict.BLIND, _actions)],
    "jobs_find": [Row(Verdict.BLIND, _filters)],
    "jobs_dead_letters": [Row(Verdict.BLIND, _filters)],
    "jobs_types": [Row(Verdict.BLIND, _plain)],
    "jobs_status": [Row(Verdict.UNKNOWN, _waiting)],
    **{
        f"jobs_{verb}": [Row(Verdict.UNKNOWN, _jobs)]
        for verb in ("show", "history", "usage", "attempts", "follow", "result", "artifacts")
    },
    **{f"jobs_{verb}": [Row(Verdict.UNKNOWN, _jobs)] for verb in ("cancel", "retry", "dismiss")},
    "jobs_artifact": [Row(Verdict.UNKNOWN, _files)],
    "events_listen": [Row(Verdict.STREAM, _plain)],
    "uploads_receive": [Row(Verdict.BLIND, lambda _: [Ask(body={"a": 1})])],
    "queues_find": [Row(Verdict.BLIND, _plain)],
    "queues_history": [Row(Verdict.BLIND, partial(_queue, None))],
    "queues_show": [Row(Verdict.BLIND, partial(_queue, None))],
    **{f"queues_{verb}": [Row(Verdict.ROLE, partial(_queue, {}))] for verb in ("pause", "resume")},
    **{f"queues_{verb}": [Row(Verdict.ROLE, partial(_queue, None))] for verb in ("limited", "succeeded")},
    "upstreams_find": [Row(Verdict.OPERATORS, _plain)],
    "upstreams_show": [Row(Verdict.OPERATORS, partial(_upstreams, None))],
    "upstreams_history": [Row(Verdict.OPERATORS, partial(_upstreams, None))],
    "upstreams_override": [Row(Verdict.ROLE, partial(_upstreams, {"state": "off"}))],
    "upstreams_clear": [Row(Verdict.ROLE, partial(_upstreams, None))],
    "upstreams_reset": [Row(Verdict.ROLE, partial(_upstreams, None))],
    "upstreams_record": [Row(Verdict.ROLE, partial(_upstreams, {"took": 1}))],
    "workers_find": [Row(Verdict.BLIND, _plain)],
    "schedules_find": [Row(Verdict.BLIND, lambda _: [Ask(), _STAR])],
    "schedules_put": [Row(Verdict.BLIND, _schedule)],
    **{
        f"schedules_{verb}": [Row(Verdict.UNKNOWN, _schedules)]
        for verb in ("show", "delete", "pause", "resume", "trigger")
    },
    "webhooks_find": [Row(Verdict.BLIND, lambda _: [Ask(), _STAR])],
    "webhooks_create": [Row(Verdict.BLIND, _hooked)],
    "webhooks_change": [Row(Verdict.UNKNOWN, _changes)],
    **{
        f"webhooks_{verb}": [Row(Verdict.UNKNOWN, _webhooks)]
        for verb in ("show", "remove", "rotate", "test", "deliveries")
    },
    "webhooks_replay": [Row(Verdict.UNKNOWN, _replays)],
    "keys_find": [Row(Verdict.ROLE, _plain)],
    "keys_make": [Row(Verdict.ROLE, lambda _: [Ask(body={"name": "a", "role": "admin"})])],
    **{f"keys_{verb}": [Row(Verdict.ROLE, lambda _: [Ask(path=_KEY_ID)])] for verb in ("show", "revoke", "rotate")},
    "session_show": [Row(Verdict.BLIND, _plain)],
    "session_begin": [Row(Verdict.BLIND, _session)],
    "session_end": [Row(Verdict.BLIND, _cookies)],
}
"""By the operation's id."""
