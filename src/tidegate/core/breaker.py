"""The circuit breaker: what calls came to, and time, make of an `Upstream`.

`observe` folds in a tally of calls, `tick` what time alone changes. Sources: the states are Nygard's (Release It!),
fenced by an era as gobreaker's by a generation; "the n-th newest fault is within the window" is Semian's ring.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from tidegate.core.adaptive import calmed, counted, cut, faded, grown, recent, restarted
from tidegate.core.billing import billed
from tidegate.core.budget import forgotten
from tidegate.core.fault import REACTIONS, Fault
from tidegate.core.rules import Rules
from tidegate.core.upstream import (
    BUDGET,
    MOST_MARKS,
    MOST_OWED,
    Override,
    Present,
    Seen,
    State,
    Tally,
    Transition,
    Upstream,
    Window,
    balance,
    next_era,
    overridden,
    paced,
    state,
    told,
    word_at,
)


def observe(upstream: Upstream, tally: Tally, rules: Rules, present: Present) -> Upstream:
    """Fold in what calls came to. The same arguments give the same value.

    Of a tally of an older era nothing counts but what its calls cost.
    """
    upstream = billed(upstream, tally, rules, present.now)
    if tally.era < upstream.since:
        return upstream
    tally = _dated(tally, present.now)
    upstream = _waiting(_paid(upstream, tally, rules, present.now), tally, rules, present.now)
    if upstream.state is State.OPEN:
        return _judged(upstream, tally, rules, present)
    upstream = _praised(upstream, tally, rules, present)
    for seen in tally.faults:
        upstream = _faulted(upstream, seen, rules, present)
        if upstream.state is State.OPEN:
            return upstream
    return _slowed(upstream, tally, rules, present)


def tick(upstream: Upstream, rules: Rules, present: Present, probing: timedelta | None = None) -> Upstream:
    """What time alone changes.

    `probing` is how long the caller's oldest call has run that it was let through since `since`; None without one.
    """
    now = present.now
    if upstream.override is not None and word_at(upstream, now) is None:
        upstream = overridden(upstream, None, now, "expiry")
    if upstream.pace_until is not None and upstream.pace_until <= now:
        upstream = replace(upstream, pace=None, pace_until=None)
    if upstream.state is State.OPEN:
        return _hurried(upstream, rules, present, probing)
    if word_at(upstream, now) is Override.OPEN:  # whoever waits meanwhile must not come all at once
        held = upstream.ramping and upstream.limit is not None
        return upstream if held else restarted(upstream, rules, now)
    return calmed(faded(upstream, rules, now), rules, present)


def _dated(tally: Tally, now: datetime) -> Tally:
    """In order of time, and nothing later than now, though a worker's clock may be ahead."""
    faults = [replace(seen, at=min(seen.at, now)) for seen in tally.faults]
    good = [replace(mark, at=min(mark.at, now)) for mark in tally.good]
    return replace(tally, faults=tuple(sorted(faults, key=lambda seen: seen.at)), good=tuple(good))


def _waiting(upstream: Upstream, tally: Tally, rules: Rules, now: datetime) -> Upstream:
    """With the latest end of what any Retry-After asked for."""
    asking = [seen for seen in tally.faults if seen.retry_after is not None and REACTIONS[seen.fault].counts]
    ends = [now + _asked(seen, rules) for seen in asking]
    return replace(upstream, gate_until=max(*ends, upstream.gate_until or now)) if ends else upstream


def _paid(upstream: Upstream, tally: Tally, rules: Rules, now: datetime) -> Upstream:
    """With its budget of retries, the pace it asked for, and what is owed to that."""
    if tally.pace is not None and tally.pace_until is not None:
        upstream = replace(upstream, pace=tally.pace, pace_until=min(tally.pace_until, now + rules.longest_gate))
    pace = paced(upstream, rules, now)
    if tally.starts and pace is not None:
        owed = max(upstream.owed_until or now, now) + min(tally.starts * pace.period, MOST_OWED)
        upstream = replace(upstream, owed_until=min(owed, now + MOST_OWED))
    if not (tally.ok or tally.retries):
        return upstream
    budget = min(balance(upstream, now) + tally.ok * 0.1, BUDGET) - tally.retries
    return replace(upstream, budget=max(budget, 0.0), budget_at=now)


# opening and closing ----------------------------------------------------------------------------------------------


