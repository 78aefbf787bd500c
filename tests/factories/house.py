"""A demo house in a test database, with stock, buyers and the built-in outside."""

import itertools
import uuid
from datetime import UTC, datetime, timedelta

from entrepot.adapters.bank import BuiltInBank
from entrepot.adapters.carrier import demo_carriers
from entrepot.adapters.customs_gateway import BuiltInCustomsGateway, GatewayHabits
from entrepot.adapters.payment_provider import BuiltInProvider
from entrepot.base.actor import Actor, ActorKind
from entrepot.base.ids import SeededIds, derived_id
from entrepot.books.stock.model import SITE, SUPPLIER, Location, Move, StockPosting
from entrepot.books.stock.post import post_moves
from entrepot.catalogue.model import stock_item_id_of
from entrepot.catalogue.store import list_offers
from entrepot.flows.open_house import open_demo_house
from entrepot.flows.outside import Outside
from entrepot.flows.reference import read_reference
from entrepot.operations.registry import REGISTRY
from entrepot.orders.model import LineAsk, OrderRequest
from entrepot.parties.model import merchant_id_of
from entrepot.parties.sealing import Keyring

AT = datetime(2026, 9, 7, 8, tzinfo=UTC)
KEYRING = Keyring(b"k" * 32, b"identity secret of tests")
BUYER = Actor(ActorKind.BUYER, "buyer", "buyer")
STAFF = Actor(ActorKind.STAFF, "warehouse", "warehouse")
_NUMBERS = itertools.count(1)
KIND = GatewayHabits(0, 0, 0)


async def open_house(conn, registry=REGISTRY, at=AT):
    house = await open_demo_house(conn, registry, KEYRING, at)
    reference = await read_reference(conn, registry, at.date())
    outside = Outside(
        reference, SeededIds("test", "outside"), BuiltInProvider(), demo_carriers("test"), BuiltInCustomsGateway("test", KIND), BuiltInBank()
    )
    return house, outside


async def put_stock(conn, merchant_code, sku, place_code, quantity, spot="bin:A-01", lot="-", status="free", at=AT):
    merchant_id = merchant_id_of(merchant_code)
    item = stock_item_id_of(merchant_id, sku)
    key = (merchant_id, merchant_id, item)
    spot = SITE if place_code.startswith("SITE") else spot
    move = Move(Location(*key, SUPPLIER, lot_code=lot, customs_status=status), Location(*key, place_code, spot, lot, customs_status=status), quantity)
    name = derived_id("test stock", merchant_code, sku, place_code, next(_NUMBERS))
    await post_moves(conn, [StockPosting(merchant_id, name, at, "receipt", name, [move])])


async def find_offer(conn, merchant_code, sku, marketplace_code, model_code):
    offers = await list_offers(conn, merchant_id_of(merchant_code))
    return next(o for o in offers if (o.sku, o.marketplace_code, o.model_code) == (sku, marketplace_code, model_code))


def request(lines, marketplace_code, to_country, at=AT, method="invoice", person="demo-buyer-de", key=None, **more) -> OrderRequest:
    number = next(_NUMBERS)
    return OrderRequest(
        derived_id("demo_person", person),
        derived_id("test checkout", number),
        key or f"key-{number}",
        marketplace_code,
        more.pop("channel_code", "store"),
        to_country,
        "10",
        method,
        tuple(LineAsk(offer.merchant_id, offer.offer_id, quantity) for offer, quantity in lines),
        at,
        **more,
    )


def later(**more):
    return AT + timedelta(**more)


def order_of(answer) -> tuple[uuid.UUID, uuid.UUID]:
    return answer.orders[0]
