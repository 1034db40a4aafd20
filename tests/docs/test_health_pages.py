"""The pages about upstreams and queues say what the code does, and their commands do what they say."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.docs.pages import DOCS, README, Block, blocks, same, section
from tests.docs.walk import walked
from tests.e2e.process import ROOT, USER, Served, ended
from tests.servers.provider import provider
from tidegate.app import Tidegate
from tidegate.config import load
from tidegate.core.rules import API, Rules
from tidegate.http.app import create_app
from tidegate.provider.decision import Verdict

BREAKER = DOCS / "circuit-breaker.md"
PAUSE = DOCS / "how-to" / "pause-and-resume.md"
OUTAGE = DOCS / "how-to" / "watch-an-outage.md"
SCALE = 20
"""So many times as fast the outage is played here: it is over after 21 seconds."""

SECONDS = 18


def _part(folder: Path, page: Path, heading: str) -> list[Block]:
    part = folder / "part.md"
    part.write_text(section(page, heading), "utf-8")
    return blocks(part)


async def test_a_refused_job_is_answered_as_the_page_shows(tmp_path: Path) -> None:
    app = Tidegate(load(engine="memory://", data_dir=str(tmp_path), log_level="error"))

    @app.job("ask", upstream="openrouter")
    async def ask() -> None: ...

    (shown,) = [block.text for block in _part(tmp_path, BREAKER, "## What HTTP says") if block.language == "json"]
    api = create_app(app, worker=False)
    async with (
        api.router.lifespan_context(api),
        httpx2.AsyncClient(base_url="http://t", headers=USER, transport=httpx2.ASGITransport(app=api)) as http,
    ):
        await http.put("/upstreams/openrouter/override", json={"state": "open", "seconds": 23.9})
        answer = await http.post("/jobs", json={"type": "ask"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "24")
    assert same(re.sub(r"\s*([{}:,])\s*", r"\1", shown), answer.text)


@pytest.mark.e2e
@pytest.mark.slow
def test_the_commands_that_pause_and_resume_do_so(tmp_path: Path) -> None:
    with walked(PAUSE, tmp_path) as steps:
        queue, upstream, http = (step.printed for step in steps)
    assert "low is paused until 20" in queue
    assert "low is flowing" in queue
    assert "openrouter is open until 20" in upstream
    assert "openrouter is closed" in upstream
    assert '"paused":true' in http
    assert '"override":null' in http


@pytest.mark.e2e
def test_the_first_look_of_the_runbook_shows_an_upstream_that_is_open(tmp_path: Path) -> None:
    server = Served(tmp_path)
    (look,) = [block.text for block in _part(tmp_path, BREAKER, "## Runbook") if block.language == "sh"]
    try:
        server.start()
        server.command("upstreams", "open", "openrouter", "--for", "10m")
        answers = [server.command(*line.split()[1:]) for line in look.splitlines()]
    finally:
        server.close()
    assert [answer.returncode for answer in answers] == [0] * 4, [answer.stderr for answer in answers]
    assert "open by ada" in answers[0].stdout


@pytest.mark.e2e
@pytest.mark.slow
def test_whoever_follows_the_page_sees_an_outage_that_costs_no_attempt(tmp_path: Path) -> None:
    found = [one.text for one in _part(tmp_path, OUTAGE, "## Watch Tidegate ride it out") if one.language == "sh"]
    _, serve, load_it, _, look = found
    assert serve.endswith("tidegate serve examples.outage:app\n")
    with provider("o1", scale=SCALE, log=tmp_path / "outage.jsonl") as fake:
        settings = {"TIDEGATE_APP": "examples.outage:app", "PROVIDER_URL": fake.url, "SCALE": str(SCALE)}
        server = Served(tmp_path, settings)
        try:
            url = server.start()
            addresses = {"http://127.0.0.1:8080": url, "http://127.0.0.1:8090": fake.url}
            _shell(load_it.replace("seq 60", f"seq {SECONDS}"), addresses, server)
            _check_jobs(url)
            history = json.loads(server.command("upstreams", "history", "a", "--json").stdout)["items"]
            looked = _shell(look, addresses, server)
        finally:
            server.close()
        refused = [line for line in fake.lines() if line.verdict in (Verdict.REFUSED, Verdict.FAILED)]
    words = [change["to"] for change in reversed(history)]
    assert (words[0], words[-1]) == ("open", "closed")
    assert "no jobs match" in looked  # no dead letter
    assert 0 < len(refused) < SECONDS * 5
    assert all(line.tenant == "a" for line in refused)


def _check_jobs(url: str) -> None:
    """Nothing is left to do, and every job has succeeded at its first attempt."""
    with httpx2.Client(base_url=url, headers=USER) as http:
        jobs = http.get("/jobs", params={"limit": 200}).json()["items"]
        found = ended(http, [str(job["job_id"]) for job in jobs], 60)
    assert {(job["status"], job["attempts"]) for job in found} == {("succeeded", 1)}
    assert len(found) == SECONDS * 10


def _shell(script: str, addresses: dict[str, str], server: Served) -> str:
    for shown, ours in addresses.items():
        script = script.replace(shown, ours)
    done = subprocess.run(
        ["bash", "-c", f"set -eu\n{script}"],
        env={**os.environ, **server.environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readme_s_outage_is_that_of_the_page() -> None:
    shown, page = section(README, "## Watch an outage"), section(OUTAGE, "## Watch Tidegate ride it out")
    commands = [
        line.replace(".venv/bin/", "") for line in shown.splitlines() if re.search(r"tidegate |/control/", line)
    ]
    lines = [line for line in commands if not line.startswith("up. ")]
    assert len(lines) == 4
    assert [line for line in lines if line not in page] == []


def test_rules_are_known_by_the_names_that_the_pages_use() -> None:
    assert isinstance(API, Rules)
    for name in ("api", "llm", "queue", "provider"):
        assert f"| `{name}` |" in (DOCS / "how-to" / "tune-a-breaker.md").read_text("utf-8")
