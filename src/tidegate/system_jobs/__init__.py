"""Jobs that Tidegate does for itself: what takes long, must survive a crash and be seen is a job like any other."""

from typing import Final

SYSTEM_QUEUE: Final = "system"
"""Every worker serves it, whatever else it serves."""

SYSTEM_WEIGHT: Final = 3

SYSTEM_PREFIX: Final = "tidegate."
"""Names of job types that begin so are Tidegate's own: no application may register one, no client submit one."""
