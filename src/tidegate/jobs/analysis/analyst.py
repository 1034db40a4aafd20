"""`analysis` where a model is set: its insights if they hold, those of the rules if they don't or there are none."""

import asyncio
import json
from datetime import timedelta
from typing import Final

from tidegate.context import Context, Result
from tidegate.errors import LLMError, UpstreamUnavailable
from tidegate.jobs.analysis.asked.checking import held
from tidegate.jobs.analysis.asked.figures import figures
from tidegate.jobs.analysis.asked.question import RULES, Insights, question
from tidegate.jobs.analysis.computing import Computing, document_of
from tidegate.jobs.analysis.job import AnalysisPayload
from tidegate.jobs.calling import Connections, Models
from tidegate.llm import Reply, system, user
from tidegate.llm.values import DETERMINISTIC

_COMPUTED: Final = 0.9
_RESERVE: Final = timedelta(seconds=10)
"""Of a run's time, kept to store what was computed."""
_MOST_TOKENS: Final = 4_000


class Analyst:
    """The job type, on its models. No fault of a provider fails a job, or delays it beyond the deadlines of a call."""

    def __init__(self, models: Models, connections: Connections, timeout: timedelta) -> None:
        self._models = models
        self._connections = connections
        self._seconds = max(timeout - _RESERVE, timedelta(0)).total_seconds()
        self._computing = Computing()

    async def analysis(self, payload: AnalysisPayload, ctx: Context) -> Result[dict[str, object]]:
        """Analyse a CSV, TSV, Excel, Parquet or JSON file: schema, quality, KPIs, charts, insights with evidence."""
        ends = asyncio.get_running_loop().time() + self._seconds
        made = await self._computing.computed(payload, ctx, _COMPUTED)
        ctx.saved.extend(made.saved)
        document = document_of(made)
        ctx.progress(_COMPUTED, "insights")
        reply = await self._asked(document, ctx, ends)
        if reply is None:
            return Result(value=document, degraded=True, served_by=DETERMINISTIC)
        ctx.save("result.json", _written(document), "application/json")
        ctx.progress(1.0, "done")
        return Result(value=document, degraded=made.degraded or reply.degraded, served_by=reply.served_by)

    async def _asked(self, document: dict[str, object], ctx: Context, ends: float) -> Reply[Insights] | None:
        """The reply whose insights the document has now; None where it keeps those of the rules."""
        shown = figures(document)
        messages = [system(RULES), user(question(shown))]
        try:
            async with asyncio.timeout_at(ends), self._connections.lent() as http:
                chain = self._models.chain(http, ctx.log)
                reply = await chain.chat(messages, schema=Insights, max_tokens=_MOST_TOKENS, guard=ctx)
        except (LLMError, UpstreamUnavailable, TimeoutError) as error:
            ctx.log.warning("analysis.no_model", why=getattr(error, "code", type(error).__name__))
            return None
        said = reply.parsed.insights
        insights = held(said, shown, _columns(document))
        ctx.log.info("analysis.insights", said=len(said), held=len(insights))
        if not insights:
            return None
        document["insights"], document["insights_by"] = insights, reply.model
        return reply


def _columns(document: dict[str, object]) -> list[str]:
    schema = document["schema"]
    assert isinstance(schema, list)
    return [str(column["name"]) for column in schema]


def _written(document: dict[str, object]) -> str:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
