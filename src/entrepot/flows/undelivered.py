"""Parcels that come back undelivered: received at the place they left, graded, put back on sale, kept apart or disposed of.

They come back because customs turned them round, or because the carrier could not deliver them. Money and the order's counters moved when that
was known; here only units move, with the lot, owner and customs status they left with, and the import year where customs takes the goods back.
A building of the platform puts them on its bench first; a merchant receives and grades on its own site in one step.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from entrepot.base.actor import Actor
from entrepot.base.audit import Act, Fact, write_acts, write_facts
from entrepot.base.ids import derived_id
from entrepot.base.quantity import require_positive
from entrepot.base.sql import Conn
from entrepot.base.time import on_date
from entrepot.books.stock.model import GONE, RETURN, SITE, Location, Move, StockPosting
from entrepot.books.stock.post import post_moves
from entrepot.books.stock.read import Held, read_brought, read_posted
from entrepot.customs.cbec import is_return_accepted
from entrepot.customs.declare import insert_messages
from entrepot.customs.model import CustomsMessage, DeclarationKind, DeclarationState, MessageKind
from entrepot.customs.read import StoredDeclaration
from entrepot.customs.rules import cbec_limit_on
from entrepot.flows.floor_moves import post_floor_moves
from entrepot.flows.forward import journey_id
from entrepot.flows.outside import Outside
from entrepot.flows.refuse_at_border import TURNED_BACK, declared_of_parcels, declared_value_minor
from entrepot.flows.year_quota import ValueBack, give_value_back
from entrepot.freight.model import ConsignmentKey, ParcelEvent, ParcelKey, ParcelLine, ParcelState, TrackingState
from entrepot.freight.read import Consignment, Parcel, read_consignments, read_parcels
from entrepot.freight.track import read_parcel_lines, read_sightings, record_parcel_events
from entrepot.operations.model import PlaceKind
from entrepot.orders.read import read_orders
from entrepot.warehouse.bench import GradeReport, ReturnReceipt, grade_returns, receive_returns
from entrepot.warehouse.grading import Disposition, Grade, condition_of, target_of
from entrepot.warehouse.model import Recorded, StepOutcome
from entrepot.warehouse.store_bench import lock_bench_lines

_WAYS_BACK: Final[Mapping[TrackingState, str]] = {
    TrackingState.RETURNED: str(ParcelState.RETURNED),
    TrackingState.RETURN_TO_SENDER: TURNED_BACK,
}
"""Events by which units come to lie between carrier and place, and the verb of the posting that went with them."""


class Undelivered(Struct, frozen=True):
    """A parcel with what came back of it, lot by lot, whether or not it was received; no lots as long as nothing did.

    It either goes to a building with a bench or to a merchant's site; it was turned round by customs or given back by its carrier.
    """

    parcel: Parcel
    consignment: Consignment
    has_bench: bool
    is_turned_round: bool
    lots: tuple[Held, ...]

    @property
    def key(self) -> ParcelKey:
        """Merchant and parcel."""
        return ParcelKey(self.parcel.merchant_id, self.parcel.parcel_id)

    @property
    def place_code(self) -> str:
        """The place the parcel left and comes back to."""
        return self.consignment.place_code


async def read_undelivered(conn: Conn, outside: Outside, parcels: Sequence[ParcelKey]) -> list[Undelivered]:
    """Return known parcels in key order with what came back of them."""
    found = await read_parcels(conn, list(dict.fromkeys(parcels))) if parcels else []
    keys = [ParcelKey(one.merchant_id, one.parcel_id) for one in found]
    sightings = await read_sightings(conn, keys) if keys else {}
    ways = [
        (key, seen.code, journey_id(_WAYS_BACK[seen.code], key.parcel_id, seen.occurred_at))
        for key in keys
        for seen in sorted(sightings.get(key, ()))
        if seen.code in _WAYS_BACK
    ]
    posted = await read_posted(conn, [key.merchant_id for key, _, _ in ways], [way for _, _, way in ways], RETURN) if ways else {}
    lots: dict[ParcelKey, tuple[Held, ...]] = {}
    turned_round: set[ParcelKey] = set()
    for key, code, way in ways:
        came = posted.get((key.merchant_id, way), [])
        lots[key] = (*lots.get(key, ()), *came)
        if came and code is TrackingState.RETURN_TO_SENDER:
            turned_round.add(key)
    asked = sorted({(one.merchant_id, one.consignment_id) for one in found})
    consignments = {one.consignment_id: one for one in await read_consignments(conn, [ConsignmentKey(*key) for key in asked])} if asked else {}
    places = outside.reference.network
    return [
        Undelivered(
            one,
            consignments[one.consignment_id],
            places.place(consignments[one.consignment_id].place_code).kind != PlaceKind.MERCHANT_SITE,
            key in turned_round,
            lots.get(key, ()),
        )
        for key, one in zip(keys, found, strict=True)
    ]


# -- received --------------------------------------------------------------------------------------------------------


async def receive_undelivered(conn: Conn, outside: Outside, parcels: Sequence[ParcelKey], actor: Actor, now: datetime) -> list[ParcelKey]:
    """Put what came back on the bench of the place it left, in quarantine until graded; return the parcels that did so now.

    Passed over are parcels of which nothing came back, those that lie there already, and those of a merchant's site, which has no bench.
    """
    backs = [one for one in await read_undelivered(conn, outside, parcels) if one.has_bench and one.lots]
    if not backs:
        return []
    receipts = [_receipt(one, number, lot, now) for one in backs for number, lot in enumerate(one.lots, start=1)]
    work = await receive_returns(conn, receipts)
    await post_floor_moves(conn, work.moves)
    new = {ParcelKey(one.merchant_id, one.return_id) for one, told in zip(receipts, work.answers, strict=True) if told is Recorded.NEW}
    came = [one for one in backs if one.key in new]
    await _note_back(conn, outside, came, now)
    await write_acts(conn, [Act(*_names(one), "receive_undelivered", now, actor) for one in came])
    await write_facts(conn, [_fact(one, "parcel_received_back", now) for one in came])
    return [one.key for one in came]


def _names(back: Undelivered) -> tuple[uuid.UUID, uuid.UUID]:
    """Return merchant and parcel."""
    return back.parcel.merchant_id, back.parcel.parcel_id


def _fact(back: Undelivered, fact_code: str, at: datetime) -> Fact:
    """Return a fact about a parcel of an order."""
    return Fact(back.parcel.merchant_id, back.parcel.order_id, fact_code, at, {"parcel": str(back.parcel.parcel_id), "place": back.place_code})


def _receipt(back: Undelivered, number: int, lot: Held, now: datetime) -> ReturnReceipt:
    """Return what the bench is told of one lot."""
    at = lot.location
    names = _names(back)
    return ReturnReceipt(*names, number, back.place_code, at.owner_id, at.stock_item_id, lot.quantity, now, at.lot_code, at.customs_status)


async def _note_back(conn: Conn, outside: Outside, came: Sequence[Undelivered], now: datetime) -> None:
    """Let parcels that customs turned round be back with the sender, and give the years back what carriers brought back in time."""
    open_ones = [one for one in came if one.parcel.state is not ParcelState.RETURNED]
    await record_parcel_events(conn, [ParcelEvent(*_names(one), TrackingState.RETURNED, now, now, one.place_code) for one in open_ones])
    await _return_years(conn, outside, came, now)


async def _return_years(conn: Conn, outside: Outside, came: Sequence[Undelivered], now: datetime) -> None:
    """Give buyers' years back what carriers did not deliver; a refusal of customs gave it back at once."""
    plan = outside.reference.registry.plan
    kept = [one for one in came if not one.is_turned_round and plan(one.consignment.model_code, one.consignment.plan_version).uses_quota]
    declared = await declared_of_parcels(conn, [one.parcel for one in kept]) if kept else {}
    released = [(one, declared[one.consignment.consignment_id]) for one in kept if one.consignment.consignment_id in declared]
    accepted = await _in_time(conn, outside, [(one, stored) for one, stored in released if _is_released(stored)], now)
    lines = await read_parcel_lines(conn, [one.key for one, _ in accepted])
    await give_value_back(conn, [_value_back(one, stored, lines.get(one.key, ())) for one, stored in accepted], now)
    await insert_messages(conn, [_message(one, stored, lines.get(one.key, ()), now) for one, stored in accepted])


