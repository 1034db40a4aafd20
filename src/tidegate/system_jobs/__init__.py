"""Jobs that Tidegate does for itself: what takes long, must survive a crash and be seen is a job like any other."""

from typing import Final

from tidegate.core.text import SYSTEM_PREFIX

__all__ = ["SYSTEM_PREFIX", "SYSTEM_QUEUE", "SYSTEM_WEIGHT"]

SYSTEM_QUEUE: Final = "system"
"""Every worker serves it, whatever else it serves."""

SYSTEM_WEIGHT: Final = 3
