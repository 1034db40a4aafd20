"""One table of problems: what servers tell, and what clients make of it."""

from tidegate import errors
from tidegate.core.problem_kinds import FACE, INTERNAL, KINDS, RAISED, Kind
from tidegate.errors import ServiceError, TidegateError


def test_a_kind_is_told_by_a_uri_that_ends_with_its_slug() -> None:
    assert Kind("refused", 409, "No").uri == "/problems/refused"


def test_a_slug_has_one_status_and_one_title() -> None:
    kinds = {*FACE, *KINDS.values()}
    assert len({kind.slug for kind in kinds}) == len(kinds)


def test_a_client_raises_the_most_general_class_that_a_slug_stands_for() -> None:
    assert RAISED[KINDS[errors.StoreOwned].slug] is errors.EngineError
    assert RAISED[KINDS[errors.JobNotFound].slug] is errors.JobNotFound


def test_a_server_s_own_fault_is_no_fault_of_the_caller_s_program() -> None:
    assert RAISED[INTERNAL.slug] is ServiceError
    assert TidegateError not in RAISED.values()


def test_what_the_face_refuses_by_itself_has_its_class_too() -> None:
    assert all(issubclass(RAISED[kind.slug], TidegateError) for kind in FACE)
