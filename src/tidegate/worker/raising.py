"""What a handler raised: told to the job's log as class and frames, and turned into a failure.

The exception's text may hold what a user sent, so it goes to the job's error, which only that user sees, and
never to a log.
"""

from tidegate.context import Log
from tidegate.core.failure import Failure, failure_of
from tidegate.errors import Steer
from tidegate.telemetry.redaction import trace


def raised(error: BaseException, log: Log) -> Failure:
    """The failure; a handler that chose its ending by a `Steer` has nothing to explain."""
    if not isinstance(error, Steer):
        log.warning("job.raised", error_type=type(error).__name__, traceback=trace(error))
    return failure_of(error)
