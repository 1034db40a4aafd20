"""Insights about how columns bear on one another: groups that differ, measures that move together."""

from collections.abc import Iterator

from tidegate.jobs.analysis.figures.model import Correlation, Segment
from tidegate.jobs.analysis.insights.evidence import Insight, Severity
from tidegate.jobs.analysis.insights.facts import Facts

_LEAST_CORRELATION = 0.5
_LEAST_EXPLAINED = 0.1
_TWINS = 0.98
_FEWEST_ROWS = 30


def contribution(facts: Facts) -> Iterator[Insight]:
    """Groups that bring far more of a sum than their share of the rows."""
    for index, segment in enumerate(facts.kpis.segments):
        best = max(range(len(segment.groups)), key=lambda each: segment.groups[each].share_of_sum or 0.0)
        group = segment.groups[best]
        part = group.share_of_sum or 0.0
        if part < 0.4 or part < 1.5 * group.share:
            continue
        cite = facts.evidence()
        template = "{by} {value:text} has {share:percent} of the rows but {share_of_sum:percent} of all {measure}."
        at = ("kpis", "segments", index, "groups", best)
        yield Insight(
            id=f"contribution:{segment.measure}:{segment.by}",
            rule="contribution",
            title=f"{group.value} brings an outsize part of {segment.measure}",
            text=cite.say(at, template, by=segment.by, measure=segment.measure),
            severity=Severity.HIGH if part >= 0.6 else Severity.MEDIUM,
            columns=(segment.by, segment.measure),
            evidence=cite.cited,
            weight=part,
        )


def segments(facts: Facts) -> Iterator[Insight]:
    """Measures that differ clearly between groups; of measures that move as one, only the first."""
    told: list[str] = []
    for index, segment in enumerate(facts.kpis.segments):
        if segment.explained < _LEAST_EXPLAINED or any(_are_twins(facts, segment.measure, each) for each in told):
            continue
        told.append(segment.measure)
        cite = facts.evidence()
        template = _segment_template(segment)
        yield Insight(
            id=f"segment:{segment.measure}:{segment.by}",
            rule="segment",
            title=f"{segment.measure} differs by {segment.by}",
            text=cite.say(("kpis", "segments", index), template, by=segment.by, measure=segment.measure),
            severity=Severity.HIGH if segment.explained >= 0.5 else Severity.MEDIUM,
            columns=(segment.by, segment.measure),
            evidence=cite.cited,
            weight=segment.explained,
        )


def _segment_template(segment: Segment) -> str:
    last = len(segment.groups) - 1
    return (
        "Average {measure} is highest for {groups.0.value:text} ({groups.0.mean:amount}, "
        "{groups.0.count:count} "
        f"rows) and lowest for {{groups.{last}.value:text}} ({{groups.{last}.mean:amount}}, "
        f"{{groups.{last}.count:count}} rows). {{by}} explains {{explained:percent}} of the variation in "
        "{measure}."
    )


def _are_twins(facts: Facts, a: str, b: str) -> bool:
    pairs = facts.kpis.correlations.pairs
    return a == b or any({pair.a, pair.b} == {a, b} and abs(pair.pearson) >= 0.9 for pair in pairs)


def correlations(facts: Facts) -> Iterator[Insight]:
    """Pairs of measures that move together, or against each other."""
    for index, pair in enumerate(facts.kpis.correlations.pairs):
        strength = max(abs(pair.pearson), abs(pair.spearman))
        twins = min(abs(pair.pearson), abs(pair.spearman)) >= _TWINS
        if strength < _LEAST_CORRELATION or pair.count < _FEWEST_ROWS:
            continue
        cite = facts.evidence()
        lead = pair.pearson if abs(pair.pearson) == strength else pair.spearman
        together = "rise and fall together" if lead > 0 else "move in opposite directions"
        template = (
            "Over {count:count} rows their correlation is {pearson:amount} (Pearson) and {spearman:amount} "
            "by rank (Spearman)."
        )
        yield Insight(
            id=f"correlation:{pair.a}:{pair.b}",
            rule="correlation",
            title=f"{pair.a} and {pair.b} {together}",
            text=cite.say(("kpis", "correlations", "pairs", index), template) + _remark(pair),
            severity=Severity.HIGH if strength >= 0.8 and not twins else Severity.MEDIUM,
            columns=(pair.a, pair.b),
            evidence=cite.cited,
            weight=0.5 if twins else strength,
        )


def _remark(pair: Correlation) -> str:
    line, rank = abs(pair.pearson), abs(pair.spearman)
    if min(line, rank) >= _TWINS:
        return " Either says nearly everything the other does."
    if line - rank >= 0.2:
        return " A few extreme rows carry much of it."
    if rank - line >= 0.15:
        return " A bend or extreme values hide part of it from Pearson."
    return " That is no proof of cause."
