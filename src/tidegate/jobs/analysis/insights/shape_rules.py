"""Insights about how values spread in one column."""

from collections.abc import Iterator

from tidegate.jobs.analysis.figures.model import NumericFigures
from tidegate.jobs.analysis.insights.evidence import Insight, Severity
from tidegate.jobs.analysis.insights.facts import Facts

_FEWEST_ROWS = 30


def concentration(facts: Facts) -> Iterator[Insight]:
    """Columns where one value, or three of many, make up most rows."""
    for name, figures in facts.kpis.categorical.items():
        one = figures.top[0].share >= 0.5 and figures.distinct >= 3
        three = figures.top3_share >= 0.6 and figures.distinct >= 10
        if not one and not three:
            continue
        cite = facts.evidence()
        template = "Of {distinct:count} values, {top.0.value:text} alone makes up {top.0.share:percent} of the rows"
        rest = ", the three commonest {top3_share:percent}." if three else "."
        yield Insight(
            id=f"concentration:{name}",
            rule="concentration",
            title=f"Few values dominate {name}",
            text=cite.say(("kpis", "categorical", name), template + rest),
            severity=Severity.HIGH if figures.top[0].share >= 0.8 else Severity.MEDIUM,
            columns=(name,),
            evidence=cite.cited,
            weight=max(figures.top[0].share, figures.top3_share - 0.2),
        )


def imbalance(facts: Facts) -> Iterator[Insight]:
    """Columns of two values, one of them rare."""
    for name, figures in facts.kpis.categorical.items():
        if figures.distinct != 2 or figures.rarest.share >= 0.1:
            continue
        cite = facts.evidence()
        template = (
            "{name} is {rarest.value:text} in {rarest.count:count} of {count:count} rows ({rarest.share:percent})."
        )
        yield Insight(
            id=f"imbalance:{name}",
            rule="imbalance",
            title=f"{name} is rarely {figures.rarest.value}",
            text=cite.say(("kpis", "categorical", name), template, name=name),
            severity=Severity.LOW,
            columns=(name,),
            evidence=cite.cited,
            weight=0.5 - figures.rarest.share,
        )


def outliers(facts: Facts) -> Iterator[Insight]:
    """Measures with few values far off from all others."""
    for name, figures in facts.kpis.outliers.items():
        worst = abs(figures.extremes[0].score) if figures.extremes else 0.0
        if figures.mad.share > 0.05 or worst < 5:
            continue
        cite = facts.evidence()
        below = facts.kpis.numeric[name].min < figures.mad.low
        above = facts.kpis.numeric[name].max > figures.mad.high
        bounds = ["below {mad.low:amount}"] * below + ["above {mad.high:amount}"] * above
        template = (
            f"{{mad.count:count}} of {{count:count}} values lie {' or '.join(bounds)}. The farthest is "
            "{extremes.0.value:amount} in row {extremes.0.row:count}; the median is {median:amount}."
        )
        yield Insight(
            id=f"outliers:{name}",
            rule="outliers",
            title=f"{name} has a few values far off",
            text=cite.say(("kpis", "outliers", name), template),
            severity=Severity.MEDIUM if worst >= 10 else Severity.LOW,
            columns=(name,),
            evidence=cite.cited,
            weight=min(1.0, worst / 50),
        )


def skew(facts: Facts) -> Iterator[Insight]:
    """Measures whose mean misleads: pulled away from the median, or mostly zero."""
    for name, figures in facts.kpis.numeric.items():
        zeros = 0.4 <= figures.zero_share < 1
        if figures.count < _FEWEST_ROWS or not (zeros or _is_skewed(figures)):
            continue
        cite = facts.evidence()
        template = (
            "The mean is {mean:amount}, the median {median:amount}; one value in twenty is above "
            "{p95:amount}, the largest is {max:amount}."
        )
        most = "{zero_share:percent} of the values are zero. " if zeros else ""
        yield Insight(
            id=f"skew:{name}",
            rule="skew",
            title=f"{name} is mostly zero" if figures.zero_share > 0.5 else f"The average {name} misleads",
            text=cite.say(("kpis", "numeric", name), most + template),
            severity=Severity.LOW,
            columns=(name,),
            evidence=cite.cited,
            weight=min(1.0, abs(figures.mean - figures.median) / (figures.std or 1.0)),
        )


def _is_skewed(figures: NumericFigures) -> bool:
    return abs(figures.mean - figures.median) > 0.3 * (figures.std or 0.0) > 0
