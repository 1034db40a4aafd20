"""Lists of jobs, read page by page."""

from collections.abc import AsyncGenerator, Mapping
from typing import Final

from tidegate.sdk.asking import Means, fetch
from tidegate.sdk.exchange import Request
from tidegate.sdk.requests import Page
from tidegate.sdk.values import JobItem

PAGE: Final = 100
"""Jobs in one page; iterating goes on to the next."""


async def pages(means: Means, path: str, filters: Mapping[str, str] | None = None) -> AsyncGenerator[JobItem, None]:
    """Every job of a list, newest first."""
    query = {**(filters or {}), "limit": str(PAGE)}
    while True:
        page = await fetch(means, Request(method="GET", path=path, query=query), Page[JobItem])
        for item in page.items:
            yield item
        if page.next is None:
            return
        query = {**query, "cursor": str(page.next)}
