"""Write what a run made into the artifact store, before it is settled."""

import asyncio
import json
from datetime import UTC
from typing import Final, TypeGuard

from tidegate.core.failure import ARTIFACT_FAILED, Failure
from tidegate.core.job import INLINE_RESULT_LIMIT, Lease, Lost, Outcome, Raised, Returned
from tidegate.core.paths import ERROR, run_prefix
from tidegate.errors import TidegateError
from tidegate.telemetry.events import ResultStoreFailed, ref
from tidegate.worker.producing import Made, Produced
from tidegate.worker.runtime import Runtime

RESULT = "result.json"


NOTHING: Final = Returned()


def wants_keeping(made: Made) -> TypeGuard[Produced]:
    """Whether there is anything to store."""
    return isinstance(made, Produced) and (made.result is not None or bool(made.saved))


def told(made: Produced | Failure | Lost) -> Outcome:
    """The outcome of a run that left nothing to store."""
    match made:
        case Failure():
            return Raised(failure=made)
        case Lost():
            return made
        case Produced(degraded=False, served_by=None):
            return NOTHING
        case Produced():
            return Returned(degraded=made.degraded, served_by=made.served_by)


async def keep(lease: Lease, made: Produced, to: Runtime) -> Outcome:
    """Store the run's artifacts and result; the outcome is `Raised` when they can't be kept. Never raises."""
    try:
        path = await _stored(lease, made, to)
    except asyncio.CancelledError:
        raise
    except BaseException as exc:  # ours, a driver's panic, or what came of files that the handler took away again
        to.emit(ResultStoreFailed(job=ref(lease.job), error_type=type(exc).__name__))
        return Raised(failure=_unkept(exc))
    inline = made.result if made.result is not None and len(made.result) <= INLINE_RESULT_LIMIT else None
    return Returned(result=inline, result_path=path, degraded=made.degraded, served_by=made.served_by)


def _unkept(error: BaseException) -> Failure:
    name = type(error).__name__
    # Any other error's text may hold a path of this machine, and a failure's message is shown to the user.
    told = str(error) if isinstance(error, TidegateError) else f"what the run saved can't be read back: {name}"
    return Failure(code=ARTIFACT_FAILED, message=told, error_type=name)


async def _stored(lease: Lease, made: Produced, to: Runtime) -> str | None:
    """Where the result is, None where there is none. A handler may have saved one itself."""
    prefix = run_prefix(lease.job.id, lease.job.counters.runs, lease.token)
    for saved in made.saved:
        await to.artifacts.put(prefix + saved.name, saved.path, content_type=saved.content_type)
    if any(saved.name == RESULT for saved in made.saved):
        return prefix + RESULT
    if made.result is None:
        return None
    await to.artifacts.put(prefix + RESULT, made.result, content_type="application/json")
    return prefix + RESULT


async def keep_error(lease: Lease, failure: Failure, to: Runtime) -> None:
    """Write `error.json` for a job about to be buried; if that fails too, say so and go on. Never raises."""
    job = lease.job
    error = {
        "job_id": job.id,
        "status": "failed",
        "error": failure.code,
        "message": failure.message,
        "timestamp": to.clock.now().astimezone(UTC).isoformat().replace("+00:00", "Z"),
    }
    path = run_prefix(job.id, job.counters.runs, lease.token) + ERROR
    try:
        await to.artifacts.put(path, json.dumps(error).encode(), content_type="application/json")
    except asyncio.CancelledError:
        raise
    except BaseException as exc:  # nothing may keep a job from ending
        to.emit(ResultStoreFailed(job=ref(job), error_type=type(exc).__name__))