def _is_released(stored: StoredDeclaration) -> bool:
    """Tell whether customs let the goods in: what it refused or never released needs no acceptance."""
    return stored.state is DeclarationState.RELEASED and stored.declaration.kind is DeclarationKind.IMPORT


async def _in_time(
    conn: Conn, outside: Outside, released: Sequence[tuple[Undelivered, StoredDeclaration]], now: datetime
) -> list[tuple[Undelivered, StoredDeclaration]]:
    """Return what customs takes back: what came back within the days counted from its release."""
    reference = outside.reference
    keys = sorted({(one.parcel.merchant_id, one.parcel.order_id) for one, _ in released})
    orders = {one.order_id: one for one in (await read_orders(conn, [key[0] for key in keys], [key[1] for key in keys]) if keys else [])}
    accepted: list[tuple[Undelivered, StoredDeclaration]] = []
    for one, stored in released:
        zone = reference.marketplaces[orders[one.parcel.order_id].marketplace_code].time_zone
        released_on, back_on = on_date(stored.state_at, zone), on_date(now, zone)
        limit = cbec_limit_on(reference.customs, released_on)
        if limit is not None and is_return_accepted(limit, released_on, on_date(one.parcel.state_at, zone), back_on):
            accepted.append((one, stored))
    return accepted


