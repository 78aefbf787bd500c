"""The eight laws against what is stored: each counts what it was held against and names the rows that break it."""

import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from entrepot.aftersales.check import check_refund_causes, check_returned_units, list_refund_causes
from entrepot.aftersales.model import CauseKind
from entrepot.base.audit_proof import read_unaudited
from entrepot.base.clock_store import read_business_now
from entrepot.base.parts import find_lone_rows
from entrepot.base.sql import Conn
from entrepot.base.time import start_of_day
from entrepot.books.money.model import PSP
from entrepot.books.money.read import prove_money, read_checkout_sums
from entrepot.books.money.replay import read_last_entry_at, read_open_orders, replay_entries
from entrepot.books.money.statement_lines import RESERVED, read_earned, read_paid_out
from entrepot.books.money.tables import MONEY_ENTRY
from entrepot.books.stock.prove import prove_reservations, prove_units, read_open_holders
from entrepot.books.stock.replay import read_last_move_at, replay_moves
from entrepot.customs.check import check_declarations, check_quota
from entrepot.customs.prove import read_undeclared
from entrepot.customs.read import DeclaredQuantity, read_declared_quantities
from entrepot.flows.reference import Reference
from entrepot.freight.border import read_left_parcels, read_packed_pieces, read_used_lanes
from entrepot.freight.check import check_parcels
from entrepot.freight.tables import LABEL, PARCEL, TRACKING_EVENT
from entrepot.orders.pay import read_payment_sums
from entrepot.orders.prove import pick_settled, read_causeless, read_order_keys
from entrepot.orders.read import prove_promises, read_dead_holders
from entrepot.orders.tables import ORDER_LINE, PAYMENT
from entrepot.settlement.invoices import check_invoice_numbers
from entrepot.settlement.standing import read_left_over
from entrepot.settlement.statements import check_statements
from entrepot.settlement.store import check_fee_evidence
from entrepot.settlement.tables import TAX_DECISION
from entrepot.warehouse.readers import check_custody, read_packed_of_consignments
from entrepot.warehouse.tables import FULFILMENT_LINE

Proof = tuple[int, list[str]]
"""How many rows were checked, and the names of those that break the law."""

NAMED: Final = 100
"""How many broken rows of a law are named; all are counted as far as the proofs count them."""

PARTS: Final = (MONEY_ENTRY, PAYMENT, ORDER_LINE, TAX_DECISION, FULFILMENT_LINE, PARCEL, TRACKING_EVENT, LABEL)
"""Tables whose rows are written with a row of another."""


@dataclass(frozen=True, slots=True)
class LawResult:
    """One law: how many rows it was held against, how many break it, and the names of the first that do."""

    law: int
    title: str
    checked: int
    broken: int
    rows: list[str]


async def check_laws(conn: Conn, reference: Reference) -> list[LawResult]:
    """Prove all laws against one database; nothing is changed."""
    results: list[LawResult] = []
    for law, (title, prove) in enumerate(_LAWS, start=1):
        checked, broken = await prove(conn, reference)
        results.append(LawResult(law, title, checked, len(broken), broken[:NAMED]))
    return results


def _sum(proofs: Iterable[Proof]) -> Proof:
    """Return several proofs as one."""
    listed = list(proofs)
    return sum(checked for checked, _ in listed), [row for _, rows in listed for row in rows]


# -- 1 units, 2 reservations -----------------------------------------------------------------------------------------


async def _units(conn: Conn, _: Reference) -> Proof:
    """Places and bins add up, only sources are negative, plans and packed work are accounted for."""
    return _sum([await prove_units(conn), await check_custody(conn)])


async def _reservations(conn: Conn, _: Reference) -> Proof:
    """Reserved never exceeds on hand, and whoever holds units is an order that still lives."""
    holders = await read_open_holders(conn)
    return _sum([await prove_reservations(conn), (len(holders), await read_dead_holders(conn, *_columns(holders)))])


def _columns(keys: Iterable[tuple[uuid.UUID, uuid.UUID]]) -> tuple[list[uuid.UUID], list[uuid.UUID]]:
    """Return pairs of ids as two columns."""
    pairs = list(keys)
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


# -- 3 money ---------------------------------------------------------------------------------------------------------


async def _money(conn: Conn, _: Reference) -> Proof:
    """Entries balance; each checkout holds what was captured less refunded; settled orders hold nothing back; statements end where the book does."""
    return _sum(
        [await prove_money(conn), await _checkouts(conn), await _settled_orders(conn), await check_statements(conn), await _statement_ends(conn)]
    )


