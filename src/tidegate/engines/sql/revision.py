"""Which schema this release speaks."""

from typing import Final

HEAD: Final = "0001"
"""The newest of `migrations/versions`; a test holds it to that. Revisions are numbered, so they compare."""
