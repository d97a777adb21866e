"""The composition root of the HTTP service: parts, routes, handlers, lifetime. No logic."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import Depends, FastAPI, Request

import api.catalogue.routes
import api.claims.routes
import api.comparisons.routes
import api.dashboard.routes
import api.datasets.routes
import api.diagnostics.routes
import api.docs.routes
import api.events.routes
import api.experiments.routes
import api.figures.routes
import api.health.routes
import api.initializers.routes
import api.metrics.routes
import api.predictions.routes
import api.presets.routes
import api.recommendations.routes
import api.trials.routes
from api import errors, openapi
from api.envelope import Envelope
from api.event_hub import Hub
from api.head import HeadOfGet
from api.state import Context
from api.telemetry import Telemetry
from services.db.database import Database
from services.figures.render import Renderer
from services.queue import CeleryDoorbell, Doorbell
from services.settings import Settings

ROUTERS = (
    api.experiments.routes.router,
    api.events.routes.router,
    api.trials.routes.router,
    api.metrics.routes.router,
    api.comparisons.routes.router,
    api.predictions.routes.router,
    api.diagnostics.routes.router,
    api.claims.routes.router,
    api.figures.routes.router,
    api.catalogue.routes.router,
    api.datasets.routes.router,
    api.initializers.routes.router,
    api.presets.routes.router,
    api.recommendations.routes.router,
    api.health.routes.router,
    api.docs.routes.router,
    api.dashboard.routes.router,
)


def create_app(settings: Settings, *, database: Database | None = None, doorbell: Doorbell | None = None) -> FastAPI:
    """Put an application together; tests may bring their own database and doorbell."""
    database = database or Database(settings, application="firstlight-api")
    telemetry = Telemetry()
    context = Context(
        settings=settings,
        database=database,
        doorbell=doorbell or CeleryDoorbell(settings),
        hub=Hub(database, settings.max_streams),
        telemetry=telemetry,
        renderer=Renderer(settings.home / "figures"),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        context.hub.start()
        yield
        await context.hub.stop()
        context.doorbell.close()
        context.renderer.close()
        database.dispose()

    app = FastAPI(
        title="Firstlight",
        version=_version(),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(_remember_route)],
    )
    app.state.context = context
    for router in ROUTERS:
        app.include_router(router)
    errors.install(app)
    openapi.install(app, secured=bool(settings.api_keys))
    app.add_middleware(HeadOfGet)
    app.add_middleware(
        Envelope,
        api_keys=settings.api_keys,
        allowed_hosts=settings.allowed_hosts,
        telemetry=telemetry,
        max_body_bytes=settings.max_body_bytes,
    )
    return app


async def _remember_route(request: Request) -> None:
    """Tell the outer layer which route this is, for its measurements."""
    request.state.route_template = getattr(request.scope.get("route"), "path", "unmatched")


def _version() -> str:
    try:
        return version("firstlight")
    except PackageNotFoundError:
        return "0"
