"""How many calls an upstream gets at once: fewer after each congestion, more with each success.

Additive increase, multiplicative decrease with a slow start, as TCP does it (RFC 5681): one decrease for all calls
that were under way, since they tell of one and the same congestion.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from tidegate.core.rules import Rules
from tidegate.core.upstream import MOST_MARKS, UNKNOWN_LEVEL, Present, Upstream, Window

UNUSED: Final = 0.5
"""A limit of which less is in use does not bind."""

FROM_CLAIM_TO_CALL: Final = timedelta(milliseconds=50)
"""How long after its claim a call may begin: what it meets then was let through by the limit before."""


def cut(upstream: Upstream, keep: float | None, present: Present, at: datetime, began: datetime) -> Upstream:
    """One congestion, met `at` by a call that `began` then: `keep` of the calls at once; None where nothing adapts.

    Calls that had begun by `at` say nothing new; and of the limit none does that was claimed before it was lowered.
    """
    upstream = replace(upstream, cut_at=at)
    if keep is None or (upstream.lowered_at is not None and began <= upstream.lowered_at):
        return upstream
    ran = float(present.running) or upstream.level or UNKNOWN_LEVEL
    base = ran if upstream.limit is None else min(upstream.limit, max(ran, 2.0))
    limit = max(base * keep, 1.0)
    lowered = present.now + FROM_CLAIM_TO_CALL
    return replace(upstream, limit=limit, threshold=limit, level=max(upstream.level, base), lowered_at=lowered)


def grown(upstream: Upstream, successes: int) -> Upstream:
    """One more for each success up to the threshold, then one more a round; it at most doubles at a time."""
    if upstream.limit is None:
        return upstream
    limit, most = upstream.limit, upstream.limit * 2
    for _ in range(min(successes, MOST_MARKS)):
        limit += 1.0 if limit < upstream.threshold else 1.0 / limit
    return replace(upstream, limit=min(limit, most))


def restarted(upstream: Upstream, rules: Rules, now: datetime) -> Upstream:
    """With the few calls at once that a ramp begins with."""
    if rules.adapting is None:
        return replace(upstream, limit=None, ramping=False, threshold=0.0)
    start = float(rules.adapting.start)
    threshold = max((upstream.level or UNKNOWN_LEVEL) * 0.5, start)
    return replace(upstream, limit=start, ramping=True, threshold=threshold, cut_at=now)


def lifting(upstream: Upstream, rules: Rules, now: datetime) -> bool:
    """Whether there would be no limit any more, did none of it bind: then how many calls run must be known."""
    return upstream.limit is not None and calmed(upstream, rules, Present(now=now)).limit is None


def calmed(upstream: Upstream, rules: Rules, present: Present) -> Upstream:
    """No limit any more where none was needed for long, and after as long without one no ramp any more.

    A limit that binds is needed: without it all that waits would come at once. Until the end of the ramp a burst of
    refusals is one congestion more. Time in which nothing could be claimed does not count.
    """
    now = present.now
    if upstream.limit is None and not upstream.ramping:
        return upstream
    if upstream.limit is not None and present.running > upstream.limit * UNUSED:
        return upstream
    if rules.adapting is not None and upstream.cut_at is not None:
        since = max(upstream.cut_at, upstream.gate_until or upstream.cut_at)
        proving = upstream.limit is not None and (
            upstream.limit < upstream.threshold or upstream.slow_since is not None
        )
        if proving or now - since < rules.adapting.calm:
            return upstream
    ramping = upstream.ramping and upstream.limit is not None and rules.adapting is not None
    return replace(upstream, limit=None, ramping=ramping, threshold=0.0, slow_since=None, cut_at=now)


def counted(upstream: Upstream, rules: Rules, now: datetime, more: Window) -> Upstream:
    """With the calls of `more` in the window that `now` is in."""
    spans = [rule.within for rule in (rules.rate, rules.slow) if rule is not None]
    if not spans:
        return upstream
    windows, slot = upstream.windows, max(spans) / 6
    if windows and now - windows[0].start < slot:
        newest, *older = windows
    else:
        newest, older = Window(start=now), list(windows)
    newest = replace(newest, ok=newest.ok + more.ok, bad=newest.bad + more.bad, slow=newest.slow + more.slow)
    return replace(upstream, windows=(newest, *older[:6]))


def recent(upstream: Upstream, within: timedelta, now: datetime) -> Window:
    """All calls of the windows that began `within`."""
    windows = [window for window in upstream.windows if now - window.start <= within]
    ok, bad, slow = (sum(getattr(window, kind) for window in windows) for kind in ("ok", "bad", "slow"))
    return Window(start=now - within, ok=ok, bad=bad, slow=slow)


def faded(upstream: Upstream, rules: Rules, now: datetime) -> Upstream:
    """Without faults and windows that are too old for every rule."""
    spans = [rule.within for rule in (rules.count, rules.rate, rules.slow) if rule is not None]
    longest = max(spans, default=timedelta(0))
    faults = tuple(mark for mark in upstream.faults if now - mark.at <= longest)
    windows = tuple(window for window in upstream.windows if now - window.start <= longest)
    if len(faults) == len(upstream.faults) and len(windows) == len(upstream.windows):
        return upstream
    return replace(upstream, faults=faults, windows=windows)
