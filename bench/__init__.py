"""Benchmarks: `python -m bench`, printed as tables with medians and spreads, and written as JSON."""
