"""A demo house to look at: stock at several places, and orders of every model at every step of their way."""

import asyncio
import sys

import psycopg
from tests.factories.house import AT, BUYER, KEYRING, STAFF, find_offer, later, open_house, order_of, put_stock, request

from entrepot.base.clock_store import advance_business_now
from entrepot.flows.fulfil import hand_over, pick_and_pack
from entrepot.flows.order_to_cash import EXPIRE, PAY, SETTLE, place_orders
from entrepot.flows.release import DECLARE
from entrepot.flows.run_due import run_due
from entrepot.flows.track import record_tracking
from entrepot.freight.model import CarrierEvent, TrackingState
from entrepot.freight.read import read_parcels_of_orders
from entrepot.parties.buyers import find_identities
from entrepot.parties.demo import demo_person_id
from entrepot.warehouse.model import WorkState
from entrepot.warehouse.readers import read_queue

STOCK = (
    ("demo-shenzhen-audio", "ARIA-HEADPHONES", "GB-LTN1", 40, "bin:A-01", "-", "free"),
    ("demo-shenzhen-audio", "ARIA-HEADPHONES", "SITE-SZX-AUDIO", 200, "site", "-", "free"),
    ("demo-shenzhen-audio", "PEBBLE-EARBUDS", "GB-LTN1", 60, "bin:A-02", "-", "free"),
    ("demo-shenzhen-audio", "PEBBLE-EARBUDS", "US-ONT1", 90, "bin:A-02", "-", "free"),
    ("demo-shenzhen-audio", "VOLT-POWER-BANK", "GB-LTN1", 25, "bin:A-03", "-", "free"),
    ("demo-shenzhen-audio", "VOLT-CHARGER", "GB-MAN2", 80, "bin:A-01", "-", "free"),
    ("demo-shenzhen-audio", "WAVE-SPEAKER", "GB-LTN1", 12, "bin:B-01", "-", "free"),
    ("demo-shenzhen-audio", "LINK-CABLE", "GB-LTN1", 300, "bin:B-02", "-", "free"),
    ("demo-leeds-kitchen", "MOOR-TEAPOT", "SITE-LDS-KITCHEN", 30, "site", "-", "free"),
    ("demo-leeds-kitchen", "MOOR-TEAPOT", "GB-LTN1", 18, "bin:C-01", "-", "free"),
    ("demo-leeds-kitchen", "DALE-KNIFE", "GB-MAN2", 40, "bin:A-05", "-", "free"),
    ("demo-leeds-kitchen", "DALE-PAN", "SITE-LDS-KITCHEN", 22, "site", "-", "free"),
    ("demo-leeds-kitchen", "MOOR-GLASSES", "SITE-LDS-KITCHEN", 50, "site", "-", "free"),
    ("demo-leeds-kitchen", "MOOR-SHORTBREAD", "GB-LTN1", 70, "bin:C-02", "LOT-7", "free"),
    ("demo-bavaria-outdoor", "PEAK-HAT", "SITE-MUC-OUTDOOR", 60, "site", "-", "free"),
    ("demo-bavaria-outdoor", "RIDGE-TENT", "SITE-MUC-OUTDOOR", 15, "site", "-", "free"),
    ("demo-lyon-beauty", "ROSE-SERUM", "CN-NGB1", 120, "bin:A-01", "LOT-1", "bonded"),
    ("demo-lyon-beauty", "ROSE-CREAM", "CN-NGB1", 80, "bin:A-02", "LOT-1", "bonded"),
    ("demo-tasman-health", "TASMAN-HONEY", "CN-NGB1", 90, "bin:A-03", "LOT-2", "bonded"),
    ("demo-tasman-health", "TASMAN-VITAMIN-C", "HK-HKG1", 150, "bin:A-03", "LOT-2", "free"),
)
SALES = (
    ("demo-shenzhen-audio", "ARIA-HEADPHONES", "GB", "fba", 2, "GB", "demo-buyer-gb"),
    ("demo-shenzhen-audio", "PEBBLE-EARBUDS", "GB", "fba", 1, "GB", "demo-buyer-gb"),
    ("demo-shenzhen-audio", "LINK-CABLE", "GB", "fba", 3, "GB", "demo-buyer-gb"),
    ("demo-leeds-kitchen", "DALE-KNIFE", "GB", "logistics_service", 1, "GB", "demo-buyer-gb"),
    ("demo-leeds-kitchen", "MOOR-TEAPOT", "GB", "fbm", 1, "GB", "demo-buyer-gb"),
    ("demo-shenzhen-audio", "ARIA-HEADPHONES", "US", "fbm", 1, "US", "demo-buyer-us"),
    ("demo-bavaria-outdoor", "PEAK-HAT", "DE", "fbm", 2, "DE", "demo-buyer-de"),
    ("demo-lyon-beauty", "ROSE-SERUM", "CN_GP", "global_purchase", 1, "CN", "demo-buyer-cn"),
    ("demo-tasman-health", "TASMAN-HONEY", "CN_GP", "global_purchase", 2, "CN", "demo-buyer-cn"),
)


