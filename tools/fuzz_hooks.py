"""What `tools.fuzz_http` has Schemathesis do before each call: long polls are tried, not waited for."""

from typing import Any

import schemathesis


@schemathesis.hook
def before_call(_context: object, case: Any, _kwargs: dict[str, Any]) -> None:
    """Shorten a wait that is allowed; one that is not stays as it is."""
    query = case.query or {}
    try:
        seconds = float(query.get("wait", "nan"))
    except (TypeError, ValueError):
        return
    if 0.1 < seconds <= 60:
        query["wait"] = "0.1"
