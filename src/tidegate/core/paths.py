"""Where artifacts and uploads live: every path is made and checked here, and nothing here does I/O.

A path is relative, has no more than 512 characters, and its segments are plain file names, so joining it to
a folder or to a bucket's prefix can't leave that folder or prefix.
"""

import hashlib
import re
from typing import Final

from tidegate.errors import InvalidInput

UPLOADS: Final = "uploads"
"""The folder of all uploads."""

ERROR: Final = "error.json"
"""What a run leaves in its folder that its job failed by."""

PATH_LIMIT: Final = 512
"""Characters of a path; S3 allows keys of 1,024 bytes, which leaves as much for the store's own prefix."""

_SEGMENT: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_DOTS: Final = frozenset({".", ".."})


def check_path(path: str) -> str:
    """Give `path` back when it is safe in every store.

    Raises InvalidInput unless it consists of 1 or more segments of `[A-Za-z0-9._-]{1,128}`, none of them
    `.` or `..`, joined by single slashes, 512 characters at most.
    """
    if len(path) > PATH_LIMIT:
        raise InvalidInput("path", f"{len(path)} characters are over the {PATH_LIMIT} that a path may have")
    for segment in path.split("/"):
        check_segment(segment)
    return path


def check_segment(segment: str) -> str:
    """Give one segment of a path back when it is safe; raises InvalidInput."""
    if segment in _DOTS or _SEGMENT.fullmatch(segment) is None:
        wanted = "1 to 128 of the characters A-Z a-z 0-9 . _ - and not . or .."
        raise InvalidInput("path", f"the segment {segment[:140]!r} must be {wanted}")
    return segment


def check_prefix(prefix: str) -> str:
    """The prefix without the slash it may end with; raises InvalidInput, for the empty one too."""
    return check_path(prefix.removesuffix("/"))


def job_prefix(job_id: str) -> str:
    """`jobs/{id}/`: everything that any run of the job has written."""
    return f"jobs/{check_segment(job_id)}/"


def run_prefix(job_id: str, run: int, token: str) -> str:
    """`jobs/{id}/{run}-{token8}/`: what one run writes, apart from any other run of the job.

    `token8` is the start of the lease token's SHA-256: two owners of a run never share a folder, and the
    token itself, which is a secret, is in no path.
    """
    return f"{job_prefix(job_id)}{run}-{_digest(token)[:8]}/"


def upload_path(upload_id: str, user_id: str) -> str:
    """Where an upload's bytes are. The user is hashed into it, so another user's id leads elsewhere."""
    return f"{_upload_prefix(upload_id, user_id)}/data"


def upload_meta_path(upload_id: str, user_id: str) -> str:
    """Where an upload's description is, beside its bytes; written last, so it is there only when they are."""
    return f"{_upload_prefix(upload_id, user_id)}/meta.json"


def _upload_prefix(upload_id: str, user_id: str) -> str:
    return f"{UPLOADS}/{_digest(user_id)[:32]}/{check_segment(upload_id)}"


def _digest(text: str) -> str:
    # surrogatepass: a user id is any text, and no text may crash its request.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
