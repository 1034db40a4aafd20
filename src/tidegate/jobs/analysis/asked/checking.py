"""Which of a model's insights hold: those that cite figures there are, and write no number but theirs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tidegate.core.text import storable
from tidegate.jobs.analysis.asked.figures import Figure
from tidegate.jobs.analysis.asked.question import MOST_INSIGHTS, Said

RULE: Final = "model"
_LONGEST_TITLE: Final = 120
_LONGEST_TEXT: Final = 800
_MOST_FIGURES: Final = 20

_NUMBER: Final = re.compile(
    r"(?<![\w.,])(?P<digits>\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)"
    r"(?:\s?(?P<scale>%|percent\b|thousand\b|million\b|billion\b|[kKMB]\b))?"
)
_SCALES: Final[Mapping[str, float]] = {
    "%": 100, "percent": 100, "k": 1e-3, "thousand": 1e-3, "m": 1e-6, "million": 1e-6, "b": 1e-9, "billion": 1e-9
}  # fmt: skip
_DIGITS: Final = re.compile(r"\d+")


def held(said: Sequence[Said], figures: Sequence[Figure], columns: Sequence[str]) -> list[dict[str, object]]:
    """The insights that hold, in the form of a result's; any whose evidence does not is dropped whole."""
    kept = [(one, cited) for one in said if (cited := _cited(one, figures)) and _bears_out(one, cited)]
    return [_insight(number, one, cited, columns) for number, (one, cited) in enumerate(kept[:MOST_INSIGHTS], start=1)]


def _cited(one: Said, figures: Sequence[Figure]) -> list[Figure]:
    """The figures that an insight rests on; none where it names one that there is not."""
    numbers = list(dict.fromkeys(one.figures))
    if len(numbers) > _MOST_FIGURES or any(not 1 <= number <= len(figures) for number in numbers):
        return []
    return [figures[number - 1] for number in numbers]


def _bears_out(one: Said, cited: Sequence[Figure]) -> bool:
    if not one.title.strip() or not one.text.strip():
        return False
    if len(one.title) > _LONGEST_TITLE or len(one.text) > _LONGEST_TEXT:
        return False
    values = [float(each.value) for each in cited if not isinstance(each.value, str | bool)]
    words = _digits_of_words(cited)
    text = _without_words(f"{one.title}\n{one.text}", cited)
    in_percent = any(each.value == "%" for each in cited)
    written = [found for found in _NUMBER.finditer(text) if found["digits"] not in words]
    return all(_is_one(found, values, in_percent=in_percent) for found in written)


def _is_one(found: re.Match[str], values: Sequence[float], *, in_percent: bool) -> bool:
    """Whether what is written is one of the values, rounded to as many decimals as are written; signs are words.

    What is written as a percentage is a share, or `in_percent` already.
    """
    digits, scale = found["digits"].replace(",", ""), (found["scale"] or "").lower()
    decimals = len(digits.partition(".")[2])
    factors = (100.0, 1.0) if in_percent and _SCALES.get(scale) == 100 else (_SCALES.get(scale, 1.0),)
    slack = 0.5 * 10**-decimals * (1 + 1e-9)
    return any(abs(abs(value) * factor - float(digits)) <= slack for value in values for factor in factors)


def _without_words(text: str, cited: Sequence[Figure]) -> str:
    """The text without the names and values of the file that it rests on: a group may be called "Q4 2023"."""
    for word in sorted(_words(cited), key=len, reverse=True):
        text = re.sub(rf"(?<![\w.,]){re.escape(word)}(?!\w|[.,]\d)", " ", text)
    return text


def _digits_of_words(cited: Sequence[Figure]) -> frozenset[str]:
    return frozenset(run for word in _words(cited) for run in _DIGITS.findall(word))


def _words(cited: Sequence[Figure]) -> Iterator[str]:
    """Values that are texts, and steps that are no place in a list."""
    for each in cited:
        if isinstance(each.value, str) and each.value:
            yield each.value
        yield from (step for step in each.steps if not step.isdigit())


def _insight(number: int, one: Said, cited: Sequence[Figure], columns: Sequence[str]) -> dict[str, object]:
    steps = {step for each in cited for step in (*each.steps, each.value)}
    return {
        "id": f"{RULE}:{number}",
        "rule": RULE,
        "title": storable(one.title.strip(), _LONGEST_TITLE),
        "text": storable(one.text.strip(), _LONGEST_TEXT),
        "severity": one.severity,
        "columns": [name for name in columns if name in steps],
        "evidence": {each.pointer: each.value for each in cited},
        "weight": round(1 - number / 100, 2),
    }
