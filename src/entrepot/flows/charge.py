"""Fees: the plan says which a fact makes due, the dated card says how much, the book takes it from what is owed to the merchant."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

from msgspec import Struct, field

from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn
from entrepot.base.time import on_date
from entrepot.books.money.model import MERCHANT, Entry, MoneyPosting, merge_entries
from entrepot.books.money.post import post_entries
from entrepot.catalogue.model import ItemMeasure
from entrepot.catalogue.store import read_item_measures
from entrepot.flows.reference import Reference
from entrepot.flows.write_checkout import RESERVE_ACCOUNT
from entrepot.operations.model import Channel, FeeTrigger
from entrepot.orders.model import Line, Order, OrderState
from entrepot.orders.read import read_lines, read_order_units, read_orders
from entrepot.settlement.fees import FeeInputs, FeeQuote, fee_lines_for
from entrepot.settlement.store import FeeEntry, fee_entries, insert_fee_lines

OrderKey = tuple[uuid.UUID, uuid.UUID]
"""Merchant and order."""


class Charge(Struct, frozen=True):
    """Units of an order line for which a fact happened; the cause is the parcel, return or refund that stands for it."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    line_no: int
    quantity: int
    cause_id: uuid.UUID
    at: datetime
    cost_minor: int = 0
    refunded_referral_minor: int = 0


class ChargedUnits(Struct, frozen=True):
    """A charge with what its fees are worked out from: the order line, the measures of its unit, and the units of the whole order."""

    charge: Charge
    order: Order
    line: Line
    unit: ItemMeasure
    order_units: int


async def charge_fees(conn: Conn, reference: Reference, trigger: FeeTrigger, charges: Sequence[Charge]) -> None:
    """Charge what a fact makes due for each line, once per cause; what was charged before is not charged again."""
    await charge_facts(conn, reference, [trigger], charges)


async def charge_facts(conn: Conn, reference: Reference, triggers: Sequence[FeeTrigger], charges: Sequence[Charge]) -> None:
    """Charge what several facts about the same units make due, as one after the other, with everything read and written once."""
    due = [trigger for trigger in triggers if _is_charged(reference, trigger)]
    if not due or not charges:
        return
    charged = await _read_charged(conn, charges)
    entries = [
        entry
        for trigger in due
        for one, quote in quote_charges(reference, trigger, charged)
        for entry in fee_entries(one.merchant_id, str(trigger), one.cause_id, one.line_no, quote.lines, one.at, one.order_id)
    ]
    fresh: dict[str, list[FeeEntry]] = {}
    for entry in await insert_fee_lines(conn, entries):
        fresh.setdefault(entry.cause_kind, []).append(entry)
    orders = {(one.order.merchant_id, one.order.order_id): one.order for one in charged}
    await post_entries(conn, [posting for kind, listed in fresh.items() for posting in fee_postings(listed, orders, kind)])


async def _read_charged(conn: Conn, charges: Sequence[Charge]) -> list[ChargedUnits]:
    """Read what the fees of charges are worked out from; of an order only the lines that are charged."""
    keys = list(dict.fromkeys((one.merchant_id, one.order_id, one.line_no) for one in charges))
    merchant_ids, order_ids = [key[0] for key in keys], [key[1] for key in keys]
    lines = await read_lines(conn, merchant_ids, order_ids, [key[2] for key in keys])
    measures = await read_item_measures(conn, [line.merchant_id for line in lines], [line.stock_item_id for line in lines])
    units = await read_order_units(conn, merchant_ids, order_ids)
    return charged_units(charges, await read_orders(conn, merchant_ids, order_ids), lines, measures, units)


def charged_units(
    charges: Sequence[Charge],
    orders: Iterable[Order],
    lines: Iterable[Line],
    measures: Mapping[tuple[uuid.UUID, uuid.UUID], ItemMeasure],
    order_units: Mapping[OrderKey, int],
) -> list[ChargedUnits]:
    """Return charges beside their order lines."""
    known = {(one.merchant_id, one.order_id): (one, dict[int, tuple[Line, ItemMeasure]]()) for one in orders}
    for line in lines:
        known[line.merchant_id, line.order_id][1][line.line_no] = (line, measures[line.merchant_id, line.stock_item_id])
    charged: list[ChargedUnits] = []
    for one in charges:
        key = (one.merchant_id, one.order_id)
        order, of_order = known[key]
        line, unit = of_order[one.line_no]
        charged.append(ChargedUnits(one, order, line, unit, order_units[key]))
    return charged


def _is_charged(reference: Reference, trigger: FeeTrigger) -> bool:
    """Tell whether any model charges anything for a fact; if not, nothing needs to be read."""
    return any(fee.trigger is trigger for model in reference.registry.models for fee in model.fees)


