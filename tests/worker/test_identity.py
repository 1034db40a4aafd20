"""Names of workers: no two alike, and a dead one is known for dead only when that is sure."""

import os
import subprocess

import pytest

from tidegate.clock import token
from tidegate.core.job import Owner
from tidegate.worker.identity import dead, identity, lives, pid_of


def _renamed(place: int, to: str) -> Owner:
    parts = identity(token()).split(".")
    parts[place] = to
    return Owner(".".join(parts))


def test_two_workers_of_one_process_have_two_names() -> None:
    assert identity(token()) != identity(token())


def test_a_living_process_is_not_dead() -> None:
    assert not dead(identity(token()))
    assert lives(identity(token()))


def test_a_process_that_has_ended_is_dead() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert dead(_renamed(2, str(process.pid)))


def test_a_process_that_has_ended_is_dead_before_its_parent_has_looked() -> None:
    with subprocess.Popen(["true"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read()  # its end
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert dead(_renamed(2, str(process.pid)))


def test_a_reused_process_id_does_not_keep_its_former_holder_alive() -> None:
    assert dead(_renamed(3, "1"))


@pytest.mark.parametrize(
    "owner",
    [
        _renamed(0, "another-boot"),
        _renamed(1, "1"),
        _renamed(0, "0"),
        _renamed(3, "0"),
        _renamed(2, "self"),
        Owner("reaper-1"),
        Owner("a.b.c.d"),
        Owner(""),
    ],
    ids=["boot", "namespace", "no boot", "no start", "no number", "foreign", "too short", "empty"],
)
def test_what_is_in_doubt_is_not_dead(owner: Owner) -> None:
    assert not dead(owner)
    assert not lives(owner)


def test_the_process_id_can_be_read_back() -> None:
    assert pid_of(identity(token())) == os.getpid()
    assert pid_of(Owner("reaper-1")) is None