def _value_back(back: Undelivered, stored: StoredDeclaration, lines: Sequence[ParcelLine]) -> ValueBack:
    """Return what a parcel gives back to the year."""
    merchant_id, parcel_id = _names(back)
    value_minor = declared_value_minor(lines, stored)
    return ValueBack(merchant_id, back.parcel.order_id, f"undelivered:{parcel_id}", value_minor, True, "return_accepted", "undelivered")


def _message(back: Undelivered, stored: StoredDeclaration, lines: Sequence[ParcelLine], now: datetime) -> CustomsMessage:
    """Return the evidence that customs took goods back."""
    merchant_id, parcel_id = _names(back)
    pieces: dict[str, int] = {}
    for line in lines:
        pieces[str(line.line_no)] = pieces.get(str(line.line_no), 0) + line.quantity
    body = {"parcel": str(parcel_id), "pieces": pieces, "value_minor": declared_value_minor(lines, stored)}
    key = f"return:undelivered:{parcel_id}"
    return CustomsMessage(merchant_id, key, stored.declaration.declaration_id, MessageKind.RETURN, body, now)


# -- graded ----------------------------------------------------------------------------------------------------------


class GradedParcel(Struct, frozen=True):
    """What was found about units of one stock item in a parcel and what becomes of them; without a lot, units of any lot.

    A bin says where a building keeps them; disposal needs evidence.
    """

    merchant_id: uuid.UUID
    parcel_id: uuid.UUID
    stock_item_id: uuid.UUID
    quantity: int
    grade: Grade
    disposition: Disposition
    bin_code: str | None = None
    evidence: str | None = None
    lot_code: str | None = None

    @property
    def key(self) -> ParcelKey:
        """Merchant and parcel."""
        return ParcelKey(self.merchant_id, self.parcel_id)


class GradeOutcome(StrEnum):
    """What became of the grading of one parcel; but for `graded` nothing changed."""

    GRADED = "graded"
    EXISTS = "exists"
    EXISTS_WITH_DIFFERENT_VALUES = "exists_with_different_values"
    UNKNOWN = "unknown"
    NOT_BACK = "not_back"
    NOT_RECEIVED = "not_received"
    UNITS_DIFFER = "units_differ"


