"""Tidegate: background jobs for handlers that call things that fail."""
