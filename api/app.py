"""The composition root of the HTTP service: parts, routes, handlers, lifetime. No logic."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import PackageNotFoundError, version

from fastapi import Depends, FastAPI, Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

import api.audit.routes
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
import api.keys.routes
import api.metrics.routes
import api.predictions.routes
import api.presets.routes
import api.recommendations.routes
import api.trials.routes
import api.workspaces.routes
from api import errors, openapi
from api.audit_log import AuditLog
from api.envelope import Envelope
from api.event_hub import Hub
from api.gate import Gate
from api.head import HeadOfGet
from api.key_ring import KeyRing
from api.rate_limits import RateLimits
from api.scopes import check_declared
from api.state import Context
from api.telemetry import Telemetry
from services.accounts.principal import ANYBODY
from services.artifacts.chosen import artifacts_of
from services.datasets.shared import SharedUploads
from services.datasets.shared_files import SharedFiles
from services.db.database import Database
from services.db.isolation import WorkspaceDatabase
from services.figures.render import Renderer
from services.queue import CeleryDoorbell, Doorbell
from services.settings import Settings
from services.traces import Traces
from services.traces import traces as traces_of

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
    api.keys.routes.router,
    api.workspaces.routes.router,
    api.audit.routes.router,
    api.health.routes.router,
    api.docs.routes.router,
    api.dashboard.routes.router,
)


def create_app(
    settings: Settings,
    *,
    database: Database | None = None,
    doorbell: Doorbell | None = None,
    traces: Traces | None = None,
) -> FastAPI:
    """Put an application together; tests may bring their own database, doorbell and traces.

    Raises:
        StoreUnusableError: the store of the settings can never work.
    """
    database = database or Database(settings, application="firstlight-api")
    traces = traces or traces_of("firstlight-api")
    telemetry = Telemetry()
    keys = KeyRing(database, settings.api_keys)
    audit = AuditLog(database, settings.audit_days, beside=keys.write_uses)
    artifacts = artifacts_of(settings)
    context = Context(
        settings=settings,
        database=WorkspaceDatabase(database, ANYBODY.workspace),
        principal=ANYBODY,
        keys=keys,
        audit=audit,
        doorbell=doorbell or CeleryDoorbell(settings),
        hub=Hub(database, settings.max_streams),
        telemetry=telemetry,
        traces=traces,
        renderer=Renderer(settings.home / "figures"),
        artifacts=artifacts,
        uploads=SharedUploads(settings.data_path, artifacts) if settings.shares_uploads else None,
        data_files=SharedFiles(settings.data_path, artifacts) if settings.shares_uploads else None,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        context.hub.start()
        audit.start()
        with suppress(SQLAlchemyError):  # what asks for keys is found out at the first request that needs to know
            await keys.look()
        yield
        await context.hub.stop()
        await audit.stop()
        context.doorbell.close()
        context.renderer.close()
        await run_in_threadpool(traces.close)
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
    check_declared(route for place in (app, *ROUTERS) for route in place.routes)
    errors.install(app)
    openapi.install(app, secured=lambda: keys.secured)
    app.add_middleware(HeadOfGet)
    app.add_middleware(
        Envelope,
        gate=Gate(
            keys,
            audit,
            RateLimits(settings.rate_limit),
            allowed_hosts=settings.allowed_hosts,
            wrong_key=telemetry.wrong_keys.inc,
        ),
        telemetry=telemetry,
        traces=traces,
        max_body_bytes=settings.max_body_bytes,
    )
    return app


async def _remember_route(request: Request) -> None:
    """Tell the outer layer which route this is, for its measurements.

    Raises:
        RuntimeError: the gate took the request for another route, and asked for another scope.
    """
    template = getattr(request.scope.get("route"), "path", "unmatched")
    request.state.route_template = template
    if request.state.declared_route != f"{request.method} {template}":
        message = f"{request.method} {template} was let in as {request.state.declared_route!r}: see api/scopes.py"
        raise RuntimeError(message)


def _version() -> str:
    try:
        return version("firstlight")
    except PackageNotFoundError:
        return "0"