class _Share(Struct, frozen=True):
    """Units of one lot that meet one grade; the number names the lot on the bench."""

    number: int
    lot: Held
    found: GradedParcel
    quantity: int


class _Grading(Struct, frozen=True):
    """A parcel whose grades account for every unit that came back."""

    back: Undelivered
    shares: tuple[_Share, ...]


async def grade_undelivered(
    conn: Conn, outside: Outside, found: Sequence[GradedParcel], actor: Actor, now: datetime
) -> dict[ParcelKey, GradeOutcome]:
    """Grade all units of parcels that came back: back on sale, kept apart, or disposed of; each parcel is decided whole or not at all.

    `not_back` says that nothing of the parcel came back, `not_received` that the building has not put it on its bench, `units_differ` that the
    grades do not name exactly the units that came back.
    """
    by_parcel: dict[ParcelKey, list[GradedParcel]] = {}
    for one in found:
        require_positive(one.quantity)
        by_parcel.setdefault(one.key, []).append(one)
    backs = {one.key: one for one in await read_undelivered(conn, outside, list(by_parcel))}
    outcomes: dict[ParcelKey, GradeOutcome] = {}
    ours: list[_Grading] = []
    theirs: list[_Grading] = []
    for key, listed in by_parcel.items():
        back = backs.get(key)
        if back is None or not back.lots:
            outcomes[key] = GradeOutcome.UNKNOWN if back is None else GradeOutcome.NOT_BACK
            continue
        shares = _spread(listed, back.lots)
        if shares is None:
            outcomes[key] = GradeOutcome.UNITS_DIFFER
            continue
        for one in listed:
            target_of(one.grade, one.disposition, back.place_code, one.bin_code if back.has_bench else SITE, one.evidence)
        (ours if back.has_bench else theirs).append(_Grading(back, shares))
    outcomes |= await _grade_on_bench(conn, ours, actor, now)
    outcomes |= await _grade_on_site(conn, theirs, now)
    done = [one.back for one in [*ours, *theirs] if outcomes[one.back.key] is GradeOutcome.GRADED]
    await _note_back(conn, outside, [one for one in done if not one.has_bench], now)
    await write_acts(conn, [Act(*_names(one), "grade_undelivered", now, actor) for one in done])
    await write_facts(conn, [_fact(one, "parcel_graded", now) for one in done])
    return {key: outcomes[key] for key in by_parcel}


def _spread(found: Sequence[GradedParcel], lots: Sequence[Held]) -> tuple[_Share, ...] | None:
    """Spread grades over the lots that came back, those that name a lot first; None where they do not name exactly these units."""
    left = [lot.quantity for lot in lots]
    shares: list[_Share] = []
    for one in sorted(found, key=lambda grade: grade.lot_code is None):
        wanted = one.quantity
        for number, lot in enumerate(lots):
            at = lot.location
            units = min(wanted, left[number]) if at.stock_item_id == one.stock_item_id and one.lot_code in {None, at.lot_code} else 0
            if units:
                left[number] -= units
                wanted -= units
                shares.append(_Share(number + 1, lot, one, units))
        if wanted:
            return None
    return None if any(left) else tuple(shares)