async def _checkouts(conn: Conn) -> Proof:
    """Hold what the processor owes for each checkout against the events of its payments."""
    held = {(checkout_id, currency): minor for checkout_id, currency, minor in await read_checkout_sums(conn, PSP)}
    taken = {(checkout_id, currency): captured - refunded for checkout_id, currency, captured, refunded in await read_payment_sums(conn)}
    keys = held.keys() | taken.keys()
    broken = [key for key in keys if held.get(key, 0) != taken.get(key, 0)]
    return len(keys), [
        f"checkout {checkout_id}: the book holds {held.get((checkout_id, currency), 0)} {currency}, captured less refunded is "
        f"{taken.get((checkout_id, currency), 0)}"
        for checkout_id, currency in sorted(broken)
    ]


async def _settled_orders(conn: Conn) -> Proof:
    """Name settled orders for which something is still held back."""
    held = await read_open_orders(conn, RESERVED)
    settled = await pick_settled(conn, *_columns((merchant_id, order_id) for merchant_id, order_id, _, _ in held))
    return len(held), [
        f"order {order_id} is settled and {RESERVED} still holds {minor} {currency}"
        for merchant_id, order_id, currency, minor in held
        if (merchant_id, order_id) in settled
    ]


async def _statement_ends(conn: Conn) -> Proof:
    """Hold what the latest statements left over, and all payouts, against the money book."""
    left = await read_left_over(conn)
    keys = [one.merchant_id for one in left], [one.currency for one in left]
    earned = {(row[0], row[1]): row[2] for row in await read_earned(conn, *keys, [start_of_day(one.ends_before) for one in left])}
    paid = {(row[0], row[1]): row[2] for row in await read_paid_out(conn)}
    broken: list[str] = []
    for one in left:
        key = (one.merchant_id, one.currency)
        name = f"statement of {one.merchant_id} in {one.currency} before {one.ends_before.isoformat()}"
        if earned[key] - one.paid_out_minor != one.left_minor:
            broken.append(f"{name}: leaves {one.left_minor}, the book {earned[key] - one.paid_out_minor}")
        if paid.pop(key, 0) != one.paid_out_minor:
            broken.append(f"{name}: statements paid {one.paid_out_minor}, the book shows other payouts")
    broken += [f"payouts of {merchant_id} in {currency}: {minor} without a statement" for (merchant_id, currency), minor in sorted(paid.items())]
    return len(left), broken


# -- 4 declarations, 5 quota -----------------------------------------------------------------------------------------


async def _declarations(conn: Conn, _: Reference) -> Proof:
    """Each customs value follows from its components, and the pieces declared are the pieces packed."""
    return _sum([await check_declarations(conn), await _declared_pieces(conn)])


async def _declared_pieces(conn: Conn) -> Proof:
    """Hold what was declared of each consignment, out of a territory and into another, against what it packed; unpacked ones wait."""
    lines = await read_declared_quantities(conn)
    broken = [f"declaration {one.declaration_id} line {one.line_no}: {fault}" for one in lines if (fault := _legal_fault(one))]
    declared: dict[tuple[uuid.UUID, uuid.UUID, str], dict[int, int]] = {}
    names: dict[tuple[uuid.UUID, uuid.UUID, str], uuid.UUID] = {}
    for one in lines:
        if one.consignment_id is None:
            continue
        key = (one.merchant_id, one.consignment_id, str(one.kind))
        pieces = declared.setdefault(key, {})
        pieces[one.line_no] = pieces.get(one.line_no, 0) + one.quantity
        names[key] = one.declaration_id
    packed = await _packed(conn, sorted({key[:2] for key in declared}))
    for (merchant_id, consignment_id, kind), pieces in declared.items():
        there = packed.get((merchant_id, consignment_id), pieces)
        if pieces != there:
            name = names[merchant_id, consignment_id, kind]
            broken.append(f"declaration {name}: {kind} declares {_told(pieces)}, consignment {consignment_id} holds {_told(there)}")
    return len(lines), broken


def _legal_fault(line: DeclaredQuantity) -> str:
    """Return what is wrong with a legal quantity: in pieces it counts them, in kilograms it is the net weight."""
    in_unit = {"piece": Decimal(line.quantity), "kg": Decimal(line.net_weight_g) / 1000}
    expected = in_unit.get(line.legal_unit_code, line.legal_quantity)
    return "" if line.legal_quantity == expected else f"{line.legal_quantity} {line.legal_unit_code}, its goods give {expected}"


def _told(pieces: dict[int, int]) -> str:
    """Return pieces by line as people read them."""
    return ", ".join(f"{quantity} of line {line_no}" for line_no, quantity in sorted(pieces.items())) or "nothing"


