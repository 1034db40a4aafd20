"""Tidegate beside its rivals: `python -m bench.peers`. Each rival runs in its own environment, by one protocol."""
