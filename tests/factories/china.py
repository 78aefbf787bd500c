"""Orders of retail imports into China: buyers with an identity, bonded lots, prices as a case needs them, and customs of every mood."""

from datetime import date
from decimal import Decimal

from msgspec.structs import replace
from tests.factories.house import AT, BUYER, KEYRING, STAFF, find_offer, order_of, put_stock, request

from entrepot.base.clock_store import advance_business_now
from entrepot.base.due import take_due
from entrepot.base.sql import fetch
from entrepot.books.money.read import prove_money, read_balances
from entrepot.books.stock.prove import prove_reservations, prove_units
from entrepot.catalogue.commands import PriceChange, change_prices
from entrepot.catalogue.model import stock_item_id_of
from entrepot.customs.check import check_declarations, check_quota
from entrepot.customs.hold import read_quota
from entrepot.customs.model import AnswerKind, CustomsAnswer
from entrepot.customs.read import read_declarations_of_orders
from entrepot.flows.check_laws import check_laws
from entrepot.flows.clear_customs import declare_consignments
from entrepot.flows.fulfil import hand_over, pick_and_pack
from entrepot.flows.order_to_cash import place_orders
from entrepot.flows.release import DECLARE
from entrepot.flows.track import record_tracking
from entrepot.freight.model import CarrierEvent, TrackingState
from entrepot.freight.read import read_parcels_of_orders
from entrepot.orders.read import prove_promises, read_orders
from entrepot.parties.model import merchant_id_of
from entrepot.parties.sealing import identity_person_id
from entrepot.warehouse.model import WorkState
from entrepot.warehouse.readers import read_queue
from entrepot.warehouse.store_floor import insert_lots

TASMAN, OSAKA, LYON = "demo-tasman-health", "demo-osaka-baby", "demo-lyon-beauty"
VITAMIN = "TASMAN-VITAMIN-C"
ORDERER = identity_person_id(KEYRING.identity_secret, "11010519491231002X")
PAYER = identity_person_id(KEYRING.identity_secret, "440524188001010014")
YEAR = 2026
LIMIT = 2_600_000
DIRECT, BONDED = "HK-HKG1", "CN-NGB1"


class Customs:
    """A gateway that answers as told, the rest as the built-in one does; it keeps what it was sent."""

    def __init__(self, inner, *answers):
        self.inner, self.answers, self.sent = inner, list(answers), []

    async def submit(self, submissions):
        self.sent += submissions
        replies = await self.inner.submit(submissions)
        return [self._say(reply, one) for reply, one in zip(replies, submissions, strict=True)]

    def _say(self, reply, submission):
        told = next((answer for answer in self.answers if answer[0] in (submission.kind, "any")), None)
        if told is None:
            return reply
        self.answers.remove(told)
        return CustomsAnswer(reply.merchant_id, reply.declaration_id, reply.answer_key, told[1], told[2], "do something")


def with_customs(outside, *answers):
    return replace(outside, customs=Customs(outside.customs, *answers))


REFUSED = ("import", AnswerKind.REFUSED, "inspection_failed")
HELD = ("import", AnswerKind.HELD, "inspection")
FULL = ("import", AnswerKind.LIMIT_REACHED, "year_limit_reached")


async def offer_at(conn, merchant, sku, price):
    """The merchant's offer in the China store at a price in yuan."""
    offer = await find_offer(conn, merchant, sku, "CN_GP", "global_purchase")
    await change_prices(conn, [PriceChange(offer.merchant_id, offer.offer_id, Decimal(price), "CNY")], STAFF, AT)
    return await find_offer(conn, merchant, sku, "CN_GP", "global_purchase")


async def stock(conn, merchant, sku, place, quantity, lot="L2409", expires_on=date(2027, 9, 1)):
    """Put units of a lot with expiry into a place, bonded where it is a bonded warehouse."""
    merchant_id = merchant_id_of(merchant)
    await insert_lots(conn, {(merchant_id, stock_item_id_of(merchant_id, sku), lot): expires_on})
    await put_stock(conn, merchant, sku, place, quantity, lot=lot, status="bonded" if place == BONDED else "free")


