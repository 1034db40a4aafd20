"""An answer put together from one piece or from many, and what is wrong with it. Pure."""

from dataclasses import dataclass, field

from tidegate.core.fault import Fault
from tidegate.llm.wire import Answer

_LENGTH = "length"


@dataclass(slots=True)
class Assembly:
    """What has come so far."""

    pieces: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    model: str = ""
    refused: bool = False

    def add(self, answer: Answer) -> str:
        """Take a piece; its text."""
        self.model = answer.model or self.model
        choice = answer.choice
        if choice is None:
            return ""
        self.finish_reason = choice.finish_reason or self.finish_reason
        self.refused |= bool(choice.said.refusal)
        text = choice.said.text
        if text:
            self.pieces.append(text)
        return text

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.pieces)

    def fault(self, *, streamed: bool) -> Fault | None:
        """What is wrong with it as a whole. A stream that ends without a reason to end broke off."""
        if self.refused or self.finish_reason == "content_filter":
            return Fault.CONTENT_REFUSED
        if self.finish_reason == "error":
            return Fault.SERVER_ERROR
        if streamed and self.finish_reason is None:
            return Fault.TRUNCATED
        if not self.pieces and self.finish_reason != _LENGTH:
            return Fault.INVALID_OUTPUT
        return None
