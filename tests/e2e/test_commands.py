"""The command line beside a running server, and without one."""

import json

import pytest

from tests.e2e.process import Served

pytestmark = [pytest.mark.e2e]


def test_commands_work_over_http_while_a_server_owns_the_store(served: Served) -> None:
    served.start()

    submitted = served.command("jobs", "submit", "work", "--payload", '{"seconds": 0.3}')
    job_id = submitted.stdout.strip()
    waited = served.command("jobs", "wait", job_id)
    listed = served.command("jobs", "list", "--json")
    shown = served.command("jobs", "show", job_id, "--json")

    assert (submitted.returncode, waited.returncode) == (0, 0), submitted.stderr + waited.stderr
    assert json.loads(waited.stdout) == {"run": 1}
    assert [item["job_id"] for item in json.loads(listed.stdout)["items"]] == [job_id]
    assert [step["event"] for step in json.loads(shown.stdout)["history"]] == ["submitted", "claimed", "succeeded"]


def test_without_a_server_commands_open_the_store_themselves(served: Served) -> None:
    submitted = served.command("jobs", "submit", "work")
    cancelled = served.command("jobs", "cancel", submitted.stdout.strip())
    listed = served.command("jobs", "list", "--status", "cancelled", "--json")

    assert submitted.returncode == 0, submitted.stderr
    assert cancelled.returncode == 0, cancelled.stderr
    assert [item["status"] for item in json.loads(listed.stdout)["items"]] == ["cancelled"]


def test_exit_codes_tell_what_happened(served: Served) -> None:
    served.start()
    unknown = served.command("jobs", "show", "0190b2a4-0000-7000-8000-000000000000")
    bad_type = served.command("jobs", "submit", "no-such-type")
    bad_payload = served.command("jobs", "submit", "work", "--payload", "[1")
    unreachable = served.command("jobs", "list", "--url", "http://127.0.0.1:9")
    too_late = served.command(
        "jobs", "wait", served.command("jobs", "submit", "work", "--delay", "60").stdout.strip(), "--timeout", "0.3"
    )

    codes = [answer.returncode for answer in (unknown, bad_type, bad_payload, unreachable, too_late)]
    assert codes == [3, 2, 2, 5, 124]
    for answer in (unknown, bad_type, bad_payload, unreachable, too_late):
        assert answer.stderr.startswith("tidegate: ")
        assert "Traceback" not in answer.stderr


def test_a_finished_job_can_t_be_cancelled_and_a_failed_wait_says_why(served: Served) -> None:
    served.start()
    done = served.command("jobs", "submit", "work", "--wait", "--json")
    failed = served.command("jobs", "submit", "broken", "--max-attempts", "1", "--wait")
    listed = served.command("jobs", "list", "--status", "dead_letter")

    assert done.returncode == 0, done.stderr
    assert failed.returncode == 1
    assert "processing_error" in failed.stderr
    assert "dead_letter" in listed.stdout


def test_doctor_finds_a_healthy_set_up_and_a_broken_one(served: Served) -> None:
    well = served.command("doctor")
    served.settings["TIDEGATE_ENGINE"] = "oracle://somewhere"
    ill = served.command("doctor", "--json")

    assert well.returncode == 0, well.stdout
    assert ill.returncode == 1
    assert {check["check"]: check["ok"] for check in json.loads(ill.stdout)}["engine"] is False


def test_commands_do_not_ask_a_server_on_another_store_and_are_quiet_without_one(served: Served) -> None:
    quiet = served.command("jobs", "submit", "work")
    served.start()
    served.settings["TIDEGATE_ENGINE"] = f"sqlite:///{served.folder}/other.db"
    refused = served.command("jobs", "list")

    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert refused.returncode == 2
    assert "uses another store" in refused.stderr


def test_help_completion_and_migrate(served: Served) -> None:
    helped, migrated = served.command("--help"), served.command("db", "migrate")

    assert helped.returncode == 0
    assert all(word in helped.stdout for word in ("serve", "worker", "jobs", "doctor", "db", "completion"))
    assert migrated.returncode == 0, migrated.stderr
