"""Everything there is to tell about one order, gathered for its page: what happened when, who is next, and where the buyer's money goes."""

import re
import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from entrepot.base.audit import Fact, read_acts, read_facts
from entrepot.base.sql import Conn
from entrepot.books.money.read import EntryRow, read_order_entries
from entrepot.books.stock.read import MoveRow, read_moves
from entrepot.catalogue.store import find_offers
from entrepot.customs.model import DeclarationKind
from entrepot.customs.read import StoredDeclaration, read_declarations_of_orders
from entrepot.freight.read import Consignment, ParcelTimeline, read_consignments_of_orders, read_parcel_timeline, read_parcels_of_orders
from entrepot.operations.registry import Registry
from entrepot.orders.hold import Hold, read_open_holds
from entrepot.orders.model import Line, LineStanding, Order, OrderState, Payment
from entrepot.orders.pay import read_payments
from entrepot.orders.read import PromiseRow, read_lines, read_progress, read_promise_rows
from entrepot.parties.store import read_merchants
from entrepot.settlement.store import StoredFee, StoredTax, read_order_fees, read_order_taxes
from entrepot.sourcing.store import LineDecision, read_decisions
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.store.payments import method_name
from entrepot.surfaces.web.words import country, long_day, words

_COUNTED: Final = frozenset({"posted", "post"})
_SHARES: Final = (
    (mark("Merchant"), ("rsv", "mer")),
    (mark("Taxes and duties"), ("tax", "duty", "import_tax", "cbec_tax")),
    (mark("Fees"), ("fee", "fee_tax")),
)
_OTHERS: Final = mark("Others")
_BEGINNING: Final = "order_placed"
_CANCELLED: Final = re.compile(r"line (\d+): (\d+) by (\w+), (\w+)")
_CODE: Final = re.compile(r"[a-z]+(?:_[a-z]+)+")
HOUSE_NOTES: Final = frozenset({"hold_order", "release_order"})
"""Commands whose notes the house writes for itself."""


class Moment(Struct, frozen=True):
    """One line of a timeline: when, what, who, and what else is known; `kind` says which source told it."""

    at: datetime
    what: str
    who: str
    detail: str
    kind: str


class ShownLine(Struct, frozen=True):
    """A line with everything decided about it."""

    line: Line
    title: str
    model_title: str
    progress: LineStanding | None
    tax: StoredTax | None
    decision: LineDecision | None


class Share(Struct, frozen=True):
    """Where a part of the buyer's money goes; `width` in thousandths of the whole."""

    name: str
    minor: int
    start: int
    width: int


class ShownPosting(Struct, frozen=True):
    """A posting with its entries."""

    posting_id: uuid.UUID
    at: datetime
    kind: str
    phase: str
    entries: tuple[EntryRow, ...]


class OrderView(Struct, frozen=True):
    """One order as its page shows it; what only the merchant and the house may know is empty in a buyer's view."""

    order: Order
    merchant_name: str
    merchant_code: str
    lines: tuple[ShownLine, ...]
    payment: Payment | None
    promises: tuple[PromiseRow, ...]
    consignments: tuple[Consignment, ...]
    parcels: tuple[ParcelTimeline, ...]
    declarations: tuple[StoredDeclaration, ...]
    moments: tuple[Moment, ...]
    next_action: str
    moves: tuple[MoveRow, ...] = ()
    postings: tuple[ShownPosting, ...] = ()
    shares: tuple[Share, ...] = ()
    fees: tuple[StoredFee, ...] = ()
    method: str = ""

    @property
    def goods_minor(self) -> int:
        """Price of all goods."""
        return sum(shown.line.goods_minor for shown in self.lines)

    @property
    def freight_minor(self) -> int:
        """Freight that the buyer pays."""
        return sum(shown.line.freight_minor for shown in self.lines)

    @property
    def tax_minor(self) -> int:
        """Tax on top of prices."""
        return sum(shown.line.tax_on_top_minor for shown in self.lines)

    @property
    def duty_minor(self) -> int:
        """Duty that the buyer paid in advance."""
        return sum(shown.line.duty_minor for shown in self.lines)


async def read_buyer_view(conn: Conn, order: Order, registry: Registry, language: Language) -> OrderView:
    """Return an order as its buyer may see it: lines, parcels, customs and dates, none of the merchant's or the house's internals."""
    key = ([order.merchant_id], [order.order_id])
    lines = await _read_lines(conn, order, registry, language)
    merchants = await read_merchants(conn, [order.merchant_id])
    payments = await read_payments(conn, [order.person_id], [order.checkout_id])
    consignments = await read_consignments_of_orders(conn, *key)
    parcels = [await read_parcel_timeline(conn, one.merchant_id, one.parcel_id) for one in await read_parcels_of_orders(conn, *key)]
    declarations = await read_declarations_of_orders(conn, *key)
    promises = await read_promise_rows(conn, order.merchant_id, order.order_id)
    facts = await read_facts(conn, order.merchant_id, [order.order_id])
    return OrderView(
        order,
        merchants[order.merchant_id].name,
        merchants[order.merchant_id].code,
        tuple(lines),
        payments[0] if payments else None,
        tuple(promises),
        tuple(consignments),
        tuple(parcels),
        tuple(declarations),
        tuple(_in_order(_fact_moments(language, facts), _parcel_moments(language, parcels), _customs_moments(language, declarations))),
        next_for_buyer(language, order, promises, (await read_open_holds(conn, *key)).values()),
    )