def _opened(upstream: Upstream, until: datetime, why: str, present: Present) -> Upstream:
    """Open, or open again: a new era, in which one probe is admitted from `until` on."""
    era, level = next_era(upstream, present.now), upstream.level
    if upstream.state is State.CLOSED:
        ran = max(upstream.limit or 0.0, float(present.running))
        level = max(ran, level) if upstream.ramping else ran or level  # a ramp cut short tells of no level
    opened = replace(upstream, state=State.OPEN, era=era, since=era, until=until, why=why, level=level)
    opened = replace(opened, probes=1, run=0, slow_since=None, lent_until=None)
    return told(opened, Transition(at=present.now, to=State.OPEN, why=why, until=until))


def reset(upstream: Upstream, rules: Rules, present: Present, author: str) -> Upstream:
    """Closed by an operator: no former word and no Retry-After holds, and nothing is spent of its budget.

    It ramps up as after a probe that succeeded.
    """
    cleared = replace(upstream, override=None, gate_until=None, spending=forgotten(upstream.spending))
    return _closed(cleared, rules, present, "reset", author)


def _closed(upstream: Upstream, rules: Rules, present: Present, why: str, author: str = "") -> Upstream:
    """Closed, and ramping up from a few calls; what was held against it is forgotten."""
    era = next_era(upstream, present.now)
    closed = Upstream(
        era=era,
        since=era,
        usual=upstream.usual,
        level=upstream.level,
        cut_at=present.now,
        gate_until=upstream.gate_until,
        pace=upstream.pace,
        pace_until=upstream.pace_until,
        owed_until=upstream.owed_until,
        budget=upstream.budget,
        budget_at=upstream.budget_at,
        override=upstream.override,
        limited=upstream.limited,
        spending=upstream.spending,
        log=upstream.log,
    )
    change = Transition(at=present.now, to=State.CLOSED, why=why, author=author)
    return told(restarted(closed, rules, present.now), change)


def _trip(upstream: Upstream, rules: Rules, present: Present, why: str) -> Upstream:
    """Open by a rule, longer the more often in a row."""
    times = rules.open_time
    wait = _lengthened(times.first, times.factor, upstream.opens + 1 - times.grace, times.cap)
    return _paused(upstream, rules, present, max(wait, times.first), why)


def next_probe_in(upstream: Upstream, rules: Rules) -> timedelta:
    """How long it stays open at most, should its probe fail now; zero where it has none under way.

    Whose call failed as a probe comes back a little later than that: else a job that always fails would be every probe.
    """
    if upstream.state is not State.OPEN:
        return timedelta(0)
    times = rules.open_time
    wait = _lengthened(times.first, times.factor, upstream.opens + 1 - times.grace, times.cap)
    return max(wait, times.first) * (1 + times.jitter) + rules.probing.soft / 5


def _paused(upstream: Upstream, rules: Rules, present: Present, wait: timedelta, why: str) -> Upstream:
    """Open for `wait`, or for as long as a Retry-After says."""
    until = present.now + wait * (1 + rules.open_time.jitter * present.dice)
    opened = replace(upstream, opens=upstream.opens + 1)
    return _opened(opened, max(until, upstream.gate_until or until), why, present)


def _lengthened(first: timedelta, factor: float, times: int, cap: timedelta) -> timedelta:
    return timedelta(seconds=min(first.total_seconds() * factor ** min(max(times, 0), 64), cap.total_seconds()))


def _blocked(upstream: Upstream, seen: Seen, rules: Rules, present: Present) -> Upstream:
    """Open for long: only money, a new credential or a new month helps, and a probe finds out."""
    tries = upstream.opens if upstream.block is not None else 0
    wait = _lengthened(rules.blocking.first, 2.0, tries, rules.blocking.cap)
    if seen.retry_after is not None:
        wait = max(_asked(seen, rules), rules.probing.limited)
    blocked = replace(upstream, block=seen.fault, opens=tries + 1)
    return _opened(blocked, present.now + wait * (1 + rules.open_time.jitter * present.dice), seen.fault, present)


# while open: the probe decides ------------------------------------------------------------------------------------


