"""What the worker and the world do in a running house: due work in real time, and the world stride by stride at its speed."""

import asyncio
from datetime import datetime
from decimal import Decimal
from math import inf
from typing import Final

import structlog
from psycopg import AsyncConnection

from entrepot.adapters.carrier import demo_carriers
from entrepot.base.batching import BATCH_LIMIT
from entrepot.base.clock_store import advance_business_now, read_business_now
from entrepot.base.errors import EntrepotError, UnavailableError
from entrepot.base.sql import Conn
from entrepot.base.time import RealClock, monotonic_s
from entrepot.bootstrap.database import Pool, in_transaction, open_pool
from entrepot.bootstrap.outside import FreshOutside, build_outside, read_keyring
from entrepot.bootstrap.settings import Settings, WorldMode
from entrepot.bootstrap.telling import tell_on
from entrepot.flows.close_day import begin_closing
from entrepot.flows.hurry import HURRY_SPEED, keep_hurrying
from entrepot.flows.run_due import STEPS, run_due
from entrepot.operations.registry import REGISTRY
from entrepot.world.ground import STARTS_AT, lay_ground
from entrepot.world.run import STRIDE, World, open_world

WORKER_PAUSE_S: Final = 2
_GLANCE_S: Final = 0.5
"""How long the world rests before it looks whether somebody waits."""
WORLD_DAILY: Final = 18
FIRST_STRIDES: Final = 30
"""Strides that a new world lives at once, so that a newcomer finds parcels under way."""


async def work_on(settings: Settings) -> None:
    """Take due work and tell others what happened, side by side, until told to stop."""
    async with asyncio.TaskGroup() as group:
        group.create_task(work_due(settings))
        group.create_task(tell_on(settings))


async def work_due(settings: Settings) -> None:
    """Take due work in real time until told to stop; without a world the business clock follows the machine's."""
    outside = FreshOutside(settings)
    async with open_pool(settings.database_url or "", settings.pool_size) as pool:
        while True:
            await look_for_due(pool, outside, settings)
            await asyncio.sleep(WORKER_PAUSE_S)


async def look_for_due(pool: Pool, outside: FreshOutside, settings: Settings) -> None:
    """Run what is due now; while the database does not answer, say so and leave it for the next look."""
    try:
        now = await in_transaction(pool, lambda conn: _tick(conn, settings))
        if now is not None:
            await _run_steps(pool, outside, now)
    except UnavailableError as error:
        structlog.get_logger(__name__).warning("due_work_waits", code=error.code, value=error.value, remedy=error.remedy)


async def _tick(conn: Conn, settings: Settings) -> datetime | None:
    """Return the business instant, moved on to the machine's where no world moves it, from which on days are closed."""
    if settings.world is WorldMode.OFF:
        now = RealClock().now()
        await advance_business_now(conn, now)
        await begin_closing(conn, now)
    return await read_business_now(conn)


async def _run_steps(pool: Pool, outside: FreshOutside, now: datetime) -> None:
    """Run every step that is due, batch by batch; one that a rule refuses is told and tried again at the next look, and keeps none of the others back."""
    for step_code in STEPS:

        async def run(conn: Conn, step_code: str = step_code) -> int:
            return await run_due(conn, await outside.current(conn, now), step_code, now, BATCH_LIMIT)

        try:
            while await in_transaction(pool, run) == BATCH_LIMIT:
                pass
        except UnavailableError:
            raise
        except EntrepotError as error:
            told = {"code": error.code, "field": error.field, "value": str(error.value), "remedy": error.remedy}
            structlog.get_logger(__name__).error("due_step_refused", step=step_code, **told)


async def live_on(settings: Settings) -> None:
    """Open the demo house if it is new, live its first days at once, then go on at the settings' speed."""
    log = structlog.get_logger(__name__)
    async with await AsyncConnection.connect(settings.database_url or "", autocommit=True) as conn:
        world, now = await _wake(conn, settings)
        log.info("world_started", seed=settings.seed, speed=str(settings.speed), business_at=now.isoformat())
        first_until = STARTS_AT + FIRST_STRIDES * STRIDE
        while True:
            began_s = monotonic_s()
            await world.live_stride(now)
            log.info("world_stride", business_at=now.isoformat(), **world.counts)
            await _rest(conn, settings.speed if now > first_until else None, began_s)
            now += STRIDE


async def _wake(conn: Conn, settings: Settings) -> tuple[World, datetime]:
    """Return the world and the next stride: the first one of a new house, else the one after the stored instant."""
    async with conn.transaction():
        known = await read_business_now(conn)
        ground = await lay_ground(conn, REGISTRY, read_keyring(settings), STARTS_AT)
    now = STARTS_AT if known is None or known <= STARTS_AT else _next_stride(known)
    outside = build_outside(settings, ground.reference)
    world = await open_world(conn, outside, demo_carriers(str(settings.seed)), ground, settings.seed, WORLD_DAILY, BATCH_LIMIT, now)
    return world, now


def _next_stride(known: datetime) -> datetime:
    """Return the first full stride after an instant."""
    done = (known - STARTS_AT) // STRIDE
    return STARTS_AT + (done + 1) * STRIDE


async def _rest(conn: Conn, speed: Decimal | None, began_s: float) -> None:
    """Wait until the stride that began then has taken its time; it is looked at again and again whether somebody waits for orders."""
    while True:
        is_hurried = await keep_hurrying(conn, RealClock().now())
        rest_s = began_s + stride_s(hurried(speed) if is_hurried else speed) - monotonic_s()
        if rest_s <= 0:
            return
        await asyncio.sleep(min(rest_s, _GLANCE_S))


def hurried(speed: Decimal | None) -> Decimal:
    """Return the speed where somebody waits for orders: no slower than time that hurries, and no faster while the first days are lived at once."""
    return HURRY_SPEED if speed is None else max(speed, HURRY_SPEED)


def stride_s(speed: Decimal | None) -> float:
    """Return how many real seconds a stride takes at a speed: without one none, and at speed 0 it never ends."""
    if speed is None:
        return 0
    return float(Decimal(int(STRIDE.total_seconds())) / speed) if speed else inf