def quote_charges(reference: Reference, trigger: FeeTrigger, charged: Sequence[ChargedUnits]) -> list[tuple[Charge, FeeQuote]]:
    """Return what each charge costs, without charging it: a preview and the later charge are worked out by the same rule."""
    codes = _FeeCodes(reference)
    seen: set[uuid.UUID] = set()
    quotes: list[tuple[Charge, FeeQuote]] = []
    for one in charged:
        fee_codes = codes.of(trigger, one.order, one.line)
        if fee_codes:
            inputs = _inputs(codes.day_of(one.charge, one.order), one, one.charge.cause_id not in seen)
            seen.add(one.charge.cause_id)
            quotes.append((one.charge, fee_lines_for(trigger, fee_codes, inputs, reference.fees)))
    return quotes


def units_of_orders(lines: Iterable[Line]) -> dict[OrderKey, int]:
    """Return the units of whole orders by merchant and order; `lines` are all of theirs."""
    units: dict[OrderKey, int] = {}
    for line in lines:
        units[line.merchant_id, line.order_id] = units.get((line.merchant_id, line.order_id), 0) + line.quantity
    return units


class _FeeCodes(Struct, frozen=True):
    """What a batch asks the plans and the stores' calendars again and again."""

    reference: Reference
    _codes: dict[tuple[str, str, int, str], tuple[str, ...]] = field(default_factory=dict[tuple[str, str, int, str], tuple[str, ...]])
    _days: dict[tuple[str, datetime], date] = field(default_factory=dict[tuple[str, datetime], date])

    def of(self, trigger: FeeTrigger, order: Order, line: Line) -> tuple[str, ...]:
        """Return the codes of the fees that the line's plan makes due."""
        key = (trigger, line.model_code, line.plan_version, order.channel_code)
        known = self._codes.get(key)
        if known is None:
            plan = self.reference.registry.plan(line.model_code, line.plan_version)
            known = self._codes[key] = plan.fee_codes(trigger, Channel(order.channel_code))
        return known

    def day_of(self, charge: Charge, order: Order) -> date:
        """Return the store's date of a charge."""
        key = (order.marketplace_code, charge.at)
        known = self._days.get(key)
        if known is None:
            known = self._days[key] = on_date(charge.at, self.reference.marketplaces[order.marketplace_code].time_zone)
        return known


def _inputs(on: date, charged: ChargedUnits, is_first: object) -> FeeInputs:
    """Return what the cards compute from, for the units of this charge; per-order parts of a fee fall on the first charge of a cause."""
    charge, order, line, unit = charged.charge, charged.order, charged.line, charged.unit
    share = charge.quantity
    net_minor = line.goods_minor - line.discount_minor + line.freight_minor
    return FeeInputs(
        marketplace_code=order.marketplace_code,
        model_code=line.model_code,
        on=on,
        currency=order.currency,
        units=share,
        price_minor=net_minor * share // line.quantity,
        price_net_minor=(net_minor - (line.tax_minor - line.tax_on_top_minor)) * share // line.quantity,
        category_code=unit.category_code,
        product_class="dangerous_goods" if unit.hazard_code else "general",
        length_mm=unit.length_mm,
        width_mm=unit.width_mm,
        height_mm=unit.height_mm,
        unit_weight_g=unit.weight_g,
        parcel_weight_g=unit.weight_g * share,
        is_first_of_order=bool(is_first),
        order_units=charged.order_units,
        speed_code=order.speed_code,
        cost_minor=charge.cost_minor,
        refunded_referral_minor=charge.refunded_referral_minor,
    )


def fee_postings(entries: Sequence[FeeEntry], orders: dict[OrderKey, Order], trigger: str) -> list[MoneyPosting]:
    """Return one posting per cause: from what is owed to the merchant (reserved, or released if the order is settled) to the fees."""
    groups: dict[tuple[uuid.UUID, uuid.UUID], list[FeeEntry]] = {}
    for entry in entries:
        groups.setdefault((entry.merchant_id, entry.cause_id), []).append(entry)
    postings: list[MoneyPosting] = []
    for (merchant_id, cause_id), fees in groups.items():
        order_id = fees[0].order_id
        order = orders.get((merchant_id, order_id)) if order_id else None
        owed = RESERVE_ACCOUNT if order is not None and order.state != OrderState.SETTLED else MERCHANT
        rows = [
            row
            for fee in fees
            for row in (
                Entry(owed, fee.line.currency, fee.line.amount_minor),
                Entry(f"fee.{fee.line.fee_code}", fee.line.currency, -fee.line.amount_minor),
            )
        ]
        merged = merge_entries(rows)
        if merged:
            posting_id = derived_id("fees", trigger, cause_id, *sorted({fee.line_no for fee in fees}))
            postings.append(MoneyPosting(merchant_id, posting_id, fees[0].at, "fees", trigger, cause_id, merged, order_id=order_id))
    return postings
