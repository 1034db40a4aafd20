"""No path leads out of the store, whatever it is made of."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.artifacts.traversals import TRAVERSALS
from tidegate.core.paths import check_path, check_prefix, job_prefix, run_prefix, upload_meta_path, upload_path
from tidegate.errors import InvalidInput

SOUND = ["a", "a/b", "...", ".hidden", "a..b", "-", "_", "A.b-c_d/9", "x" * 128, "/".join(["a" * 127] * 4)]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_a_path_that_might_escape_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_path(path)
    assert caught.value.field == "path"
    assert len(str(caught.value)) < 1_200


@pytest.mark.parametrize("path", SOUND)
def test_a_sound_path_passes_unchanged(path: str) -> None:
    assert check_path(path) == path


def looks_like_a_path() -> st.SearchStrategy[str]:
    parts = st.sampled_from([".", "..", "/", "\\", "a", "%2e", "\0", "~", ":", " ", "-", "_", "x" * 128, "\n"])
    return st.one_of(st.lists(parts, max_size=12).map("".join), st.text(max_size=600))


@given(looks_like_a_path())
def test_what_passes_names_something_strictly_below_any_root(text: str) -> None:
    try:
        path = check_path(text)
    except InvalidInput:
        return
    root = Path("/some/where")
    assert (root / path).resolve().relative_to(root).parts == tuple(text.split("/"))
    assert path.isascii()
    assert path.isprintable()


@given(st.from_regex(r"([A-Za-z0-9._-]{1,20}/){0,3}[A-Za-z0-9._-]{1,20}", fullmatch=True))
def test_every_path_of_plain_segments_passes_but_for_dots(text: str) -> None:
    if {".", ".."} & set(text.split("/")):
        with pytest.raises(InvalidInput):
            check_path(text)
    else:
        assert check_path(text) == text


ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=300)


@given(user_id=ANY_TEXT, token=ANY_TEXT)
@example(user_id="\ud800", token="\ud800")
def test_paths_made_here_pass_and_show_neither_the_user_nor_the_token(user_id: str, token: str) -> None:
    job, upload = "0190a6f0-0000-7000-8000-000000000001", "0190a6f0-0000-7000-8000-000000000002"
    run = run_prefix(job, 3, token)
    assert run.startswith(f"{job_prefix(job)}3-")
    assert check_path(run.removesuffix("/")) == run[:-1]
    assert len(run) == len(f"jobs/{job}/3-01234567/")
    for path in (upload_path(upload, user_id), upload_meta_path(upload, user_id)):
        assert check_path(path) == path
        assert len(path) < 100


def test_two_users_and_two_tokens_never_share_a_folder() -> None:
    assert upload_path("id", "alice") != upload_path("id", "bob")
    assert run_prefix("id", 1, "token-1") != run_prefix("id", 1, "token-2")
    assert run_prefix("id", 1, "token") != run_prefix("id", 2, "token")


@pytest.mark.parametrize("job_id", ["", "..", "a/b", "../other", "a\0"])
def test_a_job_id_that_is_no_segment_is_refused(job_id: str) -> None:
    with pytest.raises(InvalidInput):
        job_prefix(job_id)


def test_a_prefix_may_end_with_one_slash_and_is_never_empty() -> None:
    assert check_prefix("jobs/one/") == check_prefix("jobs/one") == "jobs/one"
    for refused in ("", "/", "jobs//", "../x/"):
        with pytest.raises(InvalidInput):
            check_prefix(refused)
