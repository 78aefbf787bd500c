"""A house to look at page by page: two weeks of the living world, and on top of it what the demo's own people have before them.

Every list has rows, every kind of record exists: parcels on their way and home, returns, refunds, declarations, statements, invoices, payouts,
a delivery to receive, orders to pick and to pack, a question to answer, an order on hold and a correction that waits for its second person.
"""

import asyncio
import sys
from datetime import timedelta

import psycopg
from tests.factories.house import BUYER, KEYRING, STAFF, find_offer, request
from tests.factories.shown_house import SALES, deliver, run_steps, sell, work

from entrepot.aftersales.model import AuthorRole
from entrepot.base.clock_store import advance_business_now
from entrepot.base.ids import derived_id
from entrepot.books.money.correction import reversed_entries
from entrepot.books.money.model import Entry
from entrepot.books.money.read import read_posting
from entrepot.catalogue.model import stock_item_id_of
from entrepot.flows.correct_posting import Proposal, propose_correction
from entrepot.flows.floor_steps import finish_picks, start_picks
from entrepot.flows.fulfil import pick_and_pack
from entrepot.flows.inbound import announce
from entrepot.flows.order_hold import HoldOrder, hold_order
from entrepot.flows.order_to_cash import place_orders
from entrepot.flows.return_goods import ReturnWish, ask_returns, send_back
from entrepot.flows.talk import Say, say
from entrepot.operations.registry import REGISTRY
from entrepot.orders.hold import HoldReason
from entrepot.parties.model import merchant_id_of
from entrepot.settlement.invoices import number_invoices
from entrepot.warehouse.inbound import InboundBox, InboundKind, NewInboundLine, NewPlan
from entrepot.warehouse.model import WorkState
from entrepot.warehouse.pick import PickReport
from entrepot.warehouse.readers import read_line_records, read_queue
from entrepot.warehouse.scan import record_scans
from entrepot.warehouse.scanning import Scan, ScanKey, ScanKind
from entrepot.world.ground import STARTS_AT, lay_ground
from entrepot.world.live import live_world, outside_of

SEED = 7
DAYS = 16
AUDIO = merchant_id_of("demo-shenzhen-audio")
PLACE = "GB-LTN1"
QUESTION = "Will it arrive before Friday? It is a present."


async def fill_lived(url):
    """Fill the database at this URL and commit."""
    await live_world(url, REGISTRY, KEYRING, SEED, DAYS, 200)
    now = STARTS_AT + timedelta(days=DAYS)
    async with await psycopg.AsyncConnection.connect(url) as conn:
        ground = await lay_ground(conn, REGISTRY, KEYRING, STARTS_AT)
        outside = outside_of(ground, SEED)
        sent = await sell(conn, outside, now)
        await run_steps(conn, outside, now)
        await work(conn, outside, (PLACE, "GB-MAN2", "CN-NGB1"), now + timedelta(hours=3))
        await deliver(conn, sent, outside, now + timedelta(days=1, hours=6))
        back = sent[0]
        (told,) = await ask_returns(conn, outside, [ReturnWish(*back, ((1, 1),), "changed_mind", "looks")], BUYER, now + timedelta(days=2))
        await send_back(conn, outside, [(back[0], rma_id) for rma_id in told.rma_ids], BUYER, now + timedelta(days=2, hours=1))
        await number_invoices(conn, now + timedelta(days=2))
        await fill_bench(conn, outside, now + timedelta(days=2))
        fresh = await sell(conn, outside, now + timedelta(days=2, hours=2))
        await run_steps(conn, outside, now + timedelta(days=2, hours=2))
        teapot = fresh[[sale[1] for sale in SALES].index("MOOR-TEAPOT")]
        await say(conn, outside, [Say(*teapot, "delivery", AuthorRole.BUYER, QUESTION, "question")], BUYER, now + timedelta(days=2, hours=3))
        await bring_delivery(conn, outside, now + timedelta(days=2))
        await hold_order(
            conn, HoldOrder(*fresh[0], HoldReason.ADDRESS_CHECK, "The postcode is not one of Great Britain."), STAFF, now + timedelta(days=2, hours=3)
        )
        await propose(conn, now + timedelta(days=2, hours=3))
        await advance_business_now(conn, now + timedelta(days=2, hours=4))


async def fill_bench(conn, outside, at):
    """Bring orders to the packing table: one untouched, one that only wants its carton, the others packed and on their lane."""
    await sell(conn, outside, at)
    await buy_from_two(conn, outside, at)
    await run_steps(conn, outside, at)
    waiting = await read_queue(conn, PLACE, WorkState.QUEUED, 100)
    bench, rest = [one.order for one in waiting[:2]], waiting[2:]
    await start_picks(conn, outside, bench, STAFF, at)
    await finish_picks(conn, outside, [PickReport(one) for one in bench], STAFF, at)
    scans = [
        Scan(ScanKey(PLACE, "looks-bench", number), ScanKind.PACK, at, one.order.merchant_id, one.order.fulfilment_order_id, told)
        for number, one in enumerate(await read_line_records(conn, bench[1:]), start=1)
        for told in (f"line={one.line_no}.{one.part_no};quantity={one.picked}",)
    ]
    await record_scans(conn, scans)
    await pick_and_pack(conn, outside, rest, at)


async def buy_from_two(conn, outside, at):
    """Let one purchase be of two merchants, which makes two orders of one checkout."""
    sold = (("demo-shenzhen-audio", "ARIA-HEADPHONES", "fba"), ("demo-leeds-kitchen", "MOOR-TEAPOT", "fbm"))
    offers = [await find_offer(conn, merchant, sku, "GB", model) for merchant, sku, model in sold]
    (answer,) = await place_orders(conn, outside, [request([(one, 1) for one in offers], "GB", "GB", at, person="demo-buyer-gb")], BUYER)
    assert len(answer.orders) == len(offers), answer.refusal


async def bring_delivery(conn, outside, at):
    """Announce two boxes of headphones and power banks."""
    items = [stock_item_id_of(AUDIO, sku) for sku in ("ARIA-HEADPHONES", "VOLT-POWER-BANK")]
    lines = tuple(NewInboundLine(number, item, quantity) for number, (item, quantity) in enumerate(zip(items, (12, 6), strict=True), start=1))
    boxes = (InboundBox(1), InboundBox(2))
    plan = NewPlan(AUDIO, derived_id("looks", "plan"), PLACE, "GB", InboundKind.OWN_CARRIER, False, None, at, lines, boxes=boxes)
    await announce(conn, outside.reference, [plan], STAFF, at)


async def propose(conn, at):
    """Let an operator propose to turn a charge round."""
    rows = await conn.execute(
        """
        select p.merchant_id, p.posting_id from money_posting p join money_entry e using (merchant_id, posting_id)
        where p.merchant_id = %s and p.phase = 'posted' group by p.merchant_id, p.posting_id, p.at
        having count(*) > 1 and bool_and(e.account_code = 'mer' or e.account_code like 'fee.%%') order by p.at, p.posting_id limit 1
        """,
        (AUDIO,),
    )
    merchant_id, posting_id = await rows.fetchone()
    rows = await read_posting(conn, merchant_id, posting_id)
    turned = reversed_entries([Entry(row.account_code, row.currency, row.amount_minor) for row in rows])
    staff = await (await conn.execute("select staff_id from staff where login = 'operator'")).fetchone()
    await propose_correction(conn, Proposal(merchant_id, posting_id, "Charged twice by mistake.", turned, "looks"), staff[0], STAFF, at)


if __name__ == "__main__":
    asyncio.run(fill_lived(sys.argv[1]))
