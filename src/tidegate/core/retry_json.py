"""Retry policies as JSON: what `POST /jobs` accepts, what settings hold and what a store keeps.

`{"policy": "steps", "delays": [1, 5, 30], "jitter": 0}` or `{"policy": "exponential", "initial": 2,
"factor": 2, "max": 300, "jitter": 0.1}`, each with optional `max_attempts` and `rules`; seconds throughout.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final, TypeAlias, TypeVar, assert_never

from tidegate.core import retry
from tidegate.core.retry import Backoff, Exponential, RetryPolicy, Rule, Steps
from tidegate.errors import ConfigError, InvalidInput

DEFAULT_MAX: Final = timedelta(hours=24)
"""`max` where none is named: 2^n s stays unbent for 16 tries, and nothing sleeps for more than a day."""

_LARGEST_NUMBER: Final = 10**12
"""More than any field may hold and less than a timedelta can: whatever is beyond is refused unconverted."""

_T = TypeVar("_T")
_Reader: TypeAlias = Callable[[object, str], _T]
"""Takes a JSON value and its path; gives what it means or raises InvalidInput."""


def policy_to_json(policy: RetryPolicy) -> dict[str, object]:
    """The JSON form; `policy_from_json` reads an equal policy back."""
    form = _backoff_to_json(policy.backoff) | {"max_attempts": policy.max_attempts}
    if policy.rules:
        form["rules"] = [_rule_to_json(rule) for rule in policy.rules]
    return form


def policy_from_json(value: Mapping[str, object], path: str = "") -> RetryPolicy:
    """Read the JSON form; what is left out has the dataclass's default, and `max` has `DEFAULT_MAX`.

    `path` says where `value` stands in its document. Raises InvalidInput, whose field is a dotted path below
    `path`, for an unknown or missing field, a wrong type ("3" is not 3, nor true 1), NaN and a value out of
    range.
    """
    form = _Form(value, path)
    backoff = _read_backoff(form, "max_attempts", "rules")
    most = form.get("max_attempts", _attempts, retry.DEFAULT.max_attempts)
    rules = form.get("rules", _each(_rule), retry.DEFAULT.rules)
    return form.build("rules", lambda: RetryPolicy(backoff=backoff, max_attempts=most, rules=rules))


def _backoff_to_json(backoff: Backoff) -> dict[str, object]:
    match backoff:
        case Steps():
            delays = [_tidy(step.total_seconds()) for step in backoff.delays]
            return {"policy": "steps", "delays": delays, "jitter": _tidy(backoff.jitter)}
        case Exponential():
            return {
                "policy": "exponential",
                "initial": _tidy(backoff.initial.total_seconds()),
                "factor": _tidy(backoff.factor),
                "max": _tidy(backoff.cap.total_seconds()),
                "jitter": _tidy(backoff.jitter),
            }
        case _:
            assert_never(backoff)


def _rule_to_json(rule: Rule) -> dict[str, object]:
    form: dict[str, object] = {"error": rule.error, "retry": rule.retry}
    if rule.max_attempts is not None:
        form["max_attempts"] = rule.max_attempts
    if rule.backoff is not None:
        form["backoff"] = _backoff_to_json(rule.backoff)
    return form


def _tidy(number: float) -> float:
    return int(number) if number == int(number) else number


class _Form:
    """One JSON object that is being read, and where it stands in its document."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, Mapping):
            raise _mistyped(value, path, "an object")
        self._fields: Mapping[str, object] = value
        self._path = path

    def only(self, *known: str) -> None:
        """Refuse every other field; shortened, as its name is somebody's text of any length."""
        for name in self._fields:
            if name not in known:
                raise InvalidInput(self._at(name[:100]), f"is unknown here; known are {', '.join(known)}")

    def must(self, name: str, read: _Reader[_T]) -> _T:
        if name not in self._fields:
            raise InvalidInput(self._at(name), "is missing")
        return read(self._fields[name], self._at(name))

    def get(self, name: str, read: _Reader[_T], default: _T) -> _T:
        return self.must(name, read) if name in self._fields else default

    def build(self, name: str, make: Callable[[], _T]) -> _T:
        """What `make` makes; where it refuses fields that are each sound, `name` has the blame."""
        try:
            return make()
        except ConfigError as exc:
            raise InvalidInput(self._at(name), str(exc)) from exc

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name