def order(lines, at=AT, identity_id=ORDERER, **more):
    accepted = {"has_accepted_risk": True} | more
    return request(lines, "CN_GP", "CN", at=at, person="demo-buyer-cn", identity_id=identity_id, **accepted)


async def place(conn, outside, lines, **more):
    """Place one order that must be accepted and return its answer and key."""
    answer = (await place_orders(conn, outside, [order(lines, **more)], BUYER))[0]
    assert answer.state == "placed", answer.refusal
    return answer, order_of(answer)


async def declare(conn, outside, at):
    """Run the due declarations."""
    work = await take_due(conn, DECLARE, at, 100)
    if work:
        await declare_consignments(conn, outside, work, at)
    return len(work)


async def pack(conn, outside, place_code, at):
    return await pick_and_pack(conn, outside, await read_queue(conn, place_code, WorkState.QUEUED, 100), at)


async def send(conn, outside, place_code, at):
    """Pack and hand over everything that waits at a place."""
    await pack(conn, outside, place_code, at)
    return await hand_over(conn, outside, [entry.order for entry in await read_queue(conn, place_code, WorkState.PACKED, 100)], STAFF, at)


async def deliver(conn, outside, key, at):
    parcels = await read_parcels_of_orders(conn, [key[0]], [key[1]])
    events = [CarrierEvent(p.carrier_code, p.tracking_number, TrackingState.DELIVERED, at, at, "carrier") for p in parcels]
    return await record_tracking(conn, outside, events, at)


async def state_of(conn, key):
    return (await read_orders(conn, [key[0]], [key[1]]))[0].state


async def declared(conn, key):
    """Return (kind, regime, version, state, cause) of an order's declarations in order of version."""
    rows = await read_declarations_of_orders(conn, [key[0]], [key[1]])
    return sorted((one.declaration.version, str(one.declaration.kind), one.declaration.regime_code, str(one.state), one.cause_code) for one in rows)


async def year(conn, person=ORDERER):
    """Return (used, held, elsewhere, free) of a person's year."""
    row = (await read_quota(conn, [person], YEAR)).get(person)
    return (row.used_minor, row.held_minor, row.elsewhere_minor, row.free_minor) if row else (0, 0, 0, LIMIT)


async def balances(conn, merchant_id):
    return {row.account_code: row.posted_minor for row in await read_balances(conn, merchant_id) if row.posted_minor}


async def snapshot(conn):
    """Everything an order takes, without rows that say nothing."""
    statements = {
        "money": "select merchant_id::text, account_code, currency, posted_minor, pending_minor from money_balance "
        "where posted_minor <> 0 or pending_minor <> 0",
        "units": "select location_id::text, place_code, spot_code, balance from stock_location where balance <> 0",
        "availability": "select stock_item_id::text, place_code, customs_status, on_hand, reserved from stock_availability where on_hand <> 0",
        "quota": "select person_id::text, year_no, used_minor, held_minor, elsewhere_minor, free_minor from quota_year "
        "where used_minor + held_minor + elsewhere_minor <> 0",
    }
    return {name: await fetch(conn, f"select * from ({sql}) t order by 1, 2, 3, 4") for name, sql in statements.items()}


async def count_rows(conn, *tables):
    return [(await fetch(conn, f"select count(*) from {table}"))[0][0] for table in tables]


async def proofs(conn, outside, at):
    """Every broken row of the books and the laws."""
    await advance_business_now(conn, at)
    single = [
        row
        for prove in (prove_units, prove_reservations, prove_money, prove_promises, check_declarations, check_quota)
        for row in (await prove(conn))[1]
    ]
    return single + [row for law in await check_laws(conn, outside.reference) for row in law.rows]
