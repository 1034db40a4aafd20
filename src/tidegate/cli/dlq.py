"""`tidegate dlq ...`: dead letters, listed, retried or dismissed, many at a time."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from cyclopts import Parameter

from tidegate.cli import EXIT_FAILED
from tidegate.cli.display import row_of, table
from tidegate.cli.jobs import Where, announced, check_somebody_works, ended, print_json, speak
from tidegate.cli.operating import Item, items, plain, say
from tidegate.cli.service import Service
from tidegate.errors import InvalidInput

LONGEST_WAIT: Final = 24 * 3600.0

_DONE: Final = {"retry": "retried", "dismiss": "dismissed"}


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """Which dead letters."""

    type: Annotated[str | None, Parameter(help="A job type.")] = None
    queue: Annotated[str | None, Parameter(help="A queue.")] = None
    upstream: Annotated[str | None, Parameter(help="An upstream.")] = None
    tag: Annotated[str | None, Parameter(help="A tag.")] = None
    error: Annotated[str | None, Parameter(help="Text in the error.")] = None
    created_from: Annotated[str | None, Parameter(help="Accepted then or later: 2026-01-31T12:00:00Z.")] = None
    created_before: Annotated[str | None, Parameter(help="Accepted before then.")] = None

    @property
    def given(self) -> dict[str, str]:
        """The filters that were given, as the API calls them."""
        names = ("type", "queue", "upstream", "tag", "error", "created_from", "created_before")
        found: dict[str, str | None] = {name: getattr(self, name) for name in names}
        return {name: value for name, value in found.items() if value is not None}


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """In which way."""

    every: Annotated[bool, Parameter(name="--all", negative=(), help="Every dead letter; needed without a filter.")] = (
        False
    )
    dry_run: Annotated[bool, Parameter(negative=(), help="Only say how many that would be.")] = False
    per_second: Annotated[float | None, Parameter(help="At most so many in a second; 100 for retry.")] = None
    limit: Annotated[int | None, Parameter(help="At most so many in all.")] = None
    wait: Annotated[bool, Parameter(negative=(), help="Wait until it is done, showing how far it is.")] = False


def list_letters(
    *,
    which: Letters | None = None,
    limit: Annotated[int, Parameter(help="At most so many (1 to 200).")] = 20,
    cursor: Annotated[str | None, Parameter(help="Go on after a page: its `next`.")] = None,
    where: Where | None = None,
) -> int:
    """List dead letters, newest first."""
    place = where or Where()

    async def ask(service: Service) -> int:
        given = (which or Letters()).given
        page = await service.get("/jobs", status="dead_letter", limit=limit, cursor=cursor, **given)
        if place.as_json:
            print_json(page)
            return 0
        table([row_of(item) for item in items(page)])
        if page.get("next"):
            sys.stderr.write(f"more: --cursor {page['next']}\n")
        return 0

    return speak(place, ask)


def retry(*, which: Letters | None = None, how: How | None = None, where: Where | None = None) -> int:
    """Queue dead letters again, as if new."""
    return _act("retry", which or Letters(), how or How(), where or Where())


def dismiss(*, which: Letters | None = None, how: How | None = None, where: Where | None = None) -> int:
    """Take dead letters off the list; they stay failed."""
    return _act("dismiss", which or Letters(), how or How(), where or Where())


def _act(action: str, which: Letters, how: How, where: Where) -> int:
    if bool(which.given) == how.every:
        raise InvalidInput("--all", "give filters, or --all for every dead letter, and not both")

    async def ask(service: Service) -> int:
        if how.wait:
            check_somebody_works(service)
        body = {"action": action, "filter": {"status": "dead_letter", **which.given}, **_sent(how)}
        answer = (await service.post("/jobs/actions", body)).body
        if how.dry_run:
            _show(answer, where, _counted)
            return 0
        if how.wait:
            with announced(str(answer["job_id"]), where):
                return await _done(service, action, str(answer["job_id"]), where)
        _show(answer, where, lambda accepted: say(plain(accepted["job_id"])))
        return 0

    return speak(where, ask)


def _sent(how: How) -> dict[str, object]:
    given = {"dry_run": how.dry_run or None, "per_second": how.per_second, "limit": how.limit}
    return {name: value for name, value in given.items() if value is not None}


def _counted(answer: Item) -> None:
    least = "" if answer.get("exact") else "at least "
    say(f"{least}{plain(answer.get('matches'))} dead letters match")


async def _done(service: Service, action: str, job_id: str, where: Where) -> int:
    """Wait for the job, and say what came of it."""
    status = await ended(service, job_id, LONGEST_WAIT, quiet=where.as_json)
    if status["status"] != "succeeded":
        sys.stderr.write(f"tidegate: job {job_id} {plain(status['status'])} {plain(status.get('error_message'))}\n")
        return EXIT_FAILED
    _show(await service.get(f"/jobs/{job_id}/result"), where, lambda result: say(summary(action, result)))
    return 0


def summary(action: str, result: Item) -> str:
    """What came of a bulk job, in a line."""
    told, refused = (
        f"{plain(result.get('applied'))} of {plain(result.get('matched'))} {_DONE[action]}",
        result["refused"],
    )
    if not isinstance(refused, Mapping) or not any(refused.values()):
        return told
    return f"{told}; refused: {', '.join(f'{plain(count)} {plain(why)}' for why, count in refused.items())}"


def _show(answer: Item, where: Where, show: Callable[[Item], None]) -> None:
    if where.as_json:
        print_json(answer)
    else:
        show(answer)