def _judged(upstream: Upstream, tally: Tally, rules: Rules, present: Present) -> Upstream:
    """One success closes. A rate limit proves that somebody is there: ask again soon. Any other fault opens again."""
    if tally.ok:
        return _closed(upstream, rules, present, "a probe succeeded")
    if upstream.until is not None and present.now < upstream.until:
        return upstream  # no probe, but a call that an operator let through
    for seen in tally.faults:
        if REACTIONS[seen.fault].blocks:
            return _refused(upstream, seen, rules, present)
        if seen.fault is Fault.RATE_LIMITED:
            until = present.now + rules.probing.limited
            return _again(upstream, max(until, upstream.gate_until or until), present)
        if REACTIONS[seen.fault].counts:
            return _trip(replace(upstream, block=None), rules, present, f"its probe failed: {seen.fault}")
    return upstream


def _again(upstream: Upstream, until: datetime, present: Present) -> Upstream:
    """Open on, for a little longer: that is told once, however often its probes are rate limited."""
    why = "its probe was rate limited"
    opened, newest = _opened(upstream, until, why, present), upstream.log[0] if upstream.log else None
    if newest is None or (newest.to, newest.why) != (State.OPEN, why):
        return opened
    return replace(opened, log=(replace(newest, until=until), *upstream.log[1:]))


def lent(upstream: Upstream, rules: Rules, now: datetime) -> Upstream:
    """With its probe given to a call that waits in no lane of its own; as it is where it has none to give."""
    taken = upstream.lent_until is not None and upstream.lent_until > now
    if taken or state(upstream, now) is not State.HALF_OPEN:
        return upstream
    return replace(upstream, lent_until=now + rules.probing.soft)


def _hurried(upstream: Upstream, rules: Rules, present: Present, probing: timedelta | None) -> Upstream:
    """A probe that takes long gets company; one that hangs has failed."""
    if probing is None or state(upstream, present.now) is not State.HALF_OPEN:
        return upstream
    if probing >= rules.probing.hard:
        return _trip(upstream, rules, present, "its probe hung")
    due = min(1 + int(probing / rules.probing.soft), rules.probing.most)
    return replace(upstream, probes=due) if due > upstream.probes else upstream


# while closed -----------------------------------------------------------------------------------------------------


def _praised(upstream: Upstream, tally: Tally, rules: Rules, present: Present) -> Upstream:
    """What successes change: the run of rate limits ends, the limit grows, what is usual is learned.

    The limit grows not while an operator has it open: whoever waits meanwhile must not come all at once.
    """
    if not tally.ok:
        return upstream
    jobs, quick = {mark.job for mark in tally.good}, tally.ok - tally.slow
    others = [mark for mark in upstream.good if mark.job not in jobs]
    good = tuple(sorted((*tally.good, *others), key=lambda mark: mark.at, reverse=True)[:2])
    mean = tally.seconds / quick if quick else upstream.usual
    weight = min(quick * 0.05, 0.5) if upstream.usual else 1.0
    upstream = replace(upstream, good=good, refusals=0, usual=upstream.usual + (mean - upstream.usual) * weight)
    if upstream.run_at is None or not good or good[0].at >= upstream.run_at:
        upstream = replace(upstream, run=0)
    if quick and upstream.slow_since is not None:
        upstream = replace(upstream, slow_since=None, threshold=max(upstream.threshold, upstream.level * 0.5))
    if upstream.windows or tally.slow or tally.faults:  # while nothing is wrong there is nothing to count
        upstream = counted(upstream, rules, present.now, Window(start=present.now, ok=quick, slow=tally.slow))
    return upstream if word_at(upstream, present.now) is Override.OPEN else grown(upstream, quick)


def _faulted(upstream: Upstream, seen: Seen, rules: Rules, present: Present) -> Upstream:
    """What one fault changes."""
    reaction = REACTIONS[seen.fault]
    if reaction.blocks:
        return _refused(upstream, seen, rules, present)
    if not reaction.counts or _poisoned(upstream, seen):
        return upstream
    fresh = upstream.cut_at is None or seen.at - seen.lasted > upstream.cut_at
    held = _held(upstream, seen, fresh=fresh)
    if fresh and reaction.congests:
        upstream = cut(upstream, _kept(rules, seen.fault), present, seen.at, seen.at - seen.lasted)
    if fresh and seen.fault is Fault.RATE_LIMITED:
        since = bool(upstream.good) and upstream.good[0].at >= seen.at
        upstream = replace(upstream, run=0 if since else upstream.run + 1, run_at=seen.at)
    if held:
        upstream = replace(upstream, faults=(seen.mark, *upstream.faults)[:MOST_MARKS])
        upstream = counted(upstream, rules, present.now, Window(start=present.now, bad=1))
    return _tripped(upstream, rules, present)