def _read_backoff(form: _Form, *beside: str) -> Backoff:
    if form.must("policy", _kind) == "steps":
        form.only("policy", "delays", "jitter", *beside)
        delays = form.must("delays", _each(_delay))
        jitter = form.get("jitter", _jitter, 0.0)
        return form.build("delays", lambda: Steps(delays=delays, jitter=jitter))
    form.only("policy", "initial", "factor", "max", "jitter", *beside)
    return _read_exponential(form)


def _read_exponential(form: _Form) -> Exponential:
    initial = form.must("initial", _delay)
    factor = form.get("factor", _factor, 2.0)
    cap = form.get("max", _delay, max(initial, DEFAULT_MAX))
    jitter = form.get("jitter", _jitter, 0.1)
    return form.build("max", lambda: Exponential(initial=initial, factor=factor, cap=cap, jitter=jitter))


def _rule(value: object, path: str) -> Rule:
    form = _Form(value, path)
    form.only("error", "retry", "max_attempts", "backoff")
    error = form.must("error", _error)
    again = form.get("retry", _flag, True)
    most = form.get("max_attempts", _attempts, None)
    backoff = form.get("backoff", _backoff, None)
    return form.build("retry", lambda: Rule(error=error, retry=again, max_attempts=most, backoff=backoff))


def _backoff(value: object, path: str) -> Backoff:
    return _read_backoff(_Form(value, path))


def _number(value: object, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _mistyped(value, path, "a number")
    if not abs(value) <= _LARGEST_NUMBER:  # written so that NaN is refused too
        raise InvalidInput(path, "must be a finite number, and none that large")
    return value


def _whole(value: object, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _mistyped(value, path, "a whole number")
    return int(_number(value, path))


def _seconds(value: object, path: str) -> timedelta:
    return timedelta(seconds=_number(value, path))


def _text(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise _mistyped(value, path, "a string")
    return value


def _flag(value: object, path: str) -> bool:
    if not isinstance(value, bool):
        raise _mistyped(value, path, "true or false")
    return value


def _each(read: _Reader[_T]) -> _Reader[tuple[_T, ...]]:
    def read_list(value: object, path: str) -> tuple[_T, ...]:
        if not isinstance(value, list | tuple):
            raise _mistyped(value, path, "a list")
        return tuple(read(item, f"{path}.{number}") for number, item in enumerate(value))

    return read_list


def _sound(read: _Reader[_T], fault: Callable[[_T], str | None]) -> _Reader[_T]:
    def read_sound(value: object, path: str) -> _T:
        meant = read(value, path)
        if wrong := fault(meant):
            raise InvalidInput(path, wrong)
        return meant

    return read_sound


def _mistyped(value: object, path: str, wanted: str) -> InvalidInput:
    return InvalidInput(path, f"must be {wanted}, not {_called(value)}")


def _called(value: object) -> str:
    """What JSON calls a value of its own."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list() | tuple():
            return "a list"
        case _:
            return "an object"


def _kind_fault(kind: str) -> str | None:
    return None if kind in ("steps", "exponential") else 'must be "steps" or "exponential"'


_kind = _sound(_text, _kind_fault)
_delay = _sound(_seconds, retry.delay_fault)
_factor = _sound(_number, retry.factor_fault)
_jitter = _sound(_number, retry.jitter_fault)
_attempts = _sound(_whole, retry.attempts_fault)
_error = _sound(_text, retry.error_fault)
