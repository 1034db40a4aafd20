"""What a model is shown of a file, and which of its insights are believed."""

from pathlib import Path

import pytest

from tests.unit.jobs.analysis.cases import EXAMPLES, analysed
from tidegate.jobs.analysis.asked.checking import held
from tidegate.jobs.analysis.asked.figures import MOST, Figure, Value, figures
from tidegate.jobs.analysis.asked.question import Said, question
from tidegate.jobs.analysis.insights.evidence import resolve


def figure(pointer: str, value: Value) -> Figure:
    return Figure(pointer=pointer, steps=tuple(pointer.split("/")[1:]), value=value)


MEAN = figure("/kpis/numeric/price/mean", 1234.567)
SHARE = figure("/kpis/categorical/region/top/0/share", 0.1436)
GROUP = figure("/kpis/categorical/region/top/0/value", "Zone 7")
WHEN = figure("/kpis/time/first_at", "2023-05-01")
FELL = figure("/kpis/time/trends/sales/shift_share", -0.25)
SHOWN = [MEAN, SHARE, GROUP, WHEN, FELL]


def said(text: str, *numbers: int, title: str = "A title") -> Said:
    return Said(title=title, text=text, severity="medium", figures=list(numbers))


def believed(text: str, *numbers: int, title: str = "A title") -> bool:
    return bool(held([said(text, *numbers, title=title)], SHOWN, ["price", "region"]))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("The mean price is 1,234.57.", (1,)),
        ("The mean price is 1235.", (1,)),
        ("The mean price is about 1.2 thousand, or 1.23k.", (1,)),
        ("Zone 7 has 14% of the rows, 14.4 % to be exact.", (2, 3)),
        ("Since May 2023 it fell by 25%.", (4, 5)),
        ("It fell.", (5,)),
        ("The 95th percentile is far off.", (6,)),
    ],
)
def test_what_the_cited_figures_say_is_believed(text: str, numbers: tuple[int, ...]) -> None:
    shown = [*SHOWN, figure("/kpis/numeric/price/p95", 9)]
    assert len(held([said(text, *numbers)], shown, ["price"])) == 1


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("The mean price is 1,300.", (1,)),  # no figure
        ("The mean price is 1,234.6 and was 900.", (1,)),  # one of two
        ("The mean price is 1,235.", (2,)),  # not the one that is cited
        ("Zone 77 has 14%.", (2, 3)),  # not the value, though it begins alike
        ("Zone 7 has 7.5%.", (2, 3)),
        ("It fell by 25% since 2022.", (4, 5)),
        ("It is 1234.567%.", (1,)),  # no share
        ("The mean price is high.", ()),  # cites nothing
        ("The mean price is high.", (0,)),
        ("The mean price is high.", (1, 99)),  # no such figure
        (" ", (1,)),
        ("high " * 500, (1,)),
    ],
)
def test_what_they_do_not_say_is_dropped(text: str, numbers: tuple[int, ...]) -> None:
    assert not believed(text, *numbers)


def test_a_title_is_checked_too() -> None:
    assert not believed("The mean is high.", 1, title="900 percent up")
    assert believed("The mean is high.", 1, title="About 1,235")


def test_a_percentage_of_what_is_in_percent_needs_its_unit() -> None:
    shown = [figure("/kpis/numeric/rate/mean", 12.5), figure("/kpis/numeric/rate/unit", "%")]
    assert held([said("The rate is 12.5%.", 1, 2)], shown, ["rate"])
    assert not held([said("The rate is 12.5%.", 1)], shown, ["rate"])


def test_an_insight_that_holds_has_the_form_of_all_others() -> None:
    wrong, right = said("It is 5.", 1), said("Zone 7 has 14%.", 2, 3, 2)
    assert held([wrong, right], SHOWN, ["price", "region"]) == [
        {
            "id": "model:1",
            "rule": "model",
            "title": "A title",
            "text": "Zone 7 has 14%.",
            "severity": "medium",
            "columns": ["region"],
            "evidence": {SHARE.pointer: 0.1436, GROUP.pointer: "Zone 7"},
            "weight": 0.99,
        }
    ]


def test_at_most_eight_are_kept() -> None:
    assert len(held([said("It fell.", 5)] * 30, SHOWN, [])) == 8


def test_every_figure_shown_is_in_the_result_and_the_rules_evidence_comes_first(tmp_path: Path) -> None:
    document = analysed(tmp_path, (EXAMPLES / "seattle-weather.csv").read_bytes())
    shown = figures(document)
    assert 100 < len(shown) <= MOST
    for each in shown:
        path = tuple(int(step) if step.isdigit() else step for step in each.steps)
        assert resolve(document, path) == each.value
    insights = document["insights"]
    assert isinstance(insights, list)
    cited = {pointer for insight in insights for pointer in insight["evidence"]}
    assert {each.pointer for each in shown[: len(cited)]} == cited
    assert len(question(shown)) < 40_000


def test_no_cell_is_shown_but_groups_and_what_the_rules_cite(tmp_path: Path) -> None:
    rows = "".join(f"person-{row}@example.com,{row % 7},{'ab'[row % 2]}\n" for row in range(200))
    document = analysed(tmp_path, f"mail,visits,group\n{rows}")
    text = question(figures(document))
    assert "example.com" not in text
    assert '"mail"' in text
    assert "/kpis/categorical/group/top/0/value" in text
