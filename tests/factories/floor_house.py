"""A demo house whose Luton floor has everything to do: a delivery to receive, orders to pick, and goods that came back."""

import asyncio
import sys
from datetime import timedelta

import psycopg
from tests.factories.house import BUYER, STAFF, find_offer, later, open_house, order_of, put_stock, request

from entrepot.base.clock_store import advance_business_now
from entrepot.base.ids import derived_id
from entrepot.catalogue.model import stock_item_id_of
from entrepot.flows.fulfil import hand_over, pick_and_pack
from entrepot.flows.inbound import announce
from entrepot.flows.order_to_cash import EXPIRE, PAY, place_orders
from entrepot.flows.release import DECLARE
from entrepot.flows.return_goods import ReturnWish, ask_returns, send_back
from entrepot.flows.run_due import run_due
from entrepot.flows.track import record_tracking
from entrepot.freight.model import CarrierEvent, TrackingState
from entrepot.freight.read import read_parcels_of_orders
from entrepot.parties.model import merchant_id_of
from entrepot.warehouse.inbound import InboundBox, InboundKind, NewInboundLine, NewPlan
from entrepot.warehouse.model import WorkState
from entrepot.warehouse.readers import read_queue

PLACE = "GB-LTN1"
AUDIO = merchant_id_of("demo-shenzhen-audio")
PLAN = derived_id("test plan", "floor")
NOW = later(days=5, hours=3)


async def fill_floor(conn):
    """Open the demo house and bring work to its Luton floor; the caller commits."""
    _, outside = await open_house(conn)
    await put_stock(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", PLACE, 40, "bin:A-01")
    await put_stock(conn, "demo-shenzhen-audio", "PEBBLE-EARBUDS", PLACE, 60, "bin:A-02")
    await put_stock(conn, "demo-leeds-kitchen", "MOOR-SHORTBREAD", PLACE, 70, "bin:C-02", "LOT-7")
    await bring_back(conn, outside)
    await announce_delivery(conn, outside)
    keys = await sell(conn, outside, NOW - timedelta(hours=2))
    await run_steps(conn, outside, NOW - timedelta(hours=2))
    await advance_business_now(conn, NOW)
    return outside, keys


async def run_steps(conn, outside, at):
    """Run what is due, as the worker would."""
    for step in (PAY, EXPIRE, DECLARE):
        await run_due(conn, outside, step, at, 100)


async def bring_back(conn, outside):
    """Sell two headphones, deliver them, and let the buyer send them back: the return is on its way to Luton."""
    headphones = await find_offer(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB", "fba")
    asked = request([(headphones, 2)], "GB", "GB", later(hours=1), person="demo-buyer-gb", method="card_ok")
    (answer,) = await place_orders(conn, outside, [asked], BUYER)
    key = order_of(answer)
    await run_steps(conn, outside, later(hours=1))
    await pick_and_pack(conn, outside, await read_queue(conn, PLACE, WorkState.QUEUED, 10), later(hours=2))
    await hand_over(conn, outside, [entry.order for entry in await read_queue(conn, PLACE, WorkState.PACKED, 10)], STAFF, later(hours=3))
    (parcel,) = await read_parcels_of_orders(conn, [key[0]], [key[1]])
    event = CarrierEvent(parcel.carrier_code, parcel.tracking_number, TrackingState.DELIVERED, later(days=2), later(days=2), "carrier")
    await record_tracking(conn, outside, [event], later(days=2))
    (told,) = await ask_returns(conn, outside, [ReturnWish(*key, ((1, 2),), "changed_mind", "floor")], BUYER, later(days=3))
    await send_back(conn, outside, [(key[0], rma_id) for rma_id in told.rma_ids], BUYER, later(days=4))


async def announce_delivery(conn, outside):
    """Announce two boxes of headphones and power banks for Luton."""
    items = [stock_item_id_of(AUDIO, sku) for sku in ("ARIA-HEADPHONES", "VOLT-POWER-BANK")]
    lines = tuple(NewInboundLine(number, item, quantity) for number, (item, quantity) in enumerate(zip(items, (12, 6), strict=True), start=1))
    plan = NewPlan(
        AUDIO,
        PLAN,
        PLACE,
        "GB",
        InboundKind.OWN_CARRIER,
        False,
        None,
        later(minutes=10),
        lines,
        boxes=(InboundBox(1), InboundBox(2)),
    )
    await announce(conn, outside.reference, [plan], STAFF, NOW - timedelta(days=1))


async def sell(conn, outside, at):
    """Place three orders that Luton serves."""
    headphones = await find_offer(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB", "fba")
    earbuds = await find_offer(conn, "demo-shenzhen-audio", "PEBBLE-EARBUDS", "GB", "fba")
    baskets = ([(headphones, 2), (earbuds, 1)], [(earbuds, 3)], [(headphones, 1)])
    asks = [request(lines, "GB", "GB", at, person="demo-buyer-gb", method="card_ok") for lines in baskets]
    answers = await place_orders(conn, outside, asks, BUYER)
    assert [answer.refusal for answer in answers] == [None, None, None]
    return [order_of(answer) for answer in answers]


async def fill_database(url):
    """Fill the database at this URL and commit."""
    async with await psycopg.AsyncConnection.connect(url) as conn:
        return await fill_floor(conn)


if __name__ == "__main__":
    asyncio.run(fill_database(sys.argv[1]))
