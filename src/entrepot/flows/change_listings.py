"""A merchant changes many listings at once: every row is judged first, and either all rows are applied or none.

A row names an SKU and, for an offer, its store and model. It may bring a price, a state, an HS code and an origin; what it leaves empty stays as it
is. An offer that is not there yet is put on sale. The same rows again change nothing.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from entrepot.base.actor import Actor
from entrepot.base.errors import EntrepotError, RefusedInputError
from entrepot.base.sql import Conn
from entrepot.catalogue.commands import Classification, PriceChange, add_offers, change_prices, classify_stock_items, set_offer_state
from entrepot.catalogue.model import (
    OFFER_STATES,
    ItemFacts,
    ListingGround,
    NewOffer,
    OfferFacts,
    OfferState,
    UnknownStockItemError,
    check_classification,
    offer_refusal,
    price_minor_of,
    require_marketplace,
    stock_item_id_of,
)
from entrepot.catalogue.store import list_offers, read_item_facts, read_restrictions
from entrepot.customs.territory import crosses_border
from entrepot.flows.outside import Outside
from entrepot.parties.store import read_merchants, read_opened_models

OfferKey = tuple[str, str, str]
_PRICE: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,4})?")


class RowIncompleteError(RefusedInputError):
    """The row lacks what it needs for what it wants to do."""


class RowTwiceError(RefusedInputError):
    """Two rows are about the same offer; keep one of them."""


class PriceMalformedError(RefusedInputError):
    """A price is written in digits with a point before the decimals."""


class UnknownOfferStateError(RefusedInputError):
    """No offer is ever in this state."""


class RowOutcome(StrEnum):
    """What a row does."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class ListingRow(Struct, frozen=True):
    """A row as it was sent; empty means: leave it as it is."""

    row_no: int
    sku: str
    marketplace_code: str = ""
    model_code: str = ""
    price: str = ""
    state: str = ""
    hs_code: str = ""
    origin: str = ""

    @property
    def key(self) -> OfferKey:
        """The offer that the row is about; of a row about the SKU alone, store and model are empty."""
        return self.sku, self.marketplace_code, self.model_code


class RowPlan(Struct, frozen=True):
    """What a row would do: field by field before and after, or why it is refused."""

    row: ListingRow
    outcome: RowOutcome
    changes: tuple[tuple[str, str, str], ...] = ()
    refusal: EntrepotError | None = None
    offer_id: uuid.UUID | None = None


class _Ground(Struct, frozen=True):
    """What rows are judged on."""

    merchant_id: uuid.UUID
    country_code: str
    outside: Outside
    now: datetime
    listing: ListingGround
    offers: Mapping[OfferKey, OfferFacts]
    labels: Mapping[tuple[str, str], Mapping[str, str]]


async def plan_rows(conn: Conn, outside: Outside, merchant_id: uuid.UUID, rows: Sequence[ListingRow], now: datetime) -> list[RowPlan]:
    """Return for each row what it would do; nothing is written."""
    ground = await _read_ground(conn, outside, merchant_id, rows, now)
    keys = [row.key for row in rows]
    twice = [keys.index(row.key) < place for place, row in enumerate(rows)]
    return [_refused_twice(row) if again else _plan(ground, row) for row, again in zip(rows, twice, strict=True)]


async def apply_rows(conn: Conn, outside: Outside, merchant_id: uuid.UUID, rows: Sequence[ListingRow], actor: Actor, now: datetime) -> list[RowPlan]:
    """Apply all rows, or none of them if one is refused, and return what each did."""
    plans = await plan_rows(conn, outside, merchant_id, rows, now)
    if any(plan.refusal is not None for plan in plans):
        return plans
    items = {plan.row.sku: plan for plan in plans if any(name in {"hs_code", "origin"} for name, _, _ in plan.changes)}
    facts = await read_item_facts(conn, [merchant_id] * len(items), [stock_item_id_of(merchant_id, sku) for sku in items])
    await classify_stock_items(
        conn, [_classification(merchant_id, plan.row, facts[stock_item_id_of(merchant_id, sku)]) for sku, plan in items.items()], actor, now
    )
    ground = await _read_ground(conn, outside, merchant_id, rows, now)
    fresh = [_new_offer(ground, plan.row) for plan in plans if plan.outcome is RowOutcome.NEW]
    for added in await add_offers(conn, fresh, ground.listing.opened_models, actor, now) if fresh else []:
        added.require()
    priced = [plan for plan in plans if plan.offer_id is not None and any(name == "price" for name, _, _ in plan.changes)]
    stores = outside.reference.marketplaces
    await change_prices(
        conn,
        [
            PriceChange(merchant_id, plan.offer_id, Decimal(plan.row.price), stores[plan.row.marketplace_code].currency)
            for plan in priced
            if plan.offer_id is not None
        ],
        actor,
        now,
    )
    for state in OfferState:
        moved = [plan.offer_id for plan in plans if plan.offer_id is not None and plan.row.state == state and _moves(plan)]
        moved += [offer.offer_id for offer, plan in zip(fresh, _new(plans), strict=True) if plan.row.state == state != OfferState.LIVE]
        await set_offer_state(conn, [merchant_id] * len(moved), moved, state, actor, now)
    return plans


def _new(plans: Sequence[RowPlan]) -> list[RowPlan]:
    return [plan for plan in plans if plan.outcome is RowOutcome.NEW]


def _moves(plan: RowPlan) -> bool:
    return any(name == "state" for name, _, _ in plan.changes)