async def _packed(conn: Conn, consignments: Sequence[tuple[uuid.UUID, uuid.UUID]]) -> dict[tuple[uuid.UUID, uuid.UUID], dict[int, int]]:
    """Return packed pieces by consignment and line: as the floor counted them, or for a merchant that packs itself as its parcels say."""
    packed: dict[tuple[uuid.UUID, uuid.UUID], dict[int, int]] = {}
    for one in await read_packed_of_consignments(conn, *_columns(consignments)):
        if one.consignment_id is not None:
            lines = packed.setdefault((one.merchant_id, one.consignment_id), {})
            lines[one.line_no] = lines.get(one.line_no, 0) + one.quantity
    others = [key for key in consignments if key not in packed]
    for piece in await read_packed_pieces(conn, *_columns(others)):
        packed.setdefault((piece.merchant_id, piece.consignment_id), {})[piece.line_no] = piece.quantity
    return packed


async def _quota(conn: Conn, _: Reference) -> Proof:
    """Each person's year is the sum of its entries, and each hold ends once."""
    return await check_quota(conn)


# -- 6 evidence ------------------------------------------------------------------------------------------------------


async def _evidence(conn: Conn, reference: Reference) -> Proof:
    """Parcels, fees, taxes, refunds, returns, invoices and commands have what they rest on; what crossed a border was declared."""
    return _sum(
        [
            await check_parcels(conn),
            await check_fee_evidence(conn),
            await check_refund_causes(conn),
            await _refund_causes(conn),
            await check_returned_units(conn),
            await check_invoice_numbers(conn),
            await _border(conn, reference),
            await _acts(conn),
            await find_lone_rows(conn, PARTS),
        ]
    )


async def _refund_causes(conn: Conn) -> Proof:
    """Name refunds whose cause lies with orders and did not happen there."""
    causes = [(str(kind), *cause) for kind in CauseKind if kind is not CauseKind.RETURN for cause in await list_refund_causes(conn, kind)]
    found = await read_causeless(conn, [one[0] for one in causes], [one[1] for one in causes], [one[2] for one in causes])
    return len(causes), [f"refund of order {order_id}: no {kind} happened there" for kind, _, order_id in found]


async def _border(conn: Conn, reference: Reference) -> Proof:
    """Name parcels that were handed over across a customs border and that nobody declared."""
    crossing = [(place, country) for place, country, _ in await read_used_lanes(conn) if reference.network.crosses_border(place, country)]
    left = await read_left_parcels(conn, [lane[0] for lane in crossing], [lane[1] for lane in crossing])
    undeclared = await read_undeclared(conn, *_columns(sorted({(one.merchant_id, one.consignment_id) for one in left})))
    return len(left), [
        f"parcel {one.merchant_id}/{one.parcel_id}: crossed a customs border without a declaration"
        for one in left
        if (one.merchant_id, one.consignment_id) in undeclared
    ]


async def _acts(conn: Conn) -> Proof:
    """Name orders that nobody commanded."""
    keys = await read_order_keys(conn)
    return len(keys), [
        f"order {merchant_id}/{order_id}: no act names who placed it" for merchant_id, order_id in await read_unaudited(conn, *_columns(keys))
    ]


# -- 7 promises, 8 replay --------------------------------------------------------------------------------------------


async def _promises(conn: Conn, _: Reference) -> Proof:
    """Each line points to a stored window, and each window of a delivered order is scored."""
    return await prove_promises(conn)


async def _replay(conn: Conn, _: Reference) -> Proof:
    """Playing the journals gives the balances, and the business clock is not behind them."""
    return _sum([await replay_moves(conn), await replay_entries(conn), await _clock(conn)])


async def _clock(conn: Conn) -> Proof:
    """Name a business clock that is behind the last posting."""
    now = await read_business_now(conn)
    last = {"move": await read_last_move_at(conn), "money posting": await read_last_entry_at(conn)}
    posted = {name: at for name, at in last.items() if at is not None}
    return len(posted), [
        f"business clock: stands at {_at(now)}, the last {name} is of {_at(at)}" for name, at in posted.items() if now is None or at > now
    ]


def _at(instant: datetime | None) -> str:
    """Return an instant for people."""
    return "no time yet" if instant is None else instant.isoformat()


_LAWS: Final[tuple[tuple[str, Callable[[Conn, Reference], Awaitable[Proof]]], ...]] = (
    ("Units", _units),
    ("Reservations", _reservations),
    ("Money", _money),
    ("Declarations", _declarations),
    ("Quota", _quota),
    ("Evidence", _evidence),
    ("Promises", _promises),
    ("Replay", _replay),
)
