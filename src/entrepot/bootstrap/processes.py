"""What each child of the supervisor does until it is told to stop; the database's URL is in its settings."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Final

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from entrepot.bootstrap.application import create_server_app
from entrepot.bootstrap.living import live_on, work_on
from entrepot.bootstrap.settings import Settings

LOOPBACK: Final = "127.0.0.1"
_BACKLOG: Final = 1024
_CONNECTIONS: Final = 4096
"""Connections at a time; beyond them the server closes new ones without an answer, so that those who wait for a batch are refused in words first."""
_HEADER_PATIENCE_MS: Final = 10_000
"""How long a client may take for a request's head, or stay silent between two requests, before its connection is closed."""

Work = Callable[[Settings], Coroutine[object, object, None]]


async def run_web(settings: Settings) -> None:
    """Serve pages and APIs on loopback."""
    server = Server(
        create_server_app(settings),
        address=LOOPBACK,
        port=settings.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,  # a server that waits to see which protocol is spoken waits for ever for who says nothing
        http1_settings=HTTP1Settings(header_read_timeout=_HEADER_PATIENCE_MS),
        websockets=False,
        log_enabled=False,
        backlog=_BACKLOG,
        backpressure=_CONNECTIONS,
    )
    try:
        await server.serve()
    except asyncio.CancelledError:
        server.stop()
        raise


async def run_worker(settings: Settings) -> None:
    """Take due work in real time, and tell others what happened."""
    structlog.get_logger(__name__).info("worker_started", data=str(settings.data))
    await work_on(settings)


async def run_world(settings: Settings) -> None:
    """Let the demonstration world live at its speed."""
    await live_on(settings)


PROCESSES: Final[Mapping[str, Work]] = {"web": run_web, "worker": run_worker, "world": run_world}
"""The children of the supervisor beside the database, in the order in which they start."""