async def _read_ground(conn: Conn, outside: Outside, merchant_id: uuid.UUID, rows: Sequence[ListingRow], now: datetime) -> _Ground:
    """Read the merchant's items and offers that rows are about, and the rules that hold."""
    skus = sorted({row.sku for row in rows})
    stores = outside.reference.marketplaces
    countries = sorted({stores[row.marketplace_code].country_code for row in rows if row.marketplace_code in stores})
    items = await read_item_facts(conn, [merchant_id] * len(skus), [stock_item_id_of(merchant_id, sku) for sku in skus])
    found = await list_offers(conn, merchant_id)
    standing = {(one.sku, one.marketplace_code, one.model_code): one for one in found if one.state != OfferState.CLOSED}
    labels = {(one.sku, one.marketplace_code): one.electronic_label for one in found if one.electronic_label}
    listing = ListingGround(stores, items, await read_opened_models(conn, [merchant_id]), await read_restrictions(conn, countries))
    merchants = await read_merchants(conn, [merchant_id])
    return _Ground(merchant_id, merchants[merchant_id].country_code, outside, now, listing, standing, labels)


def _refused_twice(row: ListingRow) -> RowPlan:
    return RowPlan(row, RowOutcome.REFUSED, refusal=RowTwiceError("sku", row.sku, "Keep one row for each SKU, store and model."))


def _plan(ground: _Ground, row: ListingRow) -> RowPlan:
    """Judge one row."""
    try:
        return _judge(ground, row)
    except EntrepotError as refusal:
        return RowPlan(row, RowOutcome.REFUSED, refusal=refusal)


def _judge(ground: _Ground, row: ListingRow) -> RowPlan:
    """Return what a row changes, or raise why it cannot."""
    item = ground.listing.items.get(stock_item_id_of(ground.merchant_id, row.sku))
    if item is None:
        raise UnknownStockItemError("sku", row.sku, "Use an SKU of your catalogue.")
    check_classification(row.hs_code or None, row.origin or None)
    changes = [
        (name, before or "", after)
        for name, before, after in (("hs_code", item.hs_code, row.hs_code), ("origin", item.origin_country_code, row.origin))
        if after and after != (before or "")
    ]
    if not row.marketplace_code and not row.model_code:
        if row.price or row.state:
            raise RowIncompleteError("store", "", "Name the store and the model whose price or state changes.")
        return RowPlan(row, RowOutcome.CHANGED if changes else RowOutcome.UNCHANGED, tuple(changes))
    store = require_marketplace(ground.listing.marketplaces, row.marketplace_code)
    if not row.model_code:
        raise RowIncompleteError("model", "", "Name the model by which the SKU is sold in this store.")
    ground.outside.reference.registry.plan(row.model_code)
    _check_price(row.price)
    if row.state and row.state not in {str(state) for state in OfferState}:
        raise UnknownOfferStateError("state", row.state, "Use one of %(choices)s, or leave it empty.", choices=tuple(map(str, OfferState)))
    standing = ground.offers.get(row.key)
    if standing is None:
        return _judge_new(ground, row, item, changes)
    if row.price:
        minor = price_minor_of(Decimal(row.price), store.currency, store)
        if minor != standing.price_minor:
            changes.append(("price", str(standing.price_minor), str(minor)))
    if row.state and row.state != standing.state:
        OFFER_STATES.require(standing.state, row.state)
        changes.append(("state", standing.state, row.state))
    return RowPlan(row, RowOutcome.CHANGED if changes else RowOutcome.UNCHANGED, tuple(changes), offer_id=standing.offer_id)


def _judge_new(ground: _Ground, row: ListingRow, item: ItemFacts, changes: list[tuple[str, str, str]]) -> RowPlan:
    """Judge a row whose offer does not stand yet."""
    if row.state == OfferState.CLOSED:
        return RowPlan(row, RowOutcome.CHANGED if changes else RowOutcome.UNCHANGED, tuple(changes))
    if not row.price:
        raise RowIncompleteError("price", "", "Give the price at which the new offer begins.")
    known = replace(item, hs_code=row.hs_code or item.hs_code, origin_country_code=row.origin or item.origin_country_code)
    listing = replace(ground.listing, items={**ground.listing.items, item.stock_item_id: known})
    refusal = offer_refusal(_new_offer(ground, row), listing)
    if refusal is not None:
        raise refusal
    return RowPlan(row, RowOutcome.NEW, (*changes, ("price", "", row.price), ("state", "", row.state or OfferState.LIVE)))


def _new_offer(ground: _Ground, row: ListingRow) -> NewOffer:
    """Return the offer that a row puts on sale; it begins now, and takes over the label's text of a sibling in the same store."""
    store = ground.listing.marketplaces[row.marketplace_code]
    return NewOffer(
        ground.merchant_id,
        row.sku,
        row.marketplace_code,
        row.model_code,
        Decimal(row.price),
        store.currency,
        ground.now,
        crosses_border=crosses_border(ground.country_code, store.country_code, ground.now.date()),
        electronic_label=ground.labels.get((row.sku, row.marketplace_code)),
    )


def _check_price(price: str) -> None:
    """Refuse what is no number with a point."""
    if price and not _PRICE.fullmatch(price):
        raise PriceMalformedError("price", price, "Write it like 1249.90, without a currency or signs between thousands.")


def _classification(merchant_id: uuid.UUID, row: ListingRow, item: ItemFacts) -> Classification:
    """Return the classification of a row's SKU with what the row leaves as it is."""
    return Classification(merchant_id, row.sku, row.hs_code or item.hs_code, row.origin or item.origin_country_code)
