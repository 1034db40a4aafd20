"""An outage, with real processes: `python -m bench.outage`. See docs/explanation/outages.md."""
