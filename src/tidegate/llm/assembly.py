"""An answer put together from one piece or from many, and what is wrong with it. Pure."""

from dataclasses import dataclass, field
from io import StringIO

from tidegate.core.fault import Fault
from tidegate.llm.wire import LONGEST_ANSWER, Answer

_LENGTH = "length"


@dataclass(slots=True)
class Assembly:
    """What has come so far."""

    size: int = 0  # of the text, in bytes of UTF-8
    finish_reason: str | None = None
    model: str = ""
    refused: bool = False
    _text: StringIO = field(default_factory=StringIO)  # a list of small pieces would take ten times the text

    def add(self, answer: Answer) -> str:
        """Take a piece; its text."""
        self.model = answer.model or self.model
        choice = answer.choice
        if choice is None:
            return ""
        self.finish_reason = choice.finish_reason or self.finish_reason
        self.refused |= bool(choice.said.refusal)
        text = choice.said.text
        self.size += len(text.encode())
        if not self.too_long:
            self._text.write(text)
        return text

    @property
    def text(self) -> str:
        """The text so far."""
        return self._text.getvalue()

    @property
    def too_long(self) -> bool:
        """Whether more came than an answer may have: from there on the text is not kept."""
        return self.size > LONGEST_ANSWER

    def fault(self, *, streamed: bool) -> Fault | None:
        """What is wrong with it as a whole. A stream that ends without a reason to end broke off."""
        if self.refused or self.finish_reason == "content_filter":
            return Fault.CONTENT_REFUSED
        if self.finish_reason == "error":
            return Fault.SERVER_ERROR
        if streamed and self.finish_reason is None:
            return Fault.TRUNCATED
        if self.size == 0 and self.finish_reason != _LENGTH:
            return Fault.INVALID_OUTPUT
        return None
