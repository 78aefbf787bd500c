"""The web application: what the surfaces offer, wired to this process's database and settings."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import psycopg
from litestar import Litestar, Response, get
from litestar.datastructures import State
from litestar.plugins.prometheus import PrometheusConfig, PrometheusController
from litestar.status_codes import HTTP_200_OK, HTTP_503_SERVICE_UNAVAILABLE
from psycopg_pool import PoolTimeout

from entrepot.bootstrap.database import Pool, open_pool
from entrepot.bootstrap.settings import Settings, read_settings

_HEALTH_PATIENCE_S: Final = 2


@get("/health", summary="Whether this process and its database answer")
async def health(state: State) -> Response[dict[str, str]]:
    """Answer 200 when the database answers within two seconds, else 503."""
    pool: Pool = state.pool
    try:
        async with pool.connection(_HEALTH_PATIENCE_S) as conn:
            await conn.execute("select 1")
    except (psycopg.Error, PoolTimeout):
        return Response({"status": "unavailable", "database": "unreachable"}, status_code=HTTP_503_SERVICE_UNAVAILABLE)
    return Response({"status": "ok", "database": "ok"}, status_code=HTTP_200_OK)


def create_app(settings: Settings | None = None) -> Litestar:
    """Build the application from the process's settings; the pool opens and closes with it."""
    settings = settings or read_settings()

    @asynccontextmanager
    async def database(app: Litestar) -> AsyncGenerator[None]:
        async with open_pool(settings.database_url or "", settings.pool_size) as pool:
            app.state.pool = pool
            app.state.settings = settings
            yield

    return Litestar(
        route_handlers=[health, PrometheusController],
        middleware=[PrometheusConfig(app_name="entrepot", prefix="entrepot").middleware],
        lifespan=[database],
        logging_config=None,
    )
