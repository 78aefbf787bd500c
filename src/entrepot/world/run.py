"""The living world: hour by hour every actor does what it does, through the same flows that people and programs use."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from entrepot.adapters.carrier import DemoCarrier
from entrepot.base.actor import Actor, ActorKind
from entrepot.base.batching import chunks
from entrepot.base.clock_store import advance_business_now
from entrepot.base.sql import Conn
from entrepot.flows.close_day import begin_closing
from entrepot.flows.order_to_cash import EXPIRE, PAY, place_orders
from entrepot.flows.outside import Outside
from entrepot.flows.run_due import STEPS, run_due
from entrepot.flows.track import record_tracking
from entrepot.freight.model import ParcelKey, ParcelState
from entrepot.freight.read import read_silent_parcels
from entrepot.operations.model import PlaceKind
from entrepot.world.border import Border
from entrepot.world.carriers import CarrierDesk
from entrepot.world.comebacks import Comebacks
from entrepot.world.floor import work_floors
from entrepot.world.ground import STARTS_AT, WorldGround, bring_stock
from entrepot.world.returners import Returners
from entrepot.world.second_thoughts import SecondThoughts
from entrepot.world.sellers import Sellers
from entrepot.world.shoppers import Shoppers

BUYER: Final = Actor(ActorKind.BUYER, "demo-buyer", "buyer")
STRIDE: Final = timedelta(hours=4)
"""How far the world moves at a time."""
PAYMENT_MINUTES: Final = (60, 120)
"""Minutes between two strides at which payments are decided and holds expire."""
STOCK_DAYS: Final = 14
"""Days between two waves of stock."""


@dataclass(slots=True)
class World:
    """All actors over one database; `batch_size` changes nothing in the books."""

    conn: Conn
    outside: Outside
    ground: WorldGround
    seed: int
    daily: int
    batch_size: int
    desk: CarrierDesk
    shoppers: Shoppers
    sellers: Sellers
    thoughts: SecondThoughts
    returners: Returners
    border: Border
    comebacks: Comebacks
    counts: dict[str, int] = field(default_factory=dict[str, int])

    def _count(self, what: str, number: int) -> None:
        """Count what happened."""
        self.counts[what] = self.counts.get(what, 0) + number

    async def live_stride(self, now: datetime) -> None:
        """Let one stride pass: stock, buyers, carriers, customs, due work, floors, merchants, second thoughts, what comes back."""
        async with self.conn.transaction():
            await advance_business_now(self.conn, now)
        await self._restock(now)
        await self._shop(now)
        await self._carry(now)
        stopped = await self.border.act(self.conn, self.outside, self.batch_size, now)
        self.desk.stop(stopped)
        self._count("border_refusals", len(stopped))
        await self._run_steps(STEPS, now)
        left = await work_floors(self.conn, self.outside, self._places(), self.batch_size, now)
        left += await self.sellers.ship(self.conn, self.outside, self.batch_size, now)
        await self.desk.take(self.conn, left, now)
        self._count("parcels", len(left))
        self._count("second_thoughts", await self.thoughts.act(self.conn, self.outside, self.batch_size, now))
        self._count("returns", await self.returners.act(self.conn, self.outside, self.batch_size, now))
        self._count("undelivered", await self.comebacks.act(self.conn, self.outside, self.batch_size, now))
        for minutes in PAYMENT_MINUTES:
            await self._run_steps((PAY, EXPIRE), now + timedelta(minutes=minutes))

    def _places(self) -> list[str]:
        """Return the platform's places in order of code."""
        places = self.ground.reference.network.places.values()
        return sorted(place.place_code for place in places if place.kind != PlaceKind.MERCHANT_SITE)

    async def _restock(self, now: datetime) -> None:
        """Bring a wave of stock before the first day and every fortnight."""
        days = (now - STARTS_AT).days
        if now.hour == STARTS_AT.hour and days % STOCK_DAYS == 0:
            async with self.conn.transaction():
                await bring_stock(self.conn, self.outside, self.ground, days // STOCK_DAYS + 1, now)

    async def _shop(self, now: datetime) -> None:
        """Let buyers order."""
        for requests in chunks(self.shoppers.requests_at(now), self.batch_size):
            async with self.conn.transaction():
                answers = await place_orders(self.conn, self.outside, requests, BUYER)
            self.thoughts.note_placed([key for answer in answers if answer.state == "placed" for key in answer.orders], now)
            self._count("orders_placed", sum(answer.state == "placed" for answer in answers))
            self._count("orders_refused", sum(answer.state == "refused" for answer in answers))

    async def _carry(self, now: datetime) -> None:
        """Let carriers report."""
        for events in chunks(self.desk.reports_until(now), self.batch_size):
            async with self.conn.transaction():
                recorded = await record_tracking(self.conn, self.outside, events, now)
            arrived = [one for one in recorded.parcels if one.state is ParcelState.DELIVERED]
            self.returners.note_delivered(list(dict.fromkeys((one.merchant_id, one.order_id) for one in arrived)), now)
            self.border.note_reports(events, now)
            self._count("tracking_events", len(events))

    async def _run_steps(self, steps: Iterable[str], now: datetime) -> None:
        """Run everything of these steps that is due at `now`, which the business clock reaches first."""
        async with self.conn.transaction():
            await advance_business_now(self.conn, now)
        for step_code in steps:
            done = self.batch_size
            while done:
                async with self.conn.transaction():
                    done = await run_due(self.conn, self.outside, step_code, now, self.batch_size)
                self._count("due_work", done)


async def open_world(
    conn: Conn, outside: Outside, carriers: Mapping[str, DemoCarrier], ground: WorldGround, seed: int, daily: int, batch_size: int, at: datetime
) -> World:
    """Return a world that goes on from what the database holds at `at`."""
    await begin_closing(conn, at)
    desk = CarrierDesk(ground.reference, dict(carriers))
    moving = await read_silent_parcels(conn, at + timedelta(days=1), 100_000)
    await desk.take(conn, [ParcelKey(one.merchant_id, one.parcel_id) for one in moving], at)
    merchants = sorted(ground.house.parties.merchant_ids.values())
    return World(
        conn,
        outside,
        ground,
        seed,
        daily,
        batch_size,
        desk,
        Shoppers(ground, seed, daily),
        Sellers(seed, merchants),
        SecondThoughts(seed),
        Returners(seed),
        Border(seed),
        Comebacks(seed),
    )
