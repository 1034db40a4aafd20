"""Uploads: streamed, bounded, one user's own, and gone after a while."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.faults.http_proxy import Answer, FaultyProxy
from tidegate.artifacts import ArtifactSettings, ArtifactStore, open_artifacts
from tidegate.artifacts.uploads import Incoming, receive, resolve, sweep_uploads
from tidegate.errors import ArtifactNotFound, ArtifactUnavailable, UploadTooLarge

pytestmark = pytest.mark.xdist_group("artifact-stores")

ID = "0190a6f0-0000-7000-8000-00000000000{}"
NOW = datetime(2026, 3, 4, 5, 6, 7, 890_000, tzinfo=UTC)
LIMIT = 20 * 1_048_576
"""REQUIREMENTS E8."""


def incoming(number: int = 1, *, user_id: str = "alice", name: str = "data.csv") -> Incoming:
    return Incoming(upload_id=ID.format(number), name=name, user_id=user_id, content_type="text/csv", created_at=NOW)


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def paths(store: ArtifactStore) -> list[str]:
    return [found.path async for found in store.list("uploads")]


async def test_an_upload_is_found_by_its_reference_with_all_that_was_said_of_it(store: ArtifactStore) -> None:
    upload = await receive(store, chunks(b"a,b\n", b"1,2\n"), incoming(), limit=LIMIT)
    assert upload.reference == f"upload:{ID.format(1)}"
    assert (upload.name, upload.size, upload.user_id) == ("data.csv", 8, "alice")
    assert (upload.content_type, upload.created_at) == ("text/csv", NOW)
    assert upload.sha256 == hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    assert await resolve(store, upload.reference, user_id="alice") == upload
    assert await store.get(upload.path, max_bytes=100) == b"a,b\n1,2\n"


async def test_a_file_of_exactly_the_limit_passes_and_one_byte_more_leaves_nothing(store: ArtifactStore) -> None:
    upload = await receive(store, chunks(b"12345", b"67890"), incoming(1), limit=10)
    assert upload.size == 10
    with pytest.raises(UploadTooLarge, match="over the 10 bytes") as caught:
        await receive(store, chunks(b"12345", b"678901"), incoming(2), limit=10)
    assert caught.value.limit == 10
    assert all(ID.format(1) in path for path in await paths(store))
    with pytest.raises(ArtifactNotFound):
        await resolve(store, f"upload:{ID.format(2)}", user_id="alice")


async def test_a_flood_is_cut_off_as_soon_as_it_is_over_the_limit(store: ArtifactStore) -> None:
    given_out = 0

    async def flood() -> AsyncIterator[bytes]:
        nonlocal given_out
        while True:
            given_out += 100_000
            yield b"x" * 100_000

    with pytest.raises(UploadTooLarge):
        await receive(store, flood(), incoming(), limit=3_000_000)
    assert given_out == 3_100_000
    assert await paths(store) == []


async def test_an_empty_file_is_a_file(store: ArtifactStore) -> None:
    upload = await receive(store, chunks(), incoming(), limit=LIMIT)
    assert await resolve(store, upload.reference, user_id="alice") == upload
    assert upload.size == 0


async def test_another_user_s_upload_and_none_at_all_sound_the_same(store: ArtifactStore) -> None:
    mine = await receive(store, chunks(b"x"), incoming(), limit=LIMIT)
    with pytest.raises(ArtifactNotFound) as foreign:
        await resolve(store, mine.reference, user_id="bob")
    unknown = f"upload:{ID.format(9)}"
    with pytest.raises(ArtifactNotFound) as none:
        await resolve(store, unknown, user_id="bob")
    assert str(foreign.value).replace(mine.reference, "?") == str(none.value).replace(unknown, "?")
    assert foreign.value.__cause__ is None


NO_REFERENCES = [
    *["", "upload:", "x", ID.format(1), f"upload:{ID.format(1)}\n", f"upload:{ID.format(1)}/../x"],
    *["upload:../../x", f"Upload:{ID.format(1)}", f"upload:{ID.format('A')}", "upload:\ud800"],
    "upload:" + "x" * 10_000,
]


@pytest.mark.parametrize("reference", NO_REFERENCES)
async def test_a_reference_that_is_none_is_not_found(reference: str) -> None:
    store = open_artifacts(ArtifactSettings(url="memory://"))
    await receive(store, chunks(b"x"), incoming(), limit=LIMIT)
    with pytest.raises(ArtifactNotFound, match="no upload") as caught:
        await resolve(store, reference, user_id="alice")
    assert len(str(caught.value)) < 200


ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=50)


@given(name=ANY_TEXT, user_id=ANY_TEXT)
@example(name="x" * 400, user_id="\ud800")
@example(name="\ud800", user_id="alice")
async def test_whatever_a_file_or_a_user_is_called_the_upload_comes_back(name: str, user_id: str) -> None:
    store = open_artifacts(ArtifactSettings(url="memory://"))
    upload = await receive(store, chunks(b"x"), incoming(name=name, user_id=user_id), limit=LIMIT)
    assert await resolve(store, upload.reference, user_id=user_id) == upload
    assert len(upload.name) <= 255
    assert all(len(name) < 5 or name not in path for path in await paths(store))


async def test_the_name_and_the_type_a_sender_claims_reach_neither_path_nor_header() -> None:
    store = open_artifacts(ArtifactSettings(url="memory://"))
    sent = Incoming(
        upload_id=ID.format(1),
        name="../../etc/<script>.html",
        user_id="../bob",
        content_type="text/html\r\nX-Evil: 1",
        created_at=NOW,
    )
    upload = await receive(store, chunks(b"<script>"), sent, limit=LIMIT)
    assert upload.name == "../../etc/<script>.html"
    info = await store.head(upload.path)
    assert info is not None
    assert info.content_type == "application/octet-stream"


async def test_a_sweep_removes_the_old_and_keeps_the_rest(store: ArtifactStore) -> None:
    uploads = [await receive(store, chunks(b"x"), incoming(n, user_id=f"u{n}"), limit=LIMIT) for n in (1, 2)]
    await store.put("jobs/1/kept", b"x", content_type="text/plain")
    await store.put("uploads/stranger", b"x", content_type="text/plain")
    await store.put("probes/left", b"x", content_type="text/plain")
    assert await sweep_uploads(store, datetime.now(UTC) - timedelta(hours=1)) == 0
    assert await resolve(store, uploads[0].reference, user_id="u1") == uploads[0]
    assert await store.head("probes/left") is not None
    assert await sweep_uploads(store, datetime.now(UTC) + timedelta(hours=1)) == 2
    for number, upload in enumerate(uploads, start=1):
        with pytest.raises(ArtifactNotFound):
            await resolve(store, upload.reference, user_id=f"u{number}")
    assert await paths(store) == ["uploads/stranger"]
    assert await store.head("jobs/1/kept") is not None
    assert await store.head("probes/left") is None


async def test_an_upload_without_its_description_is_not_there_and_is_swept(
    behind: ArtifactStore, proxy: FaultyProxy
) -> None:
    proxy.fail(*[Answer(503)] * 3, when=lambda seen: seen.target.endswith("meta.json"))
    with pytest.raises(ArtifactUnavailable):
        await receive(behind, chunks(b"x"), incoming(), limit=LIMIT)
    assert len(await paths(behind)) == 1
    with pytest.raises(ArtifactNotFound):
        await resolve(behind, f"upload:{ID.format(1)}", user_id="alice")
    assert await sweep_uploads(behind, datetime.now(UTC) + timedelta(hours=1)) == 1
    assert await paths(behind) == []
