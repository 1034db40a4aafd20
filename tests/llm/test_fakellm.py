"""Against a second server by other people: fakellm."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.llm.calls import Verdict, quick
from tests.servers.fakellm import fakellm
from tidegate.errors import LLMError
from tidegate.llm import LLM, Provider, system, user

pytestmark = pytest.mark.slow

FENCED = '```json\n{"grade": 4, "reason": "x"}\n```'
SAYS = {
    "give a grade": {"content": '{"grade": 3, "reason": "so so"}'},
    "with a fence": {"content": FENCED},
    "in prose": {"content": "I would rather not say."},
    "while busy": {"status": 429, "error": "Rate limit reached. Please try again in 0.05s."},
    "while broken": {"status": 500, "error": "server"},
    "when denied": {"status": 401, "error": "Incorrect API key"},
    "at length": {"status": 400, "error": "maximum context length exceeded"},
    "some words": {"content": "one two  three"},
}
RULES = [{"name": said, "when": {"messages_contain": said}, "respond": answer} for said, answer in SAYS.items()]
CONFIG = json.dumps({"version": 1, "rules": RULES})  # JSON is YAML


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with fakellm(Path(tmp_path_factory.mktemp("fakellm")), CONFIG) as server:
        yield server


@pytest.fixture
async def llm(url: str) -> AsyncIterator[LLM]:
    async with LLM(Provider(name="fakellm", model="gpt-4o-mini", base_url=url), policy=quick()) as client:
        yield client


@pytest.mark.parametrize(("prompt", "grade"), [("give a grade", 3), ("with a fence", 4)])
async def test_it_answers_in_a_form(llm: LLM, prompt: str, grade: int) -> None:
    reply = await llm.chat([system("be brief"), user(prompt)], schema=Verdict)
    assert reply.parsed.grade == grade


async def test_it_streams_word_by_word(llm: LLM) -> None:
    stream = llm.stream([user("some words")])
    assert [part async for part in stream] == ["one", " two", " ", " three"]
    assert stream.reply.text == "one two  three"


@pytest.mark.parametrize(
    ("prompt", "code", "tries"),
    [
        ("while busy", "rate_limited", 2),
        ("while broken", "server_error", 2),
        ("when denied", "auth", 2),
        ("at length", "context_too_long", 1),
        ("in prose", "invalid_output", 2),
    ],
)
async def test_its_errors_are_told_apart(llm: LLM, prompt: str, code: str, tries: int) -> None:
    with pytest.raises(LLMError) as raised:
        await llm.chat([user(prompt)], schema=Verdict)
    assert raised.value.code == code
    assert llm.ledger.totals["fakellm", "gpt-4o-mini"].tries == tries
