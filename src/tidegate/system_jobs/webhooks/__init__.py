"""Webhooks: who wants to hear that a job has ended is told by a job, which waits, retries and can be seen."""

from typing import Final

JOB_TYPE: Final = "tidegate.webhook"
"""The type of the jobs that deliver."""
