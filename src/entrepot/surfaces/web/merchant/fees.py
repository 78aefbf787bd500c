"""Every fee of a merchant, and each with its rule, the rule's source, and the inputs it was computed from."""

import uuid
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Stream
from msgspec.structs import replace

from entrepot.base.errors import UnknownReferenceError
from entrepot.books.money.read import read_order_entries
from entrepot.orders.read import read_orders
from entrepot.settlement.fees import FeeCard
from entrepot.settlement.merchant_lists import FeeKey, FeesAsk, find_fees, list_fee_codes, read_fee
from entrepot.settlement.model import ANY, is_in_force
from entrepot.settlement.rates_store import read_rule_cards
from entrepot.settlement.store import StoredFee
from entrepot.surfaces.web.access import MERCHANTS, VisitorDep, WebRequest, open_to
from entrepot.surfaces.web.house import HouseDep, business_now
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.listing import Ask, Cell, Column, Filter, Found, Kind, Listing, Row, UnknownListFieldError, answer_listing, list_query
from entrepot.surfaces.web.merchant.own import merchant_of
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.words import plain_words, words

FEES: Final = "/merchant/fees"
_SPANS: Final = (("14", mark("Last 14 days")), ("30", mark("Last 30 days")), ("90", mark("Last 90 days")))
LIST: Final = Listing(
    "fees",
    FEES,
    (
        Column("fee", mark("Fee"), is_sortable=True),
        Column("at", mark("Charged on"), Kind.TIME, is_sortable=True),
        Column("event", mark("Because of"), Kind.WORDS),
        Column("order", mark("Order")),
        Column("units", mark("Units"), Kind.NUMBER),
        Column("rule", mark("Rule"), Kind.CODE, is_sortable=True),
        Column("amount", mark("Amount"), Kind.MONEY, is_sortable=True),
    ),
    sort="-at",
)


class FeeNotYoursError(UnknownReferenceError):
    """No fee of yours stands under this address; open it from your fees."""


@get(FEES, opt=open_to(MERCHANTS))
async def show_fees(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show the merchant's fees, of which each opens to its rule and inputs."""
    merchant_id = merchant_of(visitor)
    async with house.database.reading() as conn:
        today = (await business_now(conn)).date()
        codes = await list_fee_codes(conn, merchant_id)
    fees = tuple((code, plain_words(code)) for code in dict.fromkeys(code for code, _ in codes))
    currencies = tuple((currency, currency) for currency in sorted({currency for _, currency in codes}))
    filters = (
        Filter("code", mark("Any fee"), fees),
        Filter("currency", mark("Any currency"), currencies),
        Filter("span", mark("Any time"), _SPANS),
        Filter("order", mark("Order's id")),
    )
    listing = replace(LIST, filters=filters)

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        chosen = ask.filters
        since = today - timedelta(days=int(chosen["span"])) if chosen.get("span") else None
        wish = FeesAsk(
            merchant_id,
            chosen.get("code", ""),
            chosen.get("currency", ""),
            _order_id(chosen.get("order", "")),
            since,
            ask.sort_key,
            ask.is_descending,
        )
        async with house.database.reading() as conn:
            found = await find_fees(conn, wish, limit, offset)
            ids = sorted({one.order_id for one in found.rows if one.order_id is not None})
            numbers = {one.order_id: one.number for one in await read_orders(conn, [merchant_id] * len(ids), ids)}
        return Found([_row(one, numbers, visitor.language) for one in found.rows], found.count, {"amount": found.totals})

    return await answer_listing("merchant/fees.html", visitor, house, listing, list_query(request), find)


@get("/merchant/fees/{cause_id:uuid}/{line_no:int}/{event:str}/{fee_no:int}", opt=open_to(MERCHANTS))
async def show_fee(
    house: HouseDep, visitor: VisitorDep, cause_id: FromPath[uuid.UUID], line_no: FromPath[int], event: FromPath[str], fee_no: FromPath[int]
) -> Response[str]:
    """Show one fee with its rule's card, source and inputs, and the postings that charged it."""
    merchant_id = merchant_of(visitor)
    async with house.database.reading() as conn:
        fee = await read_fee(conn, FeeKey(merchant_id, cause_id, line_no, event, fee_no))
        if fee is None:
            raise FeeNotYoursError("fee", f"{event} {fee_no}", "Open it from your fees.")
        cards = await read_rule_cards(conn, fee.line.fee_code, fee.line.rule_version)
        orders = await read_orders(conn, [merchant_id], [fee.order_id]) if fee.order_id is not None else []
        entries = await read_order_entries(conn, merchant_id, [fee.order_id]) if fee.order_id is not None else []
    store = orders[0].marketplace_code if orders else ""
    values: dict[str, object] = {
        "fee": fee,
        "cards": _in_force(cards, store, fee.charged_at.date()) or cards,
        "order": orders[0] if orders else None,
        "entries": [one for one in entries if one.account_code == f"fee.{fee.line.fee_code}"],
        "merchant_id": merchant_id,
    }
    return page("merchant/fee.html", visitor, values)


def _in_force(cards: Sequence[FeeCard], store: str, on: date) -> list[FeeCard]:
    """Return the cards of a rule that held for a store on the day of the fee."""
    return [one for one in cards if one.marketplace_code in {store, ANY} and is_in_force(on, one.effective_from, one.effective_to)]


def _order_id(text: str) -> uuid.UUID | None:
    """Return the id of the order that is asked for."""
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        raise UnknownListFieldError("order", text, "Open the fees from the page of an order.") from None


def _row(one: StoredFee, numbers: dict[uuid.UUID, str], spoken: Language) -> Row:
    """Return a fee as a row."""
    cells = {
        "fee": Cell(words(spoken, one.line.fee_code), href=f"{FEES}/{one.cause_id}/{one.line_no}/{one.line.event}/{one.fee_no}"),
        "at": Cell(one.charged_at),
        "event": Cell(one.line.event),
        "order": Cell(numbers.get(one.order_id) if one.order_id is not None else None, href=f"/merchant/orders/{one.order_id}"),
        "units": Cell(one.line.units),
        "rule": Cell(one.line.rule_version),
        "amount": Cell(one.line.amount_minor, currency=one.line.currency),
    }
    return Row(f"{one.cause_id}/{one.line_no}/{one.line.event}/{one.fee_no}", cells)
