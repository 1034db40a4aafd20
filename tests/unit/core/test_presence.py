"""When a worker is taken to be at work."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tidegate.core.job import Owner
from tidegate.core.query import WorkerInfo

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_worker_lives_until_it_stops_or_is_not_heard_of_any_more() -> None:
    worker = WorkerInfo(owner=Owner("w1"), host="h", pid=1, started_at=NOW, version="1", slots=4)
    assert worker.lives(NOW)
    assert not replace(worker, stopped=True).lives(NOW)
    silent = replace(worker, live_until=NOW + timedelta(seconds=30))
    assert silent.lives(NOW)
    assert not silent.lives(NOW + timedelta(seconds=30))
