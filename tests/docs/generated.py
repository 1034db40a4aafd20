"""The generated parts of the pages. `python -m tests.docs.generated` writes them anew.

A part stands between `<!-- generated: name -->` and `<!-- end -->`.
"""

import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from tests.docs import client_tables, health_tables, http_tables, metric_tables, tables
from tests.docs.pages import name_of, pages

PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "settings": tables.settings,
    "commands": tables.commands,
    "errors": tables.error_tree,
    "log-events": tables.log_events,
    "lifecycle": tables.diagram,
    "metrics": metric_tables.metrics,
    "routes": http_tables.routes,
    "problems": http_tables.problems,
    "rules": health_tables.rules,
    "faults": health_tables.faults,
    "client-options": client_tables.options,
    "client-values": client_tables.values,
    **{f"calls-{name}": partial(client_tables.calls, kind) for name, kind in client_tables.kinds().items()},
}

_PART: Final = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def names(text: str) -> list[str]:
    """The generated parts of a page."""
    return [found["name"] for found in _PART.finditer(text)]


def renewed(text: str) -> str:
    """The page with its generated parts as the code has them now."""
    return _PART.sub(lambda found: f"{found[1]}\n{PARTS[found['name']]()}\n{found[3]}", text)


def main() -> None:
    """Write every page that is out of step."""
    for page in pages():
        before = page.read_text("utf-8")
        after = renewed(before)
        if after != before:
            page.write_text(after, "utf-8")
            sys.stdout.write(f"{name_of(page)}\n")


if __name__ == "__main__":
    main()
