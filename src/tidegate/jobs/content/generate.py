"""`content.generate` by a model. Whatever goes wrong is an LLMError, whose code says what becomes of the job."""

from typing import Final

from tidegate.context import Context, Result
from tidegate.core.failure import INVALID_PAYLOAD
from tidegate.errors import ConfigError, GiveUp
from tidegate.jobs.calling import Connections, Models
from tidegate.jobs.content.payload import ContentPayload
from tidegate.llm import Chain, Message, Reply, system, user

_CUT: Final = "length"


class Generator:
    """The job type, on its models."""

    def __init__(self, models: Models, connections: Connections) -> None:
        self._models = models
        self._connections = connections

    async def generate(self, payload: ContentPayload, ctx: Context) -> Result[dict[str, object]]:
        """Generate text, or JSON of a given schema, by a language model."""
        async with self._connections.lent() as http:
            try:
                reply = await _asked(self._models.chain(http, ctx.log, payload.model), payload, ctx)
            except ConfigError as exc:
                raise GiveUp(str(exc), code=INVALID_PAYLOAD) from None
        cut = reply.finish_reason == _CUT
        return Result(value=_told(reply, payload), degraded=reply.degraded or cut, served_by=reply.served_by)


async def _asked(chain: Chain, payload: ContentPayload, ctx: Context) -> Reply[object] | Reply[None]:
    messages, longest, heat = _messages(payload), payload.max_tokens, payload.temperature
    if payload.form is None:
        return await chain.chat(messages, max_tokens=longest, temperature=heat, guard=ctx)
    return await chain.chat(messages, schema=payload.form, max_tokens=longest, temperature=heat, guard=ctx)


def _messages(payload: ContentPayload) -> list[Message]:
    told = [] if payload.system is None else [system(payload.system)]
    if payload.prompt is not None:
        return [*told, user(payload.prompt)]
    return [*told, *(Message(role=turn.role, content=turn.content) for turn in payload.messages or ())]


def _told(reply: Reply[object] | Reply[None], payload: ContentPayload) -> dict[str, object]:
    usage = reply.usage
    return {
        "text": reply.text,
        **({} if payload.form is None else {"parsed": reply.parsed}),
        "model": reply.model,
        "usage": {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_tokens": usage.cached_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
        },
        "cost": usage.cost,
        "finish_reason": reply.finish_reason,
    }
