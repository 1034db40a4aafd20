"""What is refused by name: users, job types, payloads, files and query parameters that are not what they must be."""

import json

import httpx2
import pytest

from tests.http.calls import BOB, fields, post, problem
from tidegate.http.problems import MOST_FAULTS


@pytest.mark.parametrize("headers", [{"X-User-ID": ""}, {"X-User-ID": "\x7f"}, {"X-User-ID": "a" * 256}])
async def test_a_bad_user_is_refused(shared: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    problem(await shared.post("/jobs", json={"type": "echo"}, headers=headers), 400, "user-missing")


@pytest.mark.parametrize("path", ["/jobs", "/uploads"])
async def test_a_post_without_a_user_is_refused(shared: httpx2.AsyncClient, path: str) -> None:
    request = httpx2.Request("POST", f"http://here{path}", json={"type": "echo"})  # without the client's headers
    problem(await shared.send(request), 400, "user-missing")


async def test_two_users_at_once_are_refused(shared: httpx2.AsyncClient) -> None:
    sent = httpx2.Headers([("X-User-ID", "ada"), ("X-User-ID", "bob")])
    request = httpx2.Request("POST", "http://here/jobs", headers=sent, json={"type": "echo"})
    problem(await shared.send(request), 400, "user-missing")


async def test_an_unknown_job_type_is_refused_by_name(shared: httpx2.AsyncClient) -> None:
    response = await shared.post("/jobs", json={"type": "no-such-type"})
    assert fields(problem(response, 422, "unknown-job-type")) == ["type"]


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"count": "3"}, "payload.count"),
        ({"count": False}, "payload.count"),
        ({"count": 3.0}, "payload.count"),
        ({"numbers": [1, "2"]}, "payload.numbers.1"),
        ({"other": 1}, "payload.other"),
        ([], "payload"),
        (None, "payload"),
    ],
)
async def test_a_payload_that_does_not_fit_is_refused_by_field(
    shared: httpx2.AsyncClient, payload: object, field: str
) -> None:
    response = await shared.post("/jobs", json={"type": "echo", "payload": payload})
    assert fields(problem(response, 422, "invalid-input")) == [field]


@pytest.mark.parametrize(
    "reference", ["upload:01890a5d-ac96-774b-bcce-b302099a8057", "jobs/x", "upload:../../etc/passwd", ""]
)
async def test_a_file_that_is_not_there_is_refused_by_field(shared: httpx2.AsyncClient, reference: str) -> None:
    response = await shared.post("/jobs", json={"type": "measure", "payload": {"file": reference}})
    assert fields(problem(response, 422, "invalid-input")) == ["payload.file"]


async def test_another_users_file_is_as_unknown_as_one_that_never_was(shared: httpx2.AsyncClient) -> None:
    theirs = (await shared.post("/uploads", content=b"a,b\n1,2\n", headers=BOB)).json()["file"]
    body = {"type": "measure", "payload": {"file": theirs}}
    assert fields(problem(await shared.post("/jobs", json=body), 422, "invalid-input")) == ["payload.file"]
    assert (await shared.post("/jobs", json=body, headers=BOB)).status_code == 201


async def test_several_wrong_fields_are_all_named(shared: httpx2.AsyncClient) -> None:
    body = {"priority": "3", "delay": True, "tags": [1], "colour": "red"}
    response = await shared.post("/jobs", content=json.dumps(body))
    wrong = fields(problem(response, 422, "invalid-input"))
    assert sorted(wrong) == ["colour", "delay", "priority", "tags.0", "type"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "done"),
        ("status", "Failed"),
        ("limit", "0"),
        ("limit", "201"),
        ("limit", "ten"),
        ("limit", "+5"),
        ("limit", "5.0"),
        ("offset", "-1"),
        ("offset", "10001"),
        ("cursor", "last"),
        ("cursor", "9" * 19),
        ("created_from", "yesterday"),
        ("created_before", "2026-01-01"),
        ("tag", ""),
        ("type", "a\x00b"),
        ("user_id", "bob"),
        ("page", "2"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused_by_name(
    shared: httpx2.AsyncClient, name: str, value: str
) -> None:
    response = await shared.get("/jobs", params={name: value})
    assert fields(problem(response, 422, "invalid-input")) == [name]


async def test_what_is_no_time_is_told_in_plain_words(shared: httpx2.AsyncClient) -> None:
    asked = await shared.get("/dead-letters", params={"created_from": "yesterday"})
    posted = await shared.post("/jobs", json={"type": "echo", "run_at": "yesterday"})
    for refused in (asked, posted):
        [fault] = refused.json()["errors"]
        assert fault["message"].startswith("write it like 2026-01-31T12:00:00Z")


@pytest.mark.parametrize(
    ("retry", "field", "said"),
    [
        ({"policy": "exponential", "initial": -1}, "retry.initial", "not -1 s"),
        ({"policy": "steps", "delays": [1e9]}, "retry.delays.0", "not 1e+09 s"),
        ({"policy": "exponential", "initial": 10, "max": 5}, "retry.max", "5 s, is less than the initial 10 s"),
        ({"policy": "steps", "delays": {}}, "retry.delays", "must be a list, not an object"),
        ({"policy": None}, "retry.policy", "must be a string, not null"),
        ({"policy": "steps", "delays": [True]}, "retry.delays.0", "must be a number, not true"),
        ("often", "retry", "Input should be an object"),
    ],
)
async def test_what_is_wrong_is_told_in_words_of_json(
    shared: httpx2.AsyncClient, retry: object, field: str, said: str
) -> None:
    response = await shared.post("/jobs", json={"type": "echo", "retry": retry})
    assert fields(problem(response, 422, "invalid-input")) == [field]
    [fault] = response.json()["errors"]
    assert said in fault["message"]


async def test_a_number_of_thousands_of_digits_is_refused_in_plain_words(shared: httpx2.AsyncClient) -> None:
    body = b'{"type": "echo", "payload": {"numbers": [1%b]}}' % (b"0" * 5_000)
    said = problem(await shared.post("/jobs", content=body), 400, "malformed-json")
    assert said["detail"] == "a whole number in it has thousands of digits"


async def test_a_payloads_number_may_be_any_and_is_kept_to_its_last_digit(shared: httpx2.AsyncClient) -> None:
    number = 10**400 + 7
    job_id = await post(shared, payload={"count": number})
    assert (await shared.get(f"/jobs/{job_id}")).json()["payload"] == {"count": number}


@pytest.mark.parametrize("name", ["priority", "max_attempts", "delay", "timeout"])
@pytest.mark.parametrize("number", [2**63, -(10**400)])
async def test_any_other_number_has_bounds(shared: httpx2.AsyncClient, name: str, number: int) -> None:
    response = await shared.post("/jobs", json={"type": "echo", name: number})
    assert fields(problem(response, 422, "invalid-input")) == [name]


@pytest.mark.parametrize("path", ["//jobs", "/jobs//", "//health"])
async def test_a_slash_too_many_leads_nowhere(shared: httpx2.AsyncClient, path: str) -> None:
    url = f"http://here{path}"
    problem(await shared.post(url, json={"type": "echo"}), 404, "not-found")
    problem(await shared.get(url), 404, "not-found")


async def test_of_very_many_wrong_fields_the_first_are_told(shared: httpx2.AsyncClient) -> None:
    wrong = {f"field-{number}": 1 for number in range(3 * MOST_FAULTS)}
    said = problem(await shared.post("/jobs", json={"type": "echo", **wrong}), 422, "invalid-input")
    assert len(fields(said)) == MOST_FAULTS
    assert str(said["detail"]).endswith("(and 200 more than are listed)")
