"""The functions of a store are those whose texts are in the package."""

from pathlib import Path

from tidegate.engines.sql import postgres
from tidegate.engines.sql.migrations.postgres import FUNCTIONS


def test_every_text_is_installed_once() -> None:
    texts = {path.stem for path in (Path(postgres.__file__).parent / "sql").glob("*.sql")}
    assert texts == {*FUNCTIONS, "tables"}
    assert len(FUNCTIONS) == len(set(FUNCTIONS))
