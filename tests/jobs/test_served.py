"""`tidegate serve` with a model from the environment, as its users meet it over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.process import USER, Served, ended, submit
from tests.jobs.shop import KEY, MODEL, PROMPT
from tests.servers.provider import Fake, provider

pytestmark = pytest.mark.e2e


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Fake]:
    """A provider that wants a key."""
    key = tmp_path / "key"
    key.write_text(KEY)
    with provider(key=KEY, key_file=key) as found:
        yield found


@pytest.fixture
def http(tmp_path: Path, fake: Fake) -> Iterator[httpx2.Client]:
    """A server with that provider's model."""
    told = {"TIDEGATE_APP": "", "LLM_MODEL": MODEL, "LLM_BASE_URL": fake.base(), "LLM_API_KEY": KEY}
    served = Served(tmp_path, {**told, "TIDEGATE_LOG_LEVEL": "debug"})
    try:
        with httpx2.Client(base_url=served.start(), timeout=20, trust_env=False) as client:
            yield client
    finally:
        served.close()


def test_a_job_is_generated_and_no_log_line_tells_of_what(http: httpx2.Client, fake: Fake, tmp_path: Path) -> None:
    types = {item["name"]: item for item in http.get("/job-types").json()["items"]}
    assert types["content.generate"]["queue"] == "content"
    assert "schema" in types["content.generate"]["payload_schema"]["properties"]
    job_id = submit(http, "content.generate", {"prompt": PROMPT, "max_tokens": 4})
    [status] = ended(http, [job_id], 20)
    assert status["status"] == "succeeded", status
    whole = http.get(f"/jobs/{job_id}", headers=USER).json()
    assert (whole["result"]["text"], whole["served_by"]) == ("canary prompt: what is", "local")
    fake.override("server_error")
    other = submit(http, "content.generate", {"prompt": PROMPT})
    while not http.get(f"/jobs/{other}/status", headers=USER).json().get("error"):
        pass
    http.post(f"/jobs/{other}/cancel", headers=USER)
    log = (tmp_path / "server.log").read_text()
    assert "llm.try" in log
    assert KEY not in log
    assert PROMPT not in log
