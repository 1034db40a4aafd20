"""Whatever is stored reads back as it was, and what the writer knows by heart is what the tables say."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance import build
from tests.conformance.build import new_job, seconds
from tests.conformance.harness import Harness
from tests.engines.sqlite.desk import desk
from tests.engines.sqlite.worlds import cancels, claims, reclaims, renews, revives, settles, submits, world
from tidegate.core.failure import Failure
from tidegate.core.job import Bury, Defer, Lane, Progress, Refund, Retention, Succeed
from tidegate.core.retry import Exponential, RetryPolicy, Rule, Steps
from tidegate.core.verbs import Beat
from tidegate.engines.sql import codec
from tidegate.engines.sql.sqlite.ledger import Ledger

ODD = ("", "\0", "a\0b", "\x7f\x1f", '"quoted" \\', "👋🏽 ß \u2028", "'; DROP TABLE jobs; --", "x" * 5_000)
durations = st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=366))
backoffs = st.builds(
    lambda initial, more, factor, jitter: Exponential(
        initial=initial, cap=min(initial + more, timedelta(days=366)), factor=factor, jitter=jitter
    ),
    durations,
    durations,
    st.floats(1, 1_000_000),
    st.floats(0, 1, exclude_max=True),
) | st.builds(Steps, delays=st.lists(durations, min_size=1, max_size=4).map(tuple))
policies = st.builds(
    RetryPolicy,
    backoff=backoffs,
    max_attempts=st.integers(1, 1_000),
    rules=st.lists(st.builds(Rule, error=st.sampled_from(["E", "http:5xx"])), max_size=2).map(tuple),
)


@given(retry=policies, again=st.booleans(), kept=st.timedeltas())
def test_terms_read_back_as_they_were(retry: RetryPolicy, again: bool, kept: timedelta) -> None:
    retention = Retention(succeeded=kept, failed=-kept, cancelled=kept * 0)
    terms = codec.read_terms(codec.write_terms(retry, again, retention))
    assert (terms.retry, terms.retry_on_timeout, terms.retention) == (retry, again, retention)


@given(st.datetimes(timezones=st.just(UTC)))
def test_instants_read_back_to_the_microsecond(instant: datetime) -> None:
    assert codec.instant(codec.stamp(instant)) == instant
    assert codec.stamp(instant) <= codec.LATEST


@pytest.mark.parametrize("text", ODD)
async def test_any_text_reads_back_as_it_was(harness: Harness, text: str) -> None:
    lane = Lane(queue=f"q{text}", upstream=text, parents=(text, "p"))
    new = new_job(user_id=text, tags=(text, "b"), lane=lane, idempotency_key=text, fingerprint=text, request_id=text)
    await build.submit(harness, new)
    (lease,) = (await build.claim(harness, turns=build.turns(lane.queue))).leases
    beat = Beat(lease.job.id, lease.token, Progress(fraction=0.1 + 0.2, message=text))
    await harness.engine.renew([beat], seconds(30))
    running = await build.job(harness, new.id)
    assert (running.spec, running.lane, running.progress) == (new.spec, lane, beat.progress)
    again = await build.claim(harness, lease.token.partition(".")[0], turns=build.turns(lane.queue))
    assert [known.job for known in again.leases] == [running]
    failure = Failure(
        code="c" + text, message=text, error_type=text, transient=False, retry_after=seconds(1.5), status=503
    )
    await build.end(harness, lease, Bury(failure=failure))
    assert (await build.job(harness, new.id)).error == failure
    assert await harness.engine.known([(text, text)]) == [(new.id, text)]


async def test_users_that_differ_behind_a_nul_are_two(harness: Harness) -> None:
    ids = await build.submit(harness, *(new_job(user_id=user, idempotency_key="k") for user in ("a", "a\0b")))
    assert await harness.engine.known([("a", "k"), ("a\0b", "k")]) == [(job_id, "f-1") for job_id in ids]


@pytest.mark.parametrize("size", [0, 1, 8_192, 8_193, 1_048_576])
async def test_a_payload_of_any_size_is_claimed_to_the_byte(harness: Harness, size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + b"\xff" * (size % 256)
    await build.submit(harness, new_job(payload=payload), new_job(payload=b"small"))
    claimed = await build.claim(harness)
    assert [lease.payload for lease in claimed.leases] == [payload, b"small"]
    await build.end(harness, claimed.leases[0], Succeed(result=payload))
    (body,) = await harness.engine.bodies([claimed.leases[0].job.id])
    assert body is not None
    assert (body.payload, body.result) == (payload, payload)


async def test_what_lies_beyond_the_calendar_is_put_at_its_end(harness: Harness) -> None:
    end_of_time = datetime.max.replace(tzinfo=UTC)
    kept = Retention(succeeded=timedelta.max)
    await build.submit(harness, new_job(delay=timedelta.max / 100, type="late"))
    lease = await build.start(harness, retention=kept)
    await build.end(harness, lease, Defer(delay=timedelta.max, refund=Refund.CRASH))
    assert (await build.job(harness, lease.job.id)).run_at == end_of_time
    done = await build.job(harness, await build.finish(harness, Succeed(), retention=kept))
    assert (done.prune_at, done.spec.retention) == (end_of_time, kept)
    assert await build.claimed_ids(harness) == []


async def test_the_ledger_is_what_the_tables_say(store: Path) -> None:
    with desk(store) as to:
        known = await world(to)
        for verb in (submits, claims, renews, settles, reclaims, cancels, revives, claims):
            await to.writer.do(verb(known))
            await to.writer.do(lambda _: _check(to.session.ledger, Ledger(to.connection)))


def _check(live: Ledger, fresh: Ledger) -> None:
    for name in ("lines", "gates"):
        shown = [[str(row) for row in getattr(ledger, name).values()] for ledger in (live, fresh)]
        assert shown[0] == shown[1]
    assert (live.kinds, live.limited, live.last_version) == (fresh.kinds, fresh.limited, fresh.last_version)
    assert (live.last_seq, live.last_turn) == (fresh.last_seq, fresh.last_turn)
    assert live.in_turn("default") == fresh.in_turn("default")