async def read_full_view(conn: Conn, order: Order, registry: Registry, language: Language, private: frozenset[str] = frozenset()) -> OrderView:
    """Return an order with all that the merchant and the house may see: decisions, acts, stock moves, postings and fees.

    Acts of the commands in `private` are told without what somebody wrote about them.
    """
    seen = await read_buyer_view(conn, order, registry, language)
    taxes = {one.line_no: one for one in await read_order_taxes(conn, order.merchant_id, order.order_id)}
    decisions = {one.line_no: one for one in await read_decisions(conn, order.merchant_id, order.order_id)}
    subjects = [order.order_id, *(one.consignment_id for one in seen.consignments), *(one.parcel.parcel_id for one in seen.parcels)]
    acts = await read_acts(conn, order.merchant_id, subjects)
    entries = await read_order_entries(conn, order.merchant_id, [order.order_id])
    act_moments = [
        Moment(
            at,
            words(language, command),
            _who(language, kind, actor),
            noted(language, _reason_of(note) if command in private else note),
            "act",
        )
        for at, command, kind, actor, note in acts
    ]
    return OrderView(
        order,
        seen.merchant_name,
        seen.merchant_code,
        tuple(
            ShownLine(one.line, one.title, one.model_title, one.progress, taxes.get(one.line.line_no), decisions.get(one.line.line_no))
            for one in seen.lines
        ),
        seen.payment,
        seen.promises,
        seen.consignments,
        seen.parcels,
        seen.declarations,
        tuple(_in_order(act_moments, seen.moments)),
        next_for_house(language, order, seen.consignments, seen.promises),
        tuple(await read_moves(conn, order.merchant_id, subjects)),
        tuple(_postings(entries)),
        tuple(shares_of(entries, order.currency)),
        tuple(await read_order_fees(conn, order.merchant_id, order.order_id)),
        method_name(language, seen.payment.method_code) if seen.payment is not None else "",
    )


async def _read_lines(conn: Conn, order: Order, registry: Registry, language: Language) -> list[ShownLine]:
    """Return the lines with titles, in the reader's language where the product has one, and progress."""
    lines = await read_lines(conn, [order.merchant_id], [order.order_id])
    named = [one.merchant_id for one in lines], [one.offer_id for one in lines]
    offers = {one.offer_id: one for one in await find_offers(conn, *named, language.subtag)}
    progress = {one.line_no: one for one in await read_progress(conn, order.merchant_id, order.order_id)}
    return [
        ShownLine(
            one,
            offers[one.offer_id].title if one.offer_id in offers else one.sku,
            registry.plan(one.model_code).model.title,
            progress.get(one.line_no),
            None,
            None,
        )
        for one in lines
    ]


def next_for_buyer(language: Language, order: Order, promises: Sequence[PromiseRow], holds: Collection[Hold]) -> str:
    """Return what happens next, for the buyer; an order that is held is not packed yet."""
    _ = language.gettext
    if holds and order.state in {OrderState.PAID, OrderState.IN_WORK}:
        return _("Something about your order is being checked; it is packed after that.")
    last = max((one.to_on for one in promises), default=None)
    until = "" if last is None else language.gap + _("It should arrive by %(day)s.", day=long_day(language, last))
    return {
        OrderState.AWAITING_PAYMENT: _("We wait for your payment to be confirmed; your items are held meanwhile."),
        OrderState.PAID: _("Your payment arrived. Your order is being prepared.") + until,
        OrderState.IN_WORK: _("Your order is being packed.") + until,
        OrderState.SHIPPED: _("Your order is on its way.") + until,
        OrderState.DELIVERED: _("Your order arrived."),
        OrderState.SETTLED: _("Your order arrived."),
        OrderState.CANCELLED: _("This order was cancelled; what you paid goes back to where it came from."),
    }[OrderState(order.state)]


def next_for_house(language: Language, order: Order, consignments: Sequence[Consignment], promises: Sequence[PromiseRow]) -> str:
    """Return who does what next, for the merchant and the house."""
    _ = language.gettext
    waiting = sorted((one.ship_by_at, one.doer, one.place_code) for one in consignments if one.state in {"planned", "released", "part_shipped"})
    last = max((one.to_on for one in promises), default=None)
    if order.state in {OrderState.PAID, OrderState.IN_WORK} and waiting:
        ship_by_at, doer, place_code = waiting[0]
        by = f"{long_day(language, ship_by_at.date())} {ship_by_at:%H:%M} UTC"
        return _("%(role)s packs at %(place)s and hands over by %(time)s.", role=words(language, doer), place=place_code, time=by)
    delivery = _("The carrier delivers.") if last is None else _("The carrier delivers by %(day)s.", day=long_day(language, last))
    return {
        OrderState.AWAITING_PAYMENT: _("The payment provider decides; without an answer the hold ends and everything is given back."),
        OrderState.PAID: _("Customs decides before the order goes to work."),
        OrderState.IN_WORK: _("The packed order waits for its carrier."),
        OrderState.SHIPPED: delivery,
        OrderState.DELIVERED: _("The reserve is released to the merchant when the days of waiting are over."),
        OrderState.SETTLED: _("Nothing is left to do; the money is in the merchant's balance."),
        OrderState.CANCELLED: _("Nothing is left to do; what was held was given back."),
    }[OrderState(order.state)]


