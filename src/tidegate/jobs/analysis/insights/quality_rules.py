"""Insights about the data itself: missing, repeated, malformed, mixed, useless."""

from collections.abc import Iterator

from tidegate.jobs.analysis.insights.evidence import Insight, Severity, listed
from tidegate.jobs.analysis.insights.facts import Facts

_LEAST_MISSING = 0.05


def missing(facts: Facts) -> Iterator[Insight]:
    """Columns where at least 1 in 20 cells has no value."""
    for name, part in facts.quality.missing.items():
        if part.share < _LEAST_MISSING or name in facts.quality.empty_columns:
            continue
        cite = facts.evidence()
        template = "{name} has no value in {count:count} rows ({share:percent})."
        yield Insight(
            id=f"missing:{name}",
            rule="missing",
            title=f"{name} is often missing",
            text=cite.say(("quality", "missing", name), template, name=name),
            severity=_by_share(part.share, high=0.5, medium=0.2),
            columns=(name,),
            evidence=cite.cited,
            weight=part.share,
        )


def duplicates(facts: Facts) -> Iterator[Insight]:
    """Rows that repeat an earlier row in every cell."""
    part = facts.quality.duplicate_rows
    if part.count:
        cite = facts.evidence()
        template = (
            "{count:count} rows ({share:percent}) repeat an earlier row in every cell. Unless they are "
            "genuine repeats, counts and sums are too high by them."
        )
        yield Insight(
            id="duplicates",
            rule="duplicates",
            title="Some rows are repeated",
            text=cite.say(("quality", "duplicate_rows"), template),
            severity=_by_share(part.share, high=0.1, medium=0.01),
            columns=(),
            evidence=cite.cited,
            weight=part.share,
        )


def ragged(facts: Facts) -> Iterator[Insight]:
    """Rows with too few or too many cells."""
    rows = facts.quality.ragged_rows
    if rows.count:
        cite = facts.evidence()
        template = (
            "{count:count} rows ({share:percent}) are malformed: {short:count} have too few cells and "
            "{long:count} too many, the first being row {examples.0:count}. Cells that lack count as "
            "missing, extra ones are ignored."
        )
        yield Insight(
            id="ragged",
            rule="ragged",
            title="Some rows have the wrong number of cells",
            text=cite.say(("quality", "ragged_rows"), template),
            severity=_by_share(rows.share, high=0.1, medium=0.01),
            columns=(),
            evidence=cite.cited,
            weight=rows.share,
        )


def mixed(facts: Facts) -> Iterator[Insight]:
    """Columns whose values are not all of one kind."""
    for name, found in facts.quality.mixed_columns.items():
        cite, at = facts.evidence(), ("quality", "mixed_columns", name)
        if found.looks:
            looks = [cite.say(at, f"{look} ({{looks.{look}:percent}})") for look in found.looks]
            template = "{name} mixes {looks}. It was read as text, so nothing was calculated from it."
        else:
            looks = []
            template = (
                "{unparsed:count} values of {name} ({share:percent}) are not of its kind, such as "
                '"{examples.0:text}". They count as missing in its figures.'
            )
        yield Insight(
            id=f"mixed:{name}",
            rule="mixed",
            title=f"{name} holds values of different kinds",
            text=cite.say(at, template, name=name, looks=listed(looks)),
            severity=_by_share(found.share, high=0.1, medium=0.02),
            columns=(name,),
            evidence=cite.cited,
            weight=found.share,
        )


def useless(facts: Facts) -> Iterator[Insight]:
    """Columns that are empty, or the same in every row."""
    groups = {"empty": facts.quality.empty_columns, "constant": facts.quality.constant_columns}
    says = {"empty": "without any value", "constant": "with the same value in every row"}
    for word, names in groups.items():
        if names:
            cite, at = facts.evidence(), ("quality", f"{word}_columns")
            quoted = [cite.say(at, f"{{{index}:text}}") for index in range(min(5, len(names)))]
            more = " and others" if len(names) > len(quoted) else ""
            yield Insight(
                id=f"useless:{word}",
                rule="useless",
                title=f"Columns {says[word]}",
                text=f"{listed(quoted)}{more}: {says[word]}. Nothing can be learned from that.",
                severity=Severity.LOW,
                columns=names,
                evidence=cite.cited,
                weight=len(names) / 1000,
            )


def spellings(facts: Facts) -> Iterator[Insight]:
    """Categories that differ only by case, blanks or dashes."""
    for name in facts.quality.spelling_variants:
        cite = facts.evidence()
        template = (
            "{variants:count} of {distinct:count} values of {name} differ from another only by capitals, "
            "blanks or dashes, and are counted apart."
        )
        yield Insight(
            id=f"spelling:{name}",
            rule="spelling",
            title=f"{name} spells some values in more than one way",
            text=cite.say(("quality", "spelling_variants", name), template, name=name),
            severity=Severity.MEDIUM,
            columns=(name,),
            evidence=cite.cited,
            weight=0.3,
        )


def gaps(facts: Facts) -> Iterator[Insight]:
    """Stretches of time without any row."""
    time = facts.kpis.time
    if time and time.empty_buckets and time.buckets >= 10:
        cite = facts.evidence()
        part = time.empty_buckets / time.buckets
        template = (
            "{empty_buckets:count} of {buckets:count} {bucket}s between {first_at:text} and {last_at:text} have no row."
        )
        yield Insight(
            id="gaps",
            rule="gaps",
            title=f"Some {time.bucket}s have no rows",
            text=cite.say(("kpis", "time"), template, bucket=time.bucket),
            severity=_by_share(part, high=0.5, medium=0.1),
            columns=(time.column,),
            evidence=cite.cited,
            weight=part,
        )


def _by_share(part: float, *, high: float, medium: float) -> Severity:
    if part >= high:
        return Severity.HIGH
    return Severity.MEDIUM if part >= medium else Severity.LOW
