"""What a separate worker serves: its health and its metrics, and nothing else."""

import structlog
from fastapi import Depends, FastAPI
from starlette.exceptions import HTTPException

from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.http import server
from tidegate.http.app import faced, refused
from tidegate.http.envelope import Envelope
from tidegate.http.problems import Refusal
from tidegate.http.routes import health, metrics
from tidegate.http.routing import own_route


async def watch(application: Tidegate, settings: Settings) -> None:
    """Run jobs, as `tidegate worker` does, and tell of it at the address that the settings name for metrics."""
    await server.run(Watched(application, settings))


class Watched(server.Server):
    """A worker that is being served: `/health`, `/readyz` and `/metrics`. No command finds it."""

    host_variable = "TIDEGATE_METRICS_HOST"

    def __init__(self, application: Tidegate, settings: Settings) -> None:
        place = {"host": settings.metrics_host, "port": settings.metrics_port or 0}
        super().__init__(application, settings.model_copy(update=place))

    def _made(self) -> FastAPI:
        return watch_app(self._application)

    def _listening(self) -> None:
        structlog.get_logger().info("worker.listening", address=self.url)
        self.started.set()


def watch_app(application: Tidegate) -> FastAPI:
    """The application; keys are asked for as the API asks."""
    face, gatekeeper = faced(application)
    app = FastAPI(dependencies=[Depends(gatekeeper)], redirect_slashes=False, openapi_url=None)
    app.router.route_class = own_route(lambda: face.settings.http_receive_timeout)
    for routes in (health, metrics):
        routes.add_routes(app.router, face)
    app.add_middleware(Envelope)
    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(HTTPException, refused)
    return app
