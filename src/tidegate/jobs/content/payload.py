"""What `content.generate` takes, and what becomes of it where no model is set."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from tidegate.errors import GiveUp

Text = Annotated[str, Field(min_length=1)]


class Turn(BaseModel):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: Text


class ContentPayload(BaseModel):
    """What to ask: a `prompt` or `messages`, not both."""

    prompt: Annotated[Text | None, Field(description="What to ask.", examples=["Name three tides."])] = None
    messages: Annotated[list[Turn] | None, Field(min_length=1, description="A conversation to go on with.")] = None
    system: Annotated[Text | None, Field(description="What the model shall be and do.")] = None
    model: Annotated[Text | None, Field(max_length=200, description="Another model of the same provider.")] = None
    max_tokens: Annotated[int | None, Field(ge=1, le=1_000_000, description="The longest answer.")] = None
    temperature: Annotated[float | None, Field(ge=0, le=2, description="0 for the likeliest words.")] = None
    form: Annotated[
        dict[str, object] | None,
        Field(alias="schema", description="A JSON Schema: the answer is JSON that fits it, and is checked."),
    ] = None

    @model_validator(mode="after")
    def _asks_once(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give either prompt or messages")
        return self


class Unconfigured:
    """`content.generate` where no model is set: each job fails at once, and says what to set."""

    def __init__(self, missing: str) -> None:
        self._missing = missing

    async def generate(self, _payload: ContentPayload) -> None:
        """Generate text, or JSON of a given schema, by a language model."""
        raise GiveUp(f"no model is set for this worker: set {self._missing}", code="not_configured")
