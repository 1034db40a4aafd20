"""The pages about the Python client: its calls are listed as they are, and what they show runs against a server."""

import inspect
from pathlib import Path

import pytest

from tests.docs import client_tables, generated
from tests.docs.pages import DOCS, listed
from tests.docs.program import Program
from tests.docs.serving import tutorial
from tests.docs.walk import ADDRESS
from tidegate.sdk import Client

PAGE = DOCS / "reference" / "client.md"
HOW_TO = DOCS / "how-to" / "call-the-api-from-python.md"


def test_every_snippet_of_the_how_to_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(tmp_path, monkeypatch)
    with tutorial(tmp_path / "data") as url:
        known = program.run(HOW_TO, {ADDRESS: url})
    assert known["wrong"] == "payload.name"


def test_the_page_has_every_call_option_and_value() -> None:
    """As the code has them: test_references compares the parts themselves."""
    parts = {f"calls-{name}" for name in client_tables.kinds()} | {"client-options", "client-values"}
    assert set(generated.names(PAGE.read_text("utf-8"))) == parts


def test_a_row_tells_how_a_call_is_made_what_it_gives_and_does() -> None:
    rows = client_tables.calls(client_tables.kinds()["schedules"]).splitlines()
    assert any(row.startswith("| `trigger(name, idempotency_key=…)` | `JobHandle` | Make one job now") for row in rows)
    rows = client_tables.calls(client_tables.kinds()["webhooks"]).splitlines()
    assert any(row.startswith("| `deliveries(webhook_id)` | iterator of `JobItem` |") for row in rows)


def test_the_page_tells_how_to_connect() -> None:
    arguments = set(inspect.signature(Client).parameters)
    assert set(listed(PAGE, "## Connect")) == arguments
