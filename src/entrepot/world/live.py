"""A world from its first hour to its last: opened on an empty database, lived for so many days, reported."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from psycopg import AsyncConnection

from entrepot.adapters.bank import BuiltInBank
from entrepot.adapters.carrier import demo_carriers
from entrepot.adapters.customs_gateway import BuiltInCustomsGateway
from entrepot.adapters.payment_provider import BuiltInProvider
from entrepot.base.ids import SeededIds
from entrepot.base.time import monotonic_s
from entrepot.flows.outside import Outside
from entrepot.operations.registry import Registry
from entrepot.parties.sealing import Keyring
from entrepot.world.ground import STARTS_AT, WorldGround, lay_ground
from entrepot.world.report import report_world
from entrepot.world.run import STRIDE, open_world

DAILY: Final = 16
"""Checkouts a day and model."""
_ANALYSED_AFTER: Final = frozenset({3, 12, 48})
"""Strides after which the planner gets fresh figures: a database that was just filled has none."""


def outside_of(ground: WorldGround, seed: int) -> Outside:
    """Return the built-in outside of a seeded world."""
    name = str(seed)
    carriers = demo_carriers(name)
    return Outside(ground.reference, SeededIds(name, "outside"), BuiltInProvider(), carriers, BuiltInCustomsGateway(name), BuiltInBank())


async def live_world(url: str, registry: Registry, keyring: Keyring, seed: int, days: int, batch_size: int) -> Mapping[str, object]:
    """Live a world of so many days in an empty database and return its report."""
    started_s = monotonic_s()
    async with await AsyncConnection.connect(url, autocommit=True) as conn:
        async with conn.transaction():
            ground = await lay_ground(conn, registry, keyring, STARTS_AT)
        await conn.execute("analyze")
        outside = outside_of(ground, seed)
        world = await open_world(conn, outside, demo_carriers(str(seed)), ground, seed, DAILY, batch_size, STARTS_AT)
        strides = timedelta(days=days) // STRIDE
        for number in range(strides):
            await world.live_stride(STARTS_AT + number * STRIDE)
            if number in _ANALYSED_AFTER:
                await conn.execute("analyze")
        report = await report_world(conn, ground.reference, world.counts)
    lived_until = STARTS_AT + timedelta(days=days)
    return {"seed": seed, "days": days, "until": lived_until.isoformat(), **report, "elapsed_s": round(monotonic_s() - started_s, 1)}
