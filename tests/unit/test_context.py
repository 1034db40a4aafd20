"""What a handler can do with its context."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog

from tidegate.context import MESSAGE_LIMIT, Context
from tidegate.core.job import Progress
from tidegate.errors import Abandoned, InvalidInput


@dataclass
class Link:
    """Remembers what it is told."""

    told: list[Progress] = field(default_factory=list)
    ended: bool = False

    def report(self, progress: Progress) -> None:
        self.told.append(progress)

    def stopped(self) -> bool:
        return self.ended


@pytest.fixture
def link() -> Link:
    return Link()


@pytest.fixture
def ctx(link: Link, tmp_path: Path) -> Context:
    return Context(
        job_id="j",
        type="work",
        user_id="ada",
        request_id="r",
        run=1,
        attempt=1,
        log=structlog.get_logger(),
        link=link,
        folder=tmp_path / "run",
    )


@pytest.mark.parametrize(
    ("told", "kept"),
    [(0.25, 0.25), (1, 1.0), (-3.0, 0.0), (7.5, 1.0), (float("inf"), 1.0), (float("nan"), None), (None, None)],
)
def test_progress_is_kept_within_0_and_1(ctx: Context, link: Link, told: float | None, kept: float | None) -> None:
    ctx.progress(told, "on it")
    assert link.told == [Progress(fraction=kept, message="on it")]


def test_a_progress_message_is_cut_to_what_a_store_takes(ctx: Context, link: Link) -> None:
    ctx.progress(0.5, "a\x00\udcff" * 1_000)
    assert len(link.told[0].message) == MESSAGE_LIMIT
    assert link.told[0].message.startswith("a\ufffd?")


def test_a_run_that_shall_end_is_told_at_every_look(ctx: Context, link: Link) -> None:
    ctx.check()
    assert not ctx.cancelled
    link.ended = True
    assert ctx.cancelled
    for look in (ctx.check, lambda: ctx.progress(0.5)):
        with pytest.raises(Abandoned, match="job j"):
            look()


def test_scratch_is_made_when_it_is_first_asked_for(ctx: Context) -> None:
    assert not ctx.folder.exists()
    assert ctx.scratch.is_dir()
    assert ctx.scratch.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("data", ["x", b"x"])
def test_saved_data_waits_in_the_scratch_folder(ctx: Context, data: str | bytes) -> None:
    ctx.save("charts/a.txt", data, "text/plain")
    [saved] = ctx.saved
    assert (saved.name, saved.content_type, saved.path.read_bytes()) == ("charts/a.txt", "text/plain", b"x")
    assert saved.path.is_relative_to(ctx.folder)


def test_a_saved_file_is_a_copy(ctx: Context, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"before")
    ctx.save("copy", source)
    source.write_bytes(b"after")
    assert ctx.saved[0].path.read_bytes() == b"before"


def test_the_same_name_again_replaces_what_was_saved(ctx: Context) -> None:
    ctx.save("a", "one", "text/plain")
    ctx.save("a", "two", "text/csv")
    [saved] = ctx.saved
    assert (saved.path.read_text(), saved.content_type) == ("two", "text/csv")


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../up", "a/../../b", "a//b", "a\\b", "ä", "a\x00", "x" * 600])
def test_a_name_that_is_no_relative_path_saves_nothing(ctx: Context, name: str) -> None:
    with pytest.raises(InvalidInput):
        ctx.save(name, "x")
    assert ctx.saved == []
