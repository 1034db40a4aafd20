"""What is handed in: nothing but what JSON can say, and told as made by who has made it."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, nan

import pytest
from pydantic import BaseModel

from tests.sdk.playing import Came, Play, said
from tidegate.errors import InvalidInput
from tidegate.sdk import AsyncClient
from tidegate.sdk.exchange import Broken
from tidegate.sdk.options import SubmitOptions
from tidegate.sdk.submitting import submit, submit_many

JOB = "01890a5d-ac96-774b-bcce-b302099a8057"
LOST = Broken("ReadTimeout")
REPLAYED = said(200, {"job_id": JOB, "status": "queued"})


@dataclass
class Plain:
    """A payload."""

    count: float


class Model(BaseModel):
    """Another."""

    count: float


@pytest.mark.parametrize(
    ("payload", "place"),
    [
        ({"count": nan}, "payload.count"),
        ({"rows": [{"x": 1.5, "none": None}, {"x": -inf}]}, "payload.rows.1.x"),
        (Plain(nan), "payload.count"),
        (Model(count=inf), "payload.count"),
        (nan, "payload"),
    ],
)
def test_a_number_that_json_can_t_say_is_refused_by_its_place_before_anything_is_sent(
    payload: object, place: str
) -> None:
    play = Play([])
    with pytest.raises(InvalidInput) as refused:
        play.run(submit(play.means(), "echo", payload, {}))
    assert (refused.value.field, play.asked) == (place, [])


@pytest.mark.parametrize("options", [{"delay": nan}, {"timeout": inf}], ids=str)
def test_an_option_that_is_no_number_is_no_silent_default(options: SubmitOptions) -> None:
    play = Play([])
    with pytest.raises(InvalidInput) as refused:
        play.run(submit(play.means(), "echo", {}, options))
    assert refused.value.field in options


async def test_a_pause_that_lasts_no_number_of_seconds_is_no_pause_for_ever(client: AsyncClient) -> None:
    with pytest.raises(InvalidInput, match=r"^seconds: "):
        await client.queues.pause_queue("content", last=nan)
    assert not await client.queues.is_queue_paused("content")


@pytest.mark.parametrize("payload", [{"null": None, "text": "null"}, None, [1.5, None]])
def test_what_json_can_say_is_sent(payload: object) -> None:
    play = Play([said(201, {"job_id": JOB, "status": "queued"})])
    assert play.run(submit(play.means(), "echo", payload, {})).created


@pytest.mark.parametrize(("options", "created"), [({}, True), ({"idempotency_key": "k"}, False)], ids=str)
def test_a_repeat_that_met_its_own_first_request_has_made_the_job_where_nobody_else_has_the_key(
    options: SubmitOptions, created: bool
) -> None:
    play = Play([LOST, REPLAYED])
    assert play.run(submit(play.means(), "echo", {}, options)).created is created


IN_BULK: Mapping[str, list[Came]] = {
    "in bulk": [LOST, said(200, {"items": [{"job_id": JOB, "created": False}]})],
    "one by one": [said(404, {}), LOST, REPLAYED],
}


@pytest.mark.parametrize("way", IN_BULK)
def test_so_has_a_repeat_of_many(way: str) -> None:
    for keys, created in (((), True), (("k",), False)):
        play = Play(IN_BULK[way])
        [one] = play.run(submit_many(play.means(), "echo", [{}], keys, {}))
        assert one.created is created
