"""Which form a client wants."""

import pytest

from tidegate.http.requests.negotiating import Wish, wish

JSON = "application/json"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", Wish(1.0, 0)),
        ("*/*", Wish(1.0, 0)),
        ("application/*;q=0.5", Wish(0.5, 1)),
        ("application/json", Wish(1.0, 2)),
        ("Application/JSON; q=0.3", Wish(0.3, 2)),
        ("text/html", Wish(0.0, 0)),
        ("application/json;q=0, */*", Wish(0.0, 2)),
        ("*/*;q=0.9, application/*;q=0.2, application/json;q=0.1", Wish(0.1, 2)),
        ("application/json;q=0.2, application/json;q=0.7", Wish(0.7, 2)),
        ("application/json;charset=utf-8;q=0.4", Wish(0.4, 2)),
        ("application/json;q=much", Wish(0.0, 0)),
        ("application/json;q=2, */*;q=0.1", Wish(0.1, 0)),
        ("application/json;q=nan", Wish(0.0, 0)),
        (",;,application/json,", Wish(1.0, 2)),
    ],
)
def test_the_range_that_fits_best_says_how_much_it_is_wanted(accept: str, wanted: Wish) -> None:
    assert wish(accept, JSON) == wanted
