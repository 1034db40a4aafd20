"""What examples are made of."""

from typing import Any, Final

Object = dict[str, Any]
"""JSON, as the document has it."""

SINCE: Final = "2026-01-31T12:00:00.216279Z"
UNTIL: Final = "2026-01-31T12:10:00.216279Z"
