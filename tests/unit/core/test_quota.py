"""What a user's jobs of an hour are counted against."""

from datetime import timedelta

from tidegate.core.quota import enqueued


def test_a_users_jobs_count_in_one_window_of_their_own_whoever_makes_them() -> None:
    (take,) = enqueued("ada", 60, n=3)
    assert (take.key, take.n, take.limit, take.window) == ("enqueue:user:ada", 3, 60, timedelta(hours=1))
    assert enqueued("ada", 60)[0].n == 1
    assert enqueued("bob", 60)[0].key != take.key


def test_a_limit_of_none_counts_nothing() -> None:
    assert enqueued("ada", 0) == []
