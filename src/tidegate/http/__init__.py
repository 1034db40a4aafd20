"""The HTTP face: `create_app` makes a FastAPI application of a `Tidegate`, `serve` runs it."""

from tidegate.http.app import create_app
from tidegate.http.lifespan import tidegate_lifespan
from tidegate.http.mounting import acting_as, tidegate_router

__all__ = ["acting_as", "create_app", "tidegate_lifespan", "tidegate_router"]
