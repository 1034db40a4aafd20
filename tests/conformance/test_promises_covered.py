"""The suite proves every promise of the contract, and nothing that was not promised."""

from tests.conformance.clauses import clauses, marked
from tests.conformance.harness import promises
from tests.conformance.promises import promised


def test_every_promise_has_a_clause() -> None:
    assert len(promises()) > 80
    assert promises() - {name for _, thing in marked() for name in promised(thing)} == set()


def test_no_clause_proves_an_unknown_promise() -> None:
    unknown = {name: set(promised(thing)) - promises() for name, thing in marked()}
    assert {name: names for name, names in unknown.items() if names} == {}


def test_clauses_are_found_with_all_their_cases() -> None:
    names = [clause.name for clause in clauses()]
    assert names.count("test_submit.test_a_known_key_names_the_first_job_whatever_became_of_it") == 8
    assert len(set(names)) > 100
