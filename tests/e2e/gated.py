"""The application of the breaker's end-to-end tests: jobs that call a provider which fails by command."""

import os
from pathlib import Path
from typing import Final

import httpx2

from tidegate.app import Tidegate
from tidegate.context import Context
from tidegate.core.rules import API, scaled

UPSTREAMS: Final = ("broken", "limited", "silent", "mixed", "lonely", "spare")

PROVIDER: Final = os.environ.get("PROVIDER", "")
LEDGER: Final = Path(os.environ.get("LEDGER", "ledger.txt"))
FASTER: Final = float(os.environ.get("FASTER", "1"))
PATIENCE: Final = float(os.environ.get("PATIENCE", "5"))
MESSAGES: Final = [{"role": "user", "content": "hello"}]

app = Tidegate()
http = httpx2.AsyncClient(base_url=PROVIDER, timeout=PATIENCE, trust_env=False)  # one: to make it takes long


async def ask(payload: dict[str, str], ctx: Context) -> int:
    """Ask the tenant of the provider that the payload names, once."""
    _trace(ctx)
    path, headers = f"/{payload['tenant']}/v1/chat/completions", {"X-Job-Id": ctx.job_id}
    answer = await http.post(path, json={"model": "m", "messages": MESSAGES}, headers=headers)
    return answer.raise_for_status().status_code


def _trace(ctx: Context) -> None:
    with LEDGER.open("a", encoding="utf-8") as ledger:
        ledger.write(f"ask {ctx.job_id} {os.getpid()}\n")


for name in UPSTREAMS:
    app.upstream(name, rules=scaled(API, FASTER))
    app.job(name, upstream=name)(ask)
app.job("content", queue="content")(ask)
