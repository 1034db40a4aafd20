"""Schedules: jobs that are made at the ticks of a cron expression, once each in the whole fleet."""

from tidegate.schedules.book import Book, Record
from tidegate.schedules.declaring import ScheduleOptions, declare, planned, timetable
from tidegate.schedules.expressions import parse, ticks_after
from tidegate.schedules.plans import Origin, Plan, Standing

__all__ = [
    "Book",
    "Origin",
    "Plan",
    "Record",
    "ScheduleOptions",
    "Standing",
    "declare",
    "parse",
    "planned",
    "ticks_after",
    "timetable",
]
