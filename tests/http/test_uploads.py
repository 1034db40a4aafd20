"""`POST /uploads`: streamed, counted while it comes in, kept whole or not at all."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.http.calls import fields, problem, run, unfinished
from tidegate.app import Tidegate
from tidegate.config import Settings

LIMIT = 1_000_000
CSV = b"a,b\n1,2\n"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A limit of a million bytes."""
    return settings.model_copy(update={"upload_limit": LIMIT})


async def _kept(app: Tidegate) -> list[str]:
    return [found.path async for found in app.system.artifacts.list("uploads")]


def _form(*parts: tuple[str, bytes], boundary: bytes = b"xyz") -> bytes:
    made = [
        b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (boundary, head.encode(), data)
        for head, data in parts
    ]
    return b"".join(made) + b"--%b--\r\n" % boundary


FORM = {"Content-Type": "multipart/form-data; boundary=xyz"}
FILE = 'name="file"; filename="a.csv"'


async def test_a_multipart_file_is_received(api: httpx2.AsyncClient) -> None:
    response = await api.post("/uploads", files={"file": ("sales.csv", CSV, "text/csv")})
    assert response.status_code == 201
    said = response.json()
    assert said.pop("file").startswith("upload:")
    assert said == {"name": "sales.csv", "size": len(CSV), "sha256": hashlib.sha256(CSV).hexdigest()}


async def test_a_raw_body_is_received_under_its_name(api: httpx2.AsyncClient) -> None:
    response = await api.post("/uploads", content=CSV, headers={"X-File-Name": "sales%20%E2%82%AC.csv"})
    said = response.json()
    assert (response.status_code, said["name"], said["size"]) == (201, "sales €.csv", len(CSV))


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("C:%5Cdata%5Ca.csv", "a.csv"),
        ("a%0d%0ab.csv", "ab.csv"),
        ("", "upload"),
        ("%20", "upload"),
        ("..", "upload"),
        ("a/.", "upload"),
        ("%20a.csv ", "a.csv"),
        (".env", ".env"),
    ],
)
async def test_a_name_is_only_a_name(api: httpx2.AsyncClient, sent: str, kept: str) -> None:
    response = await api.post("/uploads", content=CSV, headers={"X-File-Name": sent})
    assert response.json()["name"] == kept


async def test_a_job_reads_what_was_uploaded(working: httpx2.AsyncClient, app: Tidegate) -> None:
    reference = (await working.post("/uploads", files={"file": ("sales.csv", CSV)})).json()["file"]
    job_id = await run(working, app, "measure", payload={"file": reference})
    assert (await working.get(f"/jobs/{job_id}/result")).json() == {"name": "sales.csv", "size": len(CSV)}


@pytest.mark.parametrize("size", [1, 4_095, 70_000, LIMIT])
async def test_bytes_that_look_like_a_boundary_are_bytes(server: httpx2.AsyncClient, app: Tidegate, size: int) -> None:
    data = (b"\r\n--xyz\r\n--xy\r\n-" * (size // 16 + 1)).replace(b"--xyz", b"--xyy")[:size]
    response = await server.post("/uploads", content=_form((FILE, data)), headers=FORM)
    assert response.json()["sha256"] == hashlib.sha256(data).hexdigest()


async def test_other_fields_of_a_form_are_passed_over(api: httpx2.AsyncClient) -> None:
    form = _form(('name="note"', b"x" * 1_000), (FILE, CSV), ('name="after"', b"y"))
    response = await api.post("/uploads", content=form, headers=FORM)
    assert (response.status_code, response.json()["size"]) == (201, len(CSV))


# refused, with nothing kept --------------------------------------------------------------------------------

FORMS = {
    "no file": _form(('name="data"; filename="a.csv"', CSV)),
    "a field that is no file": _form(('name="file"', CSV)),
    "no field at all": b"--xyz--\r\n",
    "two files": _form((FILE, CSV), (FILE, CSV)),
    "an empty file": _form((FILE, b"")),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
async def test_a_form_without_one_file_is_refused(api: httpx2.AsyncClient, app: Tidegate, form: bytes) -> None:
    response = await api.post("/uploads", content=form, headers=FORM)
    assert fields(problem(response, 422, "invalid-input")) == ["file"]
    assert await _kept(app) == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (FORM["Content-Type"], _form((FILE, CSV))[:-20]),
        (FORM["Content-Type"], b""),
        (FORM["Content-Type"], b"--abc\r\n"),
        (FORM["Content-Type"], b"--xyz\r\nno header\r\n\r\n"),
        (FORM["Content-Type"], b"--xyz\r\nX: %b\r\n\r\n" % (b"x" * 100_000)),
        ("multipart/form-data", _form((FILE, CSV))),
        ("multipart/form-data; boundary=" + "x" * 5_000, _form((FILE, CSV))),
    ],
)
async def test_a_form_that_is_not_well_formed_is_refused(
    api: httpx2.AsyncClient, app: Tidegate, content_type: str, body: bytes
) -> None:
    response = await api.post("/uploads", content=body, headers={"Content-Type": content_type})
    problem(response, 400, "malformed-upload")
    assert await _kept(app) == []


async def test_an_empty_body_is_refused(api: httpx2.AsyncClient, app: Tidegate) -> None:
    assert fields(problem(await api.post("/uploads"), 422, "invalid-input")) == ["file"]
    assert await _kept(app) == []


async def test_the_limit_is_exact(api: httpx2.AsyncClient, app: Tidegate) -> None:
    for data, status in ((b"x" * LIMIT, 201), (b"x" * (LIMIT + 1), 413)):
        assert (await api.post("/uploads", content=data)).status_code == status
        assert (await api.post("/uploads", content=_form((FILE, data)), headers=FORM)).status_code == status
    assert len(await _kept(app)) == 4  # two uploads, each with its description


async def test_a_file_over_the_limit_is_refused_before_it_has_come(server: httpx2.AsyncClient, app: Tidegate) -> None:
    over = b"x" * (LIMIT + 100_000)
    chunk = b"%x\r\n%b\r\n" % (len(over), over)
    endless = _form((FILE, over))[: LIMIT + 100_000]
    form_chunk = b"%x\r\n%b\r\n" % (len(endless), endless)
    for length, sent in (
        (f"Content-Length: {LIMIT + 100_000}", b""),
        ("Transfer-Encoding: chunked", chunk),
        (f"Transfer-Encoding: chunked\r\nContent-Type: {FORM['Content-Type']}", form_chunk),
    ):
        answer = await unfinished(server, "/uploads", length, sent)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"/problems/upload-too-large" in answer
    assert await _kept(app) == []


async def test_whoever_sends_too_much_sees_the_answer(server: httpx2.AsyncClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    said = problem(await server.post("/uploads", content=body()), 413, "upload-too-large")
    assert (said["limit"], fields(said)) == (LIMIT, ["file"])


async def test_an_upload_that_breaks_off_leaves_nothing(server: httpx2.AsyncClient, app: Tidegate) -> None:
    url = httpx2.URL(server.base_url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = f"POST /uploads HTTP/1.1\r\nHost: localhost\r\nX-User-ID: ada\r\nContent-Length: {LIMIT}\r\n\r\n"
    writer.write(head.encode() + b"x" * 200_000)
    await writer.drain()
    writer.write_eof()
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()
    assert await _kept(app) == []
    assert (await server.get("/health")).status_code == 200
