"""What Schemathesis can't know of answers, and `tools.fuzz_hooks` has it check."""

from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema_rs


def wrongly_taken(document: Mapping[str, Any], sent: Sequence[object], told: Sequence[Mapping[str, Any]]) -> list[int]:
    """The places of jobs in a batch that were accepted, and are not as the document wants jobs."""
    job = {"$ref": "#/components/schemas/JobCreate", "components": document["components"]}
    fits = jsonschema_rs.validator_for(job).is_valid
    taken = sorted(item["index"] for item in told if "problem" not in item)
    return [place for place in taken if not fits(sent[place])]
