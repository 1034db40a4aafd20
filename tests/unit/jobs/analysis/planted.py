"""Tables with something in them that an analysis must find. Seeded: the same on every run."""

import random
from collections.abc import Callable
from datetime import date, timedelta
from math import cos, pi

Rows = list[list[object]]
START = date(2022, 1, 3)  # a Monday
DAYS = 364


def days(value: Callable[[int, date], object], heading: str = "level") -> Rows:
    """One row a day with a date and a value."""
    dates = [START + timedelta(days=index) for index in range(DAYS)]
    return [["day", heading], *([day.isoformat(), value(index, day)] for index, day in enumerate(dates))]


def rising() -> Rows:
    """A level that doubles over a year, with some noise."""
    dice = random.Random(1)
    return days(lambda index, _day: round(100 + index * 0.3 + dice.gauss(0, 4), 2))


def stepping() -> Rows:
    """A level of 100 that becomes 150 on 3 October 2022."""
    dice = random.Random(2)
    return days(lambda index, _day: round((100 if index < 273 else 150) + dice.gauss(0, 4), 2))


def weekly() -> Rows:
    """A level that doubles on Saturdays."""
    dice = random.Random(3)
    return days(lambda _index, day: round((200 if day.weekday() == 5 else 100) + dice.gauss(0, 5), 2))


def yearly() -> Rows:
    """Four years of monthly values that are highest in July."""
    dice = random.Random(4)
    months = [date(2018 + month // 12, month % 12 + 1, 1) for month in range(48)]
    level = [20 - 10 * cos((day.month - 1) / 12 * 2 * pi) + dice.gauss(0, 0.5) for day in months]
    return [["month", "level"], *([day.isoformat(), round(value, 2)] for day, value in zip(months, level, strict=True))]


def noise() -> Rows:
    """Nothing at all: independent values, groups and dates."""
    dice = random.Random(5)
    dates = [START + timedelta(days=index) for index in range(DAYS)]
    return [
        ["day", "a", "b", "group"],
        *(
            [day.isoformat(), round(dice.gauss(50, 5), 2), round(dice.gauss(50, 5), 2), dice.choice("xyz")]
            for day in dates
        ),
    ]


def orders(count: int = 400) -> Rows:
    """Orders in which one shop of four brings most revenue, one value is far off, and some cells are missing."""
    dice = random.Random(6)
    rows: Rows = [["order_id", "shop", "priority", "revenue", "weight"]]
    for number in range(1, count + 1):
        shop = dice.choice(["North", "South", "East", "West"])
        weight = round(dice.uniform(1, 10), 2)
        revenue = round(weight * (40 if shop == "West" else 5) + dice.gauss(0, 1), 2)
        rows.append(
            [number, shop, "rush" if number % 25 == 0 else "normal", revenue, "" if number % 4 == 0 else weight]
        )
    rows[101][4] = 900
    return rows
