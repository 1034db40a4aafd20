"""Variables of the environment that look like settings and are none: a misspelt one would be a silent default."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

from tidegate.config import Settings

PREFIX: Final = "TIDEGATE_"

CLIENT: Final = frozenset({"TIDEGATE_URL", "TIDEGATE_USER", "TIDEGATE_API_KEY"})
"""What commands and the API's client read beside. `sdk.connecting` has them too, but a worker loads no client."""

KNOWN: Final = CLIENT | {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}


def unknown(environment: Mapping[str, str] = os.environ) -> list[str]:
    """What to say of each variable that nobody reads, by name: with the nearest name that is read, never its value."""
    names = sorted(name for name in environment if name.upper().startswith(PREFIX) and name.upper() not in KNOWN)
    return [_said(name) for name in names]


def _said(name: str) -> str:
    words = sorted(known.removeprefix(PREFIX) for known in KNOWN)
    near = get_close_matches(name.upper().removeprefix(PREFIX), words, n=1)
    return f"{name} is no setting" + (f": did you mean {PREFIX}{near[0]}?" if near else "")
