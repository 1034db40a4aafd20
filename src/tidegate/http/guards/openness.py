"""Whether anybody on this machine is let in for want of a key, and what is said of it at a start."""

import structlog

from tidegate.clock import SystemClock
from tidegate.config import Settings
from tidegate.http.guards.keyring import KeyRing
from tidegate.ports import Documents


async def is_open(settings: Settings, store: Documents) -> bool:
    """Whether no key is asked for. Raises EngineUnavailable."""
    if settings.auth == "none":
        return True
    return settings.admin_key is None and not await KeyRing(lambda: store, SystemClock()).locked()


def tell_open(settings: Settings) -> None:
    """Say that no key is asked for, and who is let in."""
    if settings.auth == "none":
        remedy = f"TIDEGATE_AUTH=none: who reaches this has the role {settings.auth_role}"
        structlog.get_logger().warning("server.open", remedy=remedy)
    else:
        structlog.get_logger().info("server.open", remedy="no API key yet: only this machine is listened to")