async def fill_house(conn, rounds=3):
    """Open the demo house in an empty database and let some days of trade go by; the caller commits."""
    _, outside = await open_house(conn)
    for merchant, sku, place, quantity, spot, lot, status in STOCK:
        await put_stock(conn, merchant, sku, place, quantity, spot, lot, status)
    placed = []
    for number in range(rounds):
        at = later(days=2 * number, hours=1)
        placed.append(await sell(conn, outside, at))
        await run_steps(conn, outside, at)
        if number < rounds - 1:
            await work(conn, outside, ("GB-LTN1", "GB-MAN2", "CN-NGB1"), later(days=2 * number, hours=5))
        if number < rounds - 2:
            await deliver(conn, placed[number], outside, later(days=2 * number + 1, hours=6))
    await run_steps(conn, outside, later(days=2 * rounds))
    await advance_business_now(conn, later(days=2 * rounds - 2, hours=7))
    return outside, placed


async def sell(conn, outside, at):
    """Place one order of each sale; return the keys of those that were accepted."""
    requests = []
    for merchant, sku, store, model, quantity, country, person in SALES:
        offer = await find_offer(conn, merchant, sku, store, model)
        known = await find_identities(conn, [demo_person_id(person)])
        identity = {"identity_id": known[0].quota_person_id, "has_accepted_risk": True} if known else {}
        requests.append(request([(offer, quantity)], store, country, at, person=person, **identity))
    answers = await place_orders(conn, outside, requests, BUYER)
    refused = [answer.refusal for answer in answers if answer.refusal is not None]
    assert not refused, refused
    return [order_of(answer) for answer in answers]


async def run_steps(conn, outside, now):
    """Run what is due, as the worker would."""
    for step in (PAY, EXPIRE, DECLARE, SETTLE):
        await run_due(conn, outside, step, now, 100)


async def work(conn, outside, places, at):
    """Pick, pack and hand over what waits at these places."""
    for place in places:
        await pick_and_pack(conn, outside, await read_queue(conn, place, WorkState.QUEUED, 100), at)
        await hand_over(conn, outside, [entry.order for entry in await read_queue(conn, place, WorkState.PACKED, 100)], STAFF, at)


async def deliver(conn, keys, outside, at):
    """Let carriers report the way of the parcels of these orders to the door."""
    parcels = await read_parcels_of_orders(conn, [key[0] for key in keys], [key[1] for key in keys])
    way = (TrackingState.ACCEPTED, TrackingState.IN_TRANSIT, TrackingState.OUT_FOR_DELIVERY, TrackingState.DELIVERED)
    events = [
        CarrierEvent(p.carrier_code, p.tracking_number, code, at + (number - 4) * (later(hours=2) - AT), at, "carrier", "DEPOT LBA")
        for p in parcels
        for number, code in enumerate(way, start=1)
        if p.shipped_at is not None
    ]
    await record_tracking(conn, outside, events, at)


def keep_keyring(data):
    """Give a data directory the secrets that the house was filled with, so that its pages can open what is sealed."""
    data.mkdir(parents=True, exist_ok=True)
    (data / "keyring").write_bytes(KEYRING.master_key + KEYRING.identity_secret)
    return data


async def fill_database(url):
    """Fill the database at this URL and commit."""
    async with await psycopg.AsyncConnection.connect(url) as conn:
        return await fill_house(conn)


if __name__ == "__main__":
    asyncio.run(fill_database(sys.argv[1]))
