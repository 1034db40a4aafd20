"""All insights of a result, the most important first."""

from tidegate.jobs.analysis.insights import quality_rules, relation_rules, shape_rules, time_rules
from tidegate.jobs.analysis.insights.evidence import Insight, Severity, strongest
from tidegate.jobs.analysis.insights.facts import Facts, Rule

_MOST_PER_RULE = 3
_MOST = 20
_RULES: tuple[Rule, ...] = (
    time_rules.trends,
    time_rules.steps,
    time_rules.cycles,
    relation_rules.contribution,
    relation_rules.segments,
    relation_rules.correlations,
    shape_rules.concentration,
    shape_rules.imbalance,
    shape_rules.outliers,
    shape_rules.skew,
    quality_rules.missing,
    quality_rules.duplicates,
    quality_rules.ragged,
    quality_rules.mixed,
    quality_rules.spellings,
    quality_rules.gaps,
    quality_rules.useless,
)
_ORDER = {Severity.HIGH: 0, Severity.MEDIUM: 1, Severity.LOW: 2}


def find_insights(facts: Facts) -> list[Insight]:
    """What the rules find: at most three of a rule and 20 in all, by severity, weight and id."""
    found = [insight for rule in _RULES for insight in strongest(rule(facts), _MOST_PER_RULE)]
    found.sort(key=lambda each: (_ORDER[each.severity], -each.weight, each.id))
    return found[:_MOST]
