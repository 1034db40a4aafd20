"""The HTTP face: `create_app` makes a FastAPI application of a `Tidegate`, `serve` runs it."""

from tidegate.http.app import create_app

__all__ = ["create_app"]
