"""Requests read: bodies, batches, parameters, and what an answer may be."""
