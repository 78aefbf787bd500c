"""The demo house as its merchants meet it: a closed period behind them, parcels to send, one of them late, and a buyer who waits for an answer."""

import asyncio
import sys

import psycopg
from tests.factories.house import BUYER, STAFF, later
from tests.factories.shown_house import SALES, deliver, fill_house, run_steps, sell, work

from entrepot.aftersales.model import AuthorRole
from entrepot.base.clock_store import advance_business_now
from entrepot.flows.fulfil import MerchantShipment, confirm_shipments
from entrepot.flows.settle_period import close_periods
from entrepot.flows.ship_by import read_to_ship
from entrepot.flows.talk import Say, say
from entrepot.parties.model import merchant_id_of
from entrepot.settlement.invoices import number_invoices

AUDIO, LEEDS, BAVARIA = (merchant_id_of(code) for code in ("demo-shenzhen-audio", "demo-leeds-kitchen", "demo-bavaria-outdoor"))
NOW = later(days=14, hours=6)
QUESTION = "Will it arrive before Friday? It is a present."


async def fill(conn):
    """Let two weeks go by: what was sold first is delivered and settled, what came second is late, what came third waits."""
    outside, placed = await fill_house(conn, rounds=2)
    for merchant_id in (LEEDS, AUDIO, BAVARIA):
        first = (await read_to_ship(conn, merchant_id, later(days=30)))[0]
        shipment = MerchantShipment(merchant_id, first.consignment_id, first.carrier_code, f"OWN{merchant_id.hex[:10].upper()}", later(days=1))
        await confirm_shipments(conn, outside, [shipment], STAFF, later(days=1))
    await deliver(conn, placed[0], outside, later(days=3, hours=6))
    await work(conn, outside, ("GB-LTN1", "GB-MAN2"), later(days=3))
    await run_steps(conn, outside, later(days=13))
    await close_periods(conn, outside, later(days=14, hours=1))
    await number_invoices(conn, later(days=14, hours=1))
    third = await sell(conn, outside, later(days=14, hours=3))
    await run_steps(conn, outside, later(days=14, hours=3))
    teapot = third[[sale[1] for sale in SALES].index("MOOR-TEAPOT")]
    await say(conn, outside, [Say(*teapot, "delivery", AuthorRole.BUYER, QUESTION, "question")], BUYER, later(days=14, hours=4))
    await advance_business_now(conn, NOW)
    return placed, third


async def fill_merchant_database(url):
    """Fill the database at this URL and commit."""
    async with await psycopg.AsyncConnection.connect(url) as conn:
        return await fill(conn)


if __name__ == "__main__":
    asyncio.run(fill_merchant_database(sys.argv[1]))
