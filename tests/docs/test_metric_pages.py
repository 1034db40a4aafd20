"""The pages about metrics name those that there are, and alerts that can be read."""

import re
from typing import Final

import yaml

from tests.docs.pages import DOCS, blocks
from tidegate.telemetry.families import COUNTS, GAUGES, Family

WATCH: Final = DOCS / "how-to" / "watch-with-prometheus.md"
SUFFIXES: Final = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def _samples(family: Family) -> list[str]:
    return [f"{family.name}{suffix}" for suffix in SUFFIXES[family.kind]]


def test_every_metric_that_the_page_uses_exists_with_the_labels_that_it_uses() -> None:
    known = {name: family for family in (*COUNTS, *GAUGES) for name in _samples(family)}
    used = re.findall(r"\b(tidegate_[a-z_]+)(?:\{(\w+)=)?", WATCH.read_text("utf-8"))
    assert used
    assert [name for name, _ in used if name not in known] == []
    assert [name for name, label in used if label and label not in known[name].labels] == []


def test_the_alerts_are_those_that_an_operator_must_have() -> None:
    found = [yaml.safe_load(block.text) for block in blocks(WATCH) if block.language == "yaml"]
    [groups] = [part["groups"] for part in found if "groups" in part]
    rules = {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}
    for metric in ("upstream_state", "queue_jobs", "oldest_ready_age_seconds", "workers", "queue_workers", "store_up"):
        assert any(f"tidegate_{metric}" in expression for expression in rules.values()), metric
    assert all(rule["annotations"]["summary"] for group in groups for rule in group["rules"])
