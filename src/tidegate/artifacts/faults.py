"""What an object store's failures mean: gone, refused, or worth another try."""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from obstore.exceptions import BaseError, GenericError

from tidegate.errors import ArtifactError, ArtifactNotFound, ArtifactRefused, ArtifactUnavailable

STORE_FAULTS: Final = (BaseError, OSError)
"""What obstore and the file system raise. Anything else is a bug and passes through as it is."""

Verb: TypeAlias = Literal["read", "write", "list", "remove", "sign", "check"]

# obstore has one GenericError for all that is neither 401, 403, 404, 409 nor 412; only its text says more.
_STATUS: Final = re.compile(r"status code: (\d{3})[ \w]*")
_S3_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_OS_ERROR: Final = re.compile(r"[^:\n]*\(os error (\d+)\)")
_OTHER_REGION: Final = "incorrectly configured region"
_NO_BUCKET: Final = "NoSuchBucket"

_BELOW_A_FILE: Final = 20
_REFUSING_ERRNOS: Final = frozenset({1, 13, _BELOW_A_FILE, 21, 30, 36})
"""EPERM, EACCES, ENOTDIR, EISDIR, EROFS, ENAMETOOLONG: the same call will fail the same way."""

_WORTH_A_TRY: Final = frozenset({408, 429})
"""Besides 5xx: the request timed out, or came too fast."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What was asked of the store, for messages."""

    verb: Verb
    path: str


def artifact_error(fault: Exception, errand: Errand, tries: int) -> ArtifactError:
    """The error to raise for `fault`; it is an ArtifactUnavailable exactly when another try can help."""
    text = str(fault)
    if errand.verb == "read" and _is_missing(fault, text):
        return ArtifactNotFound(f"there is no artifact {errand.path}")
    said = f"could not {errand.verb} {errand.path} in the artifact store: {_reason(fault, text)}"
    if _is_final(fault, text):
        return ArtifactRefused(f"{said}; check the store's address, credentials and permissions")
    return ArtifactUnavailable(f"{said} (tries: {tries})")


def _is_missing(fault: Exception, text: str) -> bool:
    absent = isinstance(fault, FileNotFoundError) or _errno(fault, text) == _BELOW_A_FILE
    return absent and _NO_BUCKET not in text


def _is_final(fault: Exception, text: str) -> bool:
    if isinstance(fault, BaseError) and not isinstance(fault, GenericError):
        return True
    if _OTHER_REGION in text or _errno(fault, text) in _REFUSING_ERRNOS:
        return True
    status = _STATUS.search(text)
    return status is not None and _refuses(int(status[1]))


def _refuses(status: int) -> bool:
    return 400 <= status < 500 and status not in _WORTH_A_TRY


def _errno(fault: Exception, text: str) -> int | None:
    if isinstance(fault, OSError) and fault.errno is not None:
        return fault.errno
    found = _OS_ERROR.search(text)
    return int(found[1]) if found else None


def _reason(fault: Exception, text: str) -> str:
    """One short line: the whole text may hold the store's address and folder, and goes to the job's user."""
    if _OTHER_REGION in text:
        return "it redirects, so the region is probably wrong"
    if status := _STATUS.search(text):
        code = _S3_CODE.search(text)
        return f"it answered {status[1]}" + (f" {code[1]}" if code else "")
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    if found := _OS_ERROR.search(text):
        return found[0].strip()
    return "it can't be reached, or did not answer in time"