def shares_of(entries: Sequence[EntryRow], currency: str) -> list[Share]:
    """Return where the buyer's money went so far, in the order's currency, from posted entries; nothing while none is posted."""
    sums: dict[str, int] = {}
    for entry in entries:
        if entry.phase in _COUNTED and entry.currency == currency and entry.account_code not in {"psp", "bank"}:
            family = entry.account_code.partition(".")[0]
            name = next((name for name, families in _SHARES if family in families), _OTHERS)
            sums[name] = sums.get(name, 0) - entry.amount_minor
    whole = sum(minor for minor in sums.values() if minor > 0)
    shares: list[Share] = []
    start = 0
    for name in [*(name for name, _ in _SHARES), _OTHERS]:
        minor = sums.get(name, 0)
        if minor:
            width = max(0, minor) * 1000 // whole if whole else 0
            shares.append(Share(name, minor, start, width))
            start += width
    return shares


def _postings(entries: Sequence[EntryRow]) -> list[ShownPosting]:
    """Gather entries by posting, in order of time."""
    groups: dict[uuid.UUID, list[EntryRow]] = {}
    for entry in entries:
        groups.setdefault(entry.posting_id, []).append(entry)
    return [ShownPosting(key, rows[0].at, rows[0].kind, rows[0].phase, tuple(rows)) for key, rows in groups.items()]


def _fact_moments(language: Language, facts: Sequence[Fact]) -> list[Moment]:
    """Return what happened to the order, first that it was placed; what carriers reported of its parcels is told by the parcels themselves."""
    told = sorted((one for one in facts if not one.fact_code.startswith("parcel_")), key=lambda one: (one.at, one.fact_code != _BEGINNING))
    return [Moment(one.at, words(language, one.fact_code), "", "", "fact") for one in told]


def _parcel_moments(language: Language, parcels: Sequence[ParcelTimeline]) -> list[Moment]:
    """Return what carriers reported, with the parcel's number as evidence."""
    return [
        Moment(
            event.occurred_at,
            language.gettext("Parcel: %(event)s", event=words(language, event.code)),
            words(language, event.source),
            _seen_at(language, event.place, one),
            "parcel",
        )
        for one in parcels
        for event in one.events
    ]


def _seen_at(language: Language, place: str, timeline: ParcelTimeline) -> str:
    tracking = timeline.parcel.tracking_number or language.gettext("no number yet")
    return language.gettext("%(first)s, %(second)s", first=place, second=tracking) if place else tracking


def _customs_moments(language: Language, declarations: Sequence[StoredDeclaration]) -> list[Moment]:
    return [
        Moment(
            one.state_at,
            language.gettext("%(kind)s declaration: %(state)s", kind=words(language, one.declaration.kind), state=words(language, one.state)),
            language.gettext("Customs %(country)s", country=country(language, _office(one))),
            words(language, one.cause_code),
            "customs",
        )
        for one in declarations
    ]


def _office(one: StoredDeclaration) -> str:
    """Return the country whose customs decide."""
    return one.declaration.ship_from if one.declaration.kind is DeclarationKind.EXPORT else one.declaration.ship_to


def _who(language: Language, kind: str, actor: str) -> str:
    """Name an actor once: "Staff anna", "Runner", "Buyer"."""
    return words(language, actor) if kind in {"program", actor} else f"{words(language, kind)} {actor}"


def noted(language: Language, note: str) -> str:
    """Return an act's note with the codes in it as words: who cancelled how many units and why, or why an order is held and what somebody wrote about it."""
    cancelled = _CANCELLED.fullmatch(note)
    if cancelled is not None:
        line, units, by, reason = cancelled.groups()
        told = language.ngettext("%(num)s unit of line %(line)s", "%(num)s units of line %(line)s", int(units), line=line)
        return " · ".join((told, words(language, by), words(language, reason)))
    code, colon, text = note.partition(": ")
    if _CODE.fullmatch(code):
        return language.gettext("%(what)s: %(who)s", what=words(language, code), who=text) if colon else words(language, code)
    return note


def _reason_of(note: str) -> str:
    """Return the code for which an order is held or released, without what somebody wrote about it."""
    code = note.partition(": ")[0]
    return code if _CODE.fullmatch(code) else ""


def _in_order(*sources: Sequence[Moment]) -> list[Moment]:
    """Return moments by time; of the same instant, the sources' order tells cause before effect."""
    return sorted((moment for source in sources for moment in source), key=_time_of)


def _time_of(moment: Moment) -> datetime:
    return moment.at
