"""What happens, told once: typed events from the seam, and listeners that turn them into lines and alerts.

Whoever does something (client, worker) calls an `Emitter` with an event; nobody but `logs` knows how a log line
reads, nobody but `sentry` knows Sentry. No event holds a payload, a result or a failure's message.
"""

from tidegate.telemetry.events import Emitter, Event, JobRef, Listener, finished, ref

__all__ = ["Emitter", "Event", "JobRef", "Listener", "finished", "ref"]
