"""The web application: what the surfaces offer, wired to this process's database and settings."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeVar

import psycopg
from litestar import Litestar, Response, get
from litestar.datastructures import State
from litestar.plugins.prometheus import PrometheusConfig, PrometheusController
from litestar.status_codes import HTTP_200_OK, HTTP_503_SERVICE_UNAVAILABLE
from prometheus_client import Histogram
from psycopg_pool import PoolTimeout

from entrepot.base.batching import BatchLimits
from entrepot.base.sql import Conn
from entrepot.bootstrap.database import DatabaseUnreachableError, Pool, in_transaction, open_pool, open_reading_pool
from entrepot.bootstrap.outside import FreshOutside, build_mailer, read_keyring
from entrepot.bootstrap.settings import FactorPolicy, Settings, WorldMode, read_settings
from entrepot.operations.registry import REGISTRY
from entrepot.surfaces.api.document import show_document
from entrepot.surfaces.api.intake import Intake, is_for_intake
from entrepot.surfaces.api.messages import Health
from entrepot.surfaces.api.wire import BODY_LIMIT, Receive, Scope, Send, in_time
from entrepot.surfaces.web.access import EVERYBODY, check_access, open_to, require_declared
from entrepot.surfaces.web.house import House, Proofs
from entrepot.surfaces.web.routes import add_security_headers, dependencies, exception_handlers, routes

_HEALTH_PATIENCE_S: Final = 2
_POOL_PATIENCE_S: Final = 10
_BATCH_SIZE: Final = Histogram("entrepot_intake_batch_size", "Orders per batch of the order API", buckets=(1, 2, 4, 8, 16, 32, 64, 128))

Result = TypeVar("Result")
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class PooledDatabase:
    """This process's pools, as the surfaces use them: whoever reads never waits for a connection behind batches that write."""

    def __init__(self, writers: Pool, readers: Pool) -> None:
        self._writers = writers
        self._readers = readers

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Conn]:
        try:
            async with self._readers.connection(_POOL_PATIENCE_S) as conn:
                yield conn
        except (PoolTimeout, psycopg.OperationalError):
            raise DatabaseUnreachableError("database", "no answer", "Start the database; retry when it answers.") from None

    def reading(self) -> AbstractAsyncContextManager[Conn]:
        """Give a connection that cannot write."""
        return self._connection()

    async def writing(self, work: Callable[[Conn], Awaitable[Result]]) -> Result:
        """Run work in a transaction and commit, again after a conflict or a lost connection."""
        return await in_transaction(self._writers, work)


@get("/health", opt=open_to(EVERYBODY), summary="Whether this process and its database answer")
async def health(state: State) -> Response[Health]:
    """Answer 200 when the database answers within two seconds, else 503."""
    pool: Pool = state.pool
    try:
        async with pool.connection(_HEALTH_PATIENCE_S) as conn:
            await conn.execute("select 1")
    except (psycopg.Error, PoolTimeout):
        return Response(Health("unavailable", "unreachable"), status_code=HTTP_503_SERVICE_UNAVAILABLE)
    return Response(Health("ok", "ok"), status_code=HTTP_200_OK)


class Metrics(PrometheusController):
    """The figures of this process; the program listens on loopback, and whoever puts a proxy before it decides who may read them."""

    path = "/metrics"
    opt = open_to(EVERYBODY)


def _asks_factor(settings: Settings) -> bool:
    """Tell whether the house's roles must have a second factor."""
    if settings.second_factor is FactorPolicy.AUTO:
        return settings.world is WorldMode.OFF
    return settings.second_factor is FactorPolicy.HOUSE


def create_app(settings: Settings | None = None) -> Litestar:
    """Build the application from the process's settings; the pool opens and closes with it."""
    settings = settings or read_settings()

    @asynccontextmanager
    async def database(app: Litestar) -> AsyncGenerator[None]:
        url, half = settings.database_url or "", settings.pool_size // 2
        async with open_pool(url, settings.pool_size - half) as writers, open_reading_pool(url, half) as readers:
            app.state.pool = readers
            app.state.settings = settings
            app.state.house = House(
                PooledDatabase(writers, readers),
                FreshOutside(settings),
                REGISTRY,
                read_keyring(settings),
                Proofs(),
                build_mailer(settings),
                settings.public_url,
                settings.world is WorldMode.ON,
                _asks_factor(settings),
            )
            app.state.intake = Intake(app.state.house, BatchLimits(), _BATCH_SIZE.observe)
            yield

    app = Litestar(
        route_handlers=[health, show_document, Metrics, *routes()],
        guards=[check_access],
        dependencies=dependencies(),
        exception_handlers=exception_handlers(),
        before_send=[add_security_headers],
        middleware=[PrometheusConfig(app_name="entrepot", prefix="entrepot").middleware],
        lifespan=[database],
        logging_config=None,
        openapi_config=None,
        request_max_body_size=BODY_LIMIT,
    )
    return require_declared(app)


def create_server_app(settings: Settings) -> Application:
    """Build what the web process serves: the application, with the order API before it, which costs a fraction of a routed request."""
    app = create_app(settings)
    pages: Any = app

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and is_for_intake(scope["method"], scope["path"]):
            intake: Intake = app.state.intake
            await intake(scope, receive, send)
        else:
            await pages(scope, in_time(receive) if scope["type"] == "http" else receive, send)

    return serve
