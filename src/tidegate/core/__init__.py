"""Frozen values and pure functions: what is decided, without I/O, clock, dice or async."""