def _poisoned(upstream: Upstream, seen: Seen) -> bool:
    """Whether the job is the matter: it failed here before, and another job succeeded in between."""
    same = next((mark.at for mark in upstream.faults if mark.job == seen.job), None) if seen.job else None
    return same is not None and any(mark.at > same and mark.job != seen.job for mark in upstream.good)


def _held(upstream: Upstream, seen: Seen, *, fresh: bool) -> bool:
    """Whether a fault is held against the breaker.

    While ramping no rate limit since whose like something succeeded: it says where the limit is, not that all fails.
    """
    if not upstream.ramping or seen.fault not in (Fault.RATE_LIMITED, Fault.OVERLOADED):
        return True
    return fresh and not (upstream.good and upstream.cut_at is not None and upstream.good[0].at >= upstream.cut_at)


def _refused(upstream: Upstream, seen: Seen, rules: Rules, present: Present) -> Upstream:
    """A quota used up, or a credential refused: by the refusals of different jobs, as one may ask for too much."""
    if seen.job and seen.job == upstream.refused and upstream.block is None and seen.fault is not Fault.QUOTA:
        return upstream
    upstream = replace(upstream, refused=seen.job)
    refusals = upstream.refusals + 1
    known = seen.fault is Fault.QUOTA or upstream.block is not None
    if _may_open(upstream, present) and (known or refusals >= rules.blocking.refusals):
        return _blocked(upstream, seen, rules, present)
    return replace(upstream, refusals=refusals)


def _tripped(upstream: Upstream, rules: Rules, present: Present) -> Upstream:
    """Open where a rule says so, unless an operator forbids it."""
    if not _may_open(upstream, present):
        return upstream
    if rules.count is not None:
        within, marks = rules.count.within, upstream.faults
        near = [mark for mark in marks if present.now - mark.at <= within]
        if len(near) > rules.count.more_than and len({mark.source for mark in near}) >= rules.count.sources:
            return _trip(upstream, rules, present, f"{len(near)} faults in {within.total_seconds():g} s")
    if rules.run is not None and upstream.run >= rules.run.length:
        return _paused(upstream, rules, present, rules.run.pause, f"{upstream.run} rate limits in a row")
    if rules.rate is not None and not upstream.ramping:
        calls = recent(upstream, rules.rate.within, present.now)
        number = calls.ok + calls.bad + calls.slow
        if number >= rules.rate.calls and calls.bad >= rules.rate.share * number:
            return _trip(upstream, rules, present, f"{calls.bad} of {number} calls failed")
    return upstream


def _may_open(upstream: Upstream, present: Present) -> bool:
    return word_at(upstream, present.now) not in (Override.CLOSED, Override.OFF)


def _slowed(upstream: Upstream, tally: Tally, rules: Rules, present: Present) -> Upstream:
    """Fewer calls at once where many are slow; open where even one at a time stayed slow."""
    rule = rules.slow
    if rule is None or not tally.slow:
        return upstream
    if upstream.slow_since is not None and upstream.limit == 1.0:
        late = present.now - upstream.slow_since >= rule.patience and _may_open(upstream, present)
        return _trip(upstream, rules, present, "slow, one call at a time") if late else upstream
    calls = recent(upstream, rule.within, present.now)
    number = calls.ok + calls.bad + calls.slow
    enough = rule.calls if upstream.limit is None else min(rule.calls, int(upstream.limit))
    if number < enough or calls.slow < rule.share * number:
        return upstream
    if upstream.cut_at is not None and present.now - upstream.cut_at < rule.at_least:
        return upstream
    kept = _kept(rules, Fault.SLOW)
    return replace(cut(upstream, kept, present, present.now, present.now), slow_since=present.now)


def _kept(rules: Rules, fault: Fault) -> float | None:
    if rules.adapting is None:
        return None
    return rules.adapting.keep_limited if fault is Fault.RATE_LIMITED else rules.adapting.keep


def _asked(seen: Seen, rules: Rules) -> timedelta:
    return min(max(seen.retry_after or timedelta(0), timedelta(0)), rules.longest_gate)
