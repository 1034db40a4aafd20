"""Models of OpenAI-compatible providers: OpenRouter, OpenAI, Together, DeepSeek, Groq, local servers."""

from tidegate.llm.client import LLM
from tidegate.llm.fallback import Chain, Hop
from tidegate.llm.guard import Call, Guard
from tidegate.llm.ledger import Ledger, Totals, Try
from tidegate.llm.providers import from_environment, policy_from_environment
from tidegate.llm.stream import Stream
from tidegate.llm.values import (
    Deadlines,
    Form,
    Message,
    Policy,
    Prices,
    Provider,
    Reply,
    Usage,
    assistant,
    system,
    user,
)

__all__ = [
    "LLM",
    "Call",
    "Chain",
    "Deadlines",
    "Form",
    "Guard",
    "Hop",
    "Ledger",
    "Message",
    "Policy",
    "Prices",
    "Provider",
    "Reply",
    "Stream",
    "Totals",
    "Try",
    "Usage",
    "assistant",
    "from_environment",
    "policy_from_environment",
    "system",
    "user",
]
