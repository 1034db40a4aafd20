"""`analysis` where its extra is not installed: said at once, and not tried again."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import structlog

from tests.unit.test_context import Link
from tidegate.context import Context, LocalFile
from tidegate.core.failure import failure_of
from tidegate.errors import GiveUp
from tidegate.jobs import analysis
from tidegate.jobs.analysis import job


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    (tmp_path / "data.csv").write_text("a,b\n1,2\n3,4\n")
    return Context(
        job_id="j",
        type="analysis",
        user_id="ada",
        request_id="r",
        run=1,
        attempt=1,
        log=structlog.get_logger(),
        link=Link(),
        folder=tmp_path / "run",
        files={"file": LocalFile(path=tmp_path / "data.csv", name="data.csv", size=15)},
    )


def test_a_worker_without_the_extra_says_which_and_gives_up(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ModuleType:
        if name == "tidegate.jobs.analysis.run":
            raise ModuleNotFoundError("No module named 'polars'", name="polars")
        return import_module(name)

    monkeypatch.setattr(analysis, "import_module", missing)
    with pytest.raises(
        GiveUp, match=r"^its worker has no polars: install Tidegate with its extra `analysis`"
    ) as raised:
        job.analysis(job.AnalysisPayload(file="upload:x"), ctx)
    failure = failure_of(raised.value)
    assert (failure.code, failure.transient) == ("not_installed", False)


def test_with_it_the_handler_makes_its_result(ctx: Context) -> None:
    made = job.analysis(job.AnalysisPayload(file="upload:x"), ctx)
    assert made.value["version"] == 1
