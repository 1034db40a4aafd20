"""Engines: stores of jobs behind the one contract of `ports.py`. `open_engine` chooses by URL."""
