"""Pydantic models of what crosses the wire, an area a module."""
