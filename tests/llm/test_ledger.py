"""What was used, try by try."""

from datetime import timedelta

from tests.llm.lines import Lines
from tidegate.llm import Ledger, Totals, Try, Usage
from tidegate.telemetry.redaction import clean_fields

USAGE = Usage(input_tokens=10, output_tokens=5, cost=60)
GOOD = Try(upstream="a", model="m", number=1, took=timedelta(seconds=1), status=200, usage=USAGE)
BAD = Try(upstream="a", model="m", number=2, took=timedelta(seconds=1), fault="down")


def test_tries_add_up_by_upstream_and_model_and_unknown_ones_are_counted() -> None:
    ledger = Ledger()
    for one in (GOOD, GOOD, BAD, Try(upstream="b", model="m", number=1, took=timedelta(0), usage=Usage())):
        ledger.add(one)
    assert ledger.totals["a", "m"] == Totals(
        tries=3, failed=1, input_tokens=20, output_tokens=10, cost=120, unknown=1, unpriced=1
    )
    assert ledger.totals["b", "m"] == Totals(tries=1, unpriced=1)


def test_a_line_tells_counts_and_codes_that_redaction_lets_through() -> None:
    lines = Lines()
    ledger = Ledger(lines)
    ledger.add(GOOD)
    ledger.add(BAD)
    assert lines.lines == [("info", "llm.try"), ("warning", "llm.try")]
    assert [clean_fields(fields) for fields in lines.fields] == lines.fields
    good, bad = lines.fields
    assert (good["input_count"], good["output_count"], good["cost_micros"], good["took_ms"]) == (10, 5, 60, 1_000.0)
    assert (bad["fault"], bad["try"]) == ("down", 2)
