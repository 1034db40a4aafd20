"""The keys that Python names itself; every other one is spelled in `lua/`, where it is used."""

from typing import Final

HINTS: Final = "hints"
"""Behind the prefix: the channel on which every script says to whom its work may matter, a topic a line."""
