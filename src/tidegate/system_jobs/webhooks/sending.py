"""One message to one receiver: to the address that was judged, with no redirect, no proxy and no cookie."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import httpx2

from tidegate.core.failure import PROCESSING_ERROR, Failure
from tidegate.core.fault import Fault, fault_of
from tidegate.errors import InvalidInput, WebhookError
from tidegate.llm.headers import retry_after
from tidegate.system_jobs.webhooks.egress import Address, Egress, Place

TOTAL: Final = timedelta(seconds=10)
"""From the name to the answer's status."""

CONNECT: Final = timedelta(seconds=4)
"""To one address; where a name has several, the next is tried then."""

ANSWER_LIMIT: Final = 65_536
"""Bytes of an answer's body that are read, and thrown away."""

ANSWER_PATIENCE: Final = timedelta(seconds=1)

FORBIDDEN: Final = "webhook_forbidden"  # the address is not one that may be sent to

_HEADERS: Final = {
    "Content-Type": "application/json",
    "User-Agent": "Tidegate",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
}
_CONGESTED: Final = frozenset({408, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Sends. `trust` is what receivers' certificates are checked against; by default what this machine trusts."""

    egress: Egress
    now: Callable[[], datetime]
    trust: ssl.SSLContext = field(default_factory=lambda: httpx2.create_ssl_context(trust_env=False))
    total: timedelta = TOTAL

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """The status of an answer that is no fault of the receiver's; else raises WebhookError.

        That is where the answer was 408, 429 or a 5xx, too slow, or none; and where the URL leads nowhere good.
        """
        try:
            async with asyncio.timeout(self.total.total_seconds()):
                response = await self._sent(url, headers, body)
        except InvalidInput as exc:
            raise WebhookError(f"the address may not be sent to: {exc.message}", code=FORBIDDEN) from exc
        except (TimeoutError, httpx2.TimeoutException) as exc:
            raise WebhookError("the receiver took too long", code=Fault.SLOW) from exc
        except (OSError, httpx2.HTTPError, httpx2.InvalidURL) as exc:
            raise WebhookError(f"the receiver can't be reached: {type(exc).__name__}", code=Fault.DOWN) from exc
        status = response.status_code
        if status in _CONGESTED or status >= 500:
            fault = fault_of(Failure(code=PROCESSING_ERROR, message="", status=status)) or Fault.SERVER_ERROR
            wait = retry_after(response.headers, self.now())
            raise WebhookError(f"the receiver answered {status}", code=fault, retry_after=wait)
        return status

    async def _sent(self, text: str, headers: Mapping[str, str], body: bytes) -> httpx2.Response:
        place = self.egress.read(text)
        *others, last = await self.egress.addresses(place)
        for address in others:
            with suppress(httpx2.ConnectError, httpx2.ConnectTimeout):  # nothing was sent: the next may be better
                return await self._sent_to(address, place, headers, body)
        return await self._sent_to(last, place, headers, body)

    async def _sent_to(
        self, address: Address, place: Place, headers: Mapping[str, str], body: bytes
    ) -> httpx2.Response:
        timeout = httpx2.Timeout(self.total.total_seconds(), connect=CONNECT.total_seconds())
        request = httpx2.Request(
            "POST",
            httpx2.URL(place.url).copy_with(host=str(address)),
            headers={"Host": place.netloc, **_HEADERS, **headers},
            content=body,
            extensions={"sni_hostname": place.host, "timeout": timeout.as_dict()},
        )
        async with httpx2.AsyncHTTPTransport(verify=self.trust, trust_env=False) as line:  # no client: it logs URLs
            response = await line.handle_async_request(request)
            try:
                with suppress(TimeoutError, httpx2.HTTPError):  # its status says all
                    async with asyncio.timeout(ANSWER_PATIENCE.total_seconds()):
                        await _read(response)
            finally:
                await response.aclose()
            return response


async def _read(response: httpx2.Response) -> None:
    """Let the receiver finish, up to a limit."""
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size >= ANSWER_LIMIT:
            return
