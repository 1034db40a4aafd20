"""What holds of every exception, however hostile."""

from collections.abc import Mapping
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.failure import LONGEST_RETRY_AFTER, MESSAGE_LIMIT, failure_of
from tidegate.core.job import Raised

hostile_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(10**400), float("nan"), float("inf"), float("-inf")]),
    st.floats(),
    st.text(),
    st.text(alphabet=st.characters(categories=["Cs", "Cc"]), max_size=5),
    st.binary(max_size=5),
    st.timedeltas(),
    st.builds(object),
    st.just(Raised),
)


class Odd(Exception):
    """An exception that raises what it is told to from everything that one may ask of it."""

    def __init__(self, told: Mapping[str, object], text: object) -> None:
        super().__init__()
        self._told = told
        self._text = text

    def __getattr__(self, name: str) -> object:
        value = self._told.get(name, AttributeError(name))
        if isinstance(value, BaseException):
            raise value
        return value

    def __str__(self) -> str:
        if isinstance(self._text, str):
            return self._text
        raise RuntimeError("no text")


@given(
    st.dictionaries(
        st.sampled_from(["code", "transient", "retry_after", "status", "status_code", "response"]),
        hostile_values | st.builds(ValueError),
    ),
    hostile_values,
)
def test_any_exception_reads_as_a_failure_that_a_store_can_keep(told: Mapping[str, object], text: object) -> None:
    failure = failure_of(Odd(told, text))
    assert failure.code
    assert failure.message
    assert failure.error_type == "Odd"
    for kept in (failure.code, failure.message):
        assert len(kept.encode("utf-8")) <= 4 * MESSAGE_LIMIT
        assert "\x00" not in kept
    assert failure.retry_after is None or timedelta(0) <= failure.retry_after <= LONGEST_RETRY_AFTER
    assert failure.status is None or 100 <= failure.status <= 599
    assert hash(failure) == hash(failure_of(Odd(told, text)))
