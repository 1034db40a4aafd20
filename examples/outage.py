"""Two providers, one of which has an outage that you can watch.

docs/how-to/watch-an-outage.md shows how: `tidegate provider` plays the providers, `tidegate serve examples.outage:app`
runs the jobs.
"""

import os
from datetime import timedelta

from tidegate import Context, Tidegate
from tidegate.core.rules import API, scaled
from tidegate.llm import LLM, Deadlines, Policy, Provider, user

SCALE = float(os.environ.get("SCALE", "10"))  # as the provider's
URL = os.environ.get("PROVIDER_URL", "http://127.0.0.1:8090")
ONCE = Policy(tries=1, deadlines=Deadlines(overall=timedelta(seconds=30 / SCALE)))

app = Tidegate()
for name in ("a", "b"):
    app.upstream(name, rules=scaled(API, SCALE))

a, b = (LLM(Provider(name=name, model="small", base_url=f"{URL}/{name}/v1"), policy=ONCE) for name in ("a", "b"))


@app.job("ask-a", upstream="a", when_open_submit="accept")
async def ask_a(question: str, ctx: Context) -> str:
    """Ask the provider that will have an outage."""
    return (await a.chat([user(question)], guard=ctx)).text


@app.job("ask-b", upstream="b", when_open_submit="accept")
async def ask_b(question: str, ctx: Context) -> str:
    """Ask the one that is always well."""
    return (await b.chat([user(question)], guard=ctx)).text
