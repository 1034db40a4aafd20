"""What a handler raised: told to the job's log as class and frames, and turned into a failure.

The exception's text may hold what a user sent, so it goes to the job's error, which only that user sees, and
never to a log.
"""

from contextlib import suppress

from tidegate.context import Log
from tidegate.core.failure import BUDGET_SPENT, Failure, failure_of
from tidegate.errors import Defer, OutOfBudget, Steer, UpstreamUnavailable
from tidegate.telemetry.redaction import trace
from tidegate.worker.calling import Calls
from tidegate.worker.origins import leaves
from tidegate.worker.producing import GaveWay


def raised(error: BaseException, log: Log, calls: Calls | None) -> Failure | GaveWay:
    """The failure; a handler that chose its ending by a `Steer` has nothing to explain.

    `calls` learn which of them it came from.
    """
    if calls is not None:
        calls.blame(error)
    for each in leaves(error):
        match each:
            case OutOfBudget():
                return GaveWay(until=each.until, failure=Failure(code=BUDGET_SPENT, message=str(each)))
            case UpstreamUnavailable():
                return GaveWay(upstream=each.upstream, refused=True)
            case Defer():
                return GaveWay(after=each.after, upstream=each.upstream)
    failure = failure_of(error)
    if not isinstance(error, Steer):
        with suppress(Exception):  # an exception of somebody else's class may not even bear being looked at
            log.warning("job.raised", error_type=failure.error_type, traceback=trace(error))
    return failure