async def _grade_on_bench(conn: Conn, gradings: Sequence[_Grading], actor: Actor, now: datetime) -> dict[ParcelKey, GradeOutcome]:
    """Let the bench grade what lies on it untouched; what it has graded before is compared."""
    lines = await lock_bench_lines(conn, [(*_names(one.back), share.number) for one in gradings for share in one.shares]) if gradings else {}
    outcomes: dict[ParcelKey, GradeOutcome] = {}
    reports: list[GradeReport] = []
    for one in gradings:
        mine = [lines.get((*_names(one.back), number)) for number in range(1, len(one.back.lots) + 1)]
        known = [line for line in mine if line is not None]
        if len(known) < len(mine):
            outcomes[one.back.key] = GradeOutcome.NOT_RECEIVED
        elif sum(line.graded for line in known) in {0, sum(line.quantity for line in known)}:
            reports += _reports(one, actor, now)
        else:
            outcomes[one.back.key] = GradeOutcome.EXISTS_WITH_DIFFERENT_VALUES
    if not reports:
        return outcomes
    work = await grade_returns(conn, reports)
    await post_floor_moves(conn, work.moves)
    told: dict[ParcelKey, set[StepOutcome]] = {}
    for report, outcome in zip(reports, work.outcomes, strict=True):
        told.setdefault(ParcelKey(report.merchant_id, report.return_id), set()).add(outcome)
    return outcomes | {key: _BENCH_SAYS.get(frozenset(said), GradeOutcome.EXISTS_WITH_DIFFERENT_VALUES) for key, said in told.items()}


_BENCH_SAYS: Final[Mapping[frozenset[StepOutcome], GradeOutcome]] = {
    frozenset({StepOutcome.DONE}): GradeOutcome.GRADED,
    frozenset({StepOutcome.EXISTS}): GradeOutcome.EXISTS,
}


def _reports(grading: _Grading, actor: Actor, now: datetime) -> list[GradeReport]:
    """Return what the bench is told of a parcel."""
    names = _names(grading.back)
    return [
        GradeReport(
            *names,
            share.number,
            number,
            share.quantity,
            share.found.grade,
            share.found.disposition,
            actor.code,
            now,
            share.found.bin_code,
            share.found.evidence,
        )
        for number, share in enumerate(grading.shares, start=1)
    ]


async def _grade_on_site(conn: Conn, gradings: Sequence[_Grading], now: datetime) -> dict[ParcelKey, GradeOutcome]:
    """Put units straight on merchants' sites, or dispose of them; what stands already is compared."""
    postings = {one.back.key: _to_site(one, now) for one in gradings}
    standing = [(one.merchant_id, one.posting_id) for one in postings.values()]
    before = await read_brought(conn, [key[0] for key in standing], [key[1] for key in standing]) if standing else {}
    await post_moves(conn, list(postings.values()))
    outcomes: dict[ParcelKey, GradeOutcome] = {}
    for key, posting in postings.items():
        stood = before.get((posting.merchant_id, posting.posting_id))
        if stood is None:
            outcomes[key] = GradeOutcome.GRADED
        else:
            is_same = {one.location: one.quantity for one in stood} == _targets(posting)
            outcomes[key] = GradeOutcome.EXISTS if is_same else GradeOutcome.EXISTS_WITH_DIFFERENT_VALUES
    return outcomes


def _targets(posting: StockPosting) -> dict[Location, int]:
    """Return what a posting brings where."""
    sums: dict[Location, int] = {}
    for move in posting.moves:
        sums[move.target] = sums.get(move.target, 0) + move.quantity
    return sums


def _to_site(grading: _Grading, now: datetime) -> StockPosting:
    """Return the posting by which a merchant puts units on its site in the condition it found, or disposes of them."""
    back = grading.back
    merchant_id, parcel_id = _names(back)
    moves: list[Move] = []
    for share in grading.shares:
        source = replace(share.lot.location, condition_code=condition_of(share.found.grade))
        is_gone = share.found.disposition is Disposition.DISPOSE
        target = replace(source, place_code=GONE) if is_gone else replace(source, place_code=back.place_code, spot_code=SITE)
        moves.append(Move(share.lot.location, target, share.quantity))
    evidence = "; ".join(dict.fromkeys(share.found.evidence for share in grading.shares if share.found.evidence)) or None
    posting_id = derived_id("grade_undelivered", parcel_id)
    return StockPosting(merchant_id, posting_id, now, "grade_undelivered", parcel_id, moves, reason=evidence)
