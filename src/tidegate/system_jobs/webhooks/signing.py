"""Standard Webhooks: what a receiver needs to know that a message is ours, whole and fresh."""

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final

SECRET_BYTES: Final = 32

_PREFIX: Final = "whsec_"


def secret_of(chance: bytes) -> str:
    """A secret, of `SECRET_BYTES` random bytes, as receivers are told it."""
    return _PREFIX + base64.b64encode(chance).decode()


def headers(message: str, at: datetime, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The headers that sign `body` with each of `secrets`. `message` is the same however often it is sent."""
    timestamp = str(int(at.timestamp()))
    signed = b".".join((message.encode(), timestamp.encode(), body))
    return {
        "webhook-id": message,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(secret, signed) for secret in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, signed, sha256)).decode()
