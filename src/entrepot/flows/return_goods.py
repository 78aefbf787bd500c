"""Goods come back: asked for, allowed by whoever the plan names, sent, received, graded, put back on sale or disposed of.

Money does not wait for the shelf: where the platform decides on refunds they go out with the scan at the dock, where the merchant decides they
go out when it has graded. Retail imports that are back in time give tax and import year back too; late ones keep both.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from entrepot.aftersales.model import (
    DispositionCode,
    GradeCode,
    GradedUnits,
    Outcome,
    Return,
    ReturnApproval,
    ReturnChoice,
    ReturnGrading,
    ReturnKey,
    ReturnReceipt,
    ReturnRequest,
    ReturnState,
    ReturnStep,
    ReturnUnits,
)
from entrepot.aftersales.refund_share import LeviesRule
from entrepot.aftersales.returns import (
    approve_returns,
    close_returns,
    grade_returns,
    receive_returns,
    refuse_returns,
    request_returns,
    send_returns,
)
from entrepot.aftersales.store import read_returns
from entrepot.base.actor import RUNNER, Actor
from entrepot.base.audit import Fact, write_facts
from entrepot.base.ids import derived_id
from entrepot.base.quantity import require_positive
from entrepot.base.sql import Conn
from entrepot.books.stock.model import CUSTOMER, FREE, GONE, RETURN, SITE, Location, Move, StockPosting
from entrepot.books.stock.post import post_moves
from entrepot.books.stock.read import Held, read_caused, read_posted
from entrepot.flows.charge import Charge, charge_fees
from entrepot.flows.floor_moves import post_floor_moves
from entrepot.flows.judge_return import ReturnablePart, ReturnGround, choose_parts, judge_parts, read_ground_of_returns, read_return_ground
from entrepot.flows.outside import Outside
from entrepot.flows.return_value import BackUnits, levies_rule, received_units, refund_returns, return_years
from entrepot.operations.model import PLATFORM_ROLES, FeeTrigger, Leg, Step
from entrepot.orders.advance import add_returned
from entrepot.orders.model import LineUnits
from entrepot.warehouse.bench import GradeReport
from entrepot.warehouse.bench import ReturnReceipt as BenchReceipt
from entrepot.warehouse.bench import grade_returns as grade_on_bench
from entrepot.warehouse.bench import receive_returns as receive_on_bench
from entrepot.warehouse.grading import Disposition, Grade, condition_of, target_of

GRADES: Final[Mapping[Grade, GradeCode]] = {
    Grade.SELLABLE: GradeCode.SELLABLE,
    Grade.DAMAGED: GradeCode.DAMAGED,
    Grade.DEFECTIVE: GradeCode.DEFECTIVE,
    Grade.CUSTOMER_DAMAGED: GradeCode.DAMAGED,
}
DISPOSITIONS: Final[Mapping[Disposition, DispositionCode]] = {
    Disposition.RESTOCK: DispositionCode.RESTOCK,
    Disposition.KEEP: DispositionCode.HOLD,
    Disposition.DISPOSE: DispositionCode.DESTROY,
}


# -- asked for -------------------------------------------------------------------------------------------------------


class ReturnWish(Struct, frozen=True):
    """What a buyer wants to give back: (line, units) of an order, why, and whether it is sent or destroyed where it is; the key counts once."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    units: tuple[tuple[int, int], ...]
    reason_code: str
    key: str
    choice: ReturnChoice = ReturnChoice.RETURN

    @property
    def order_key(self) -> tuple[uuid.UUID, uuid.UUID]:
        """Merchant and order."""
        return self.merchant_id, self.order_id


class WishAnswer(Struct, frozen=True):
    """The answer to a wish: `requested`, `exists`, or why not; one RMA for each place and plan that the goods go back to."""

    wish: ReturnWish
    code: str
    rma_ids: tuple[uuid.UUID, ...] = ()
    deadline_at: datetime | None = None


async def ask_returns(conn: Conn, outside: Outside, wishes: Sequence[ReturnWish], actor: Actor, now: datetime) -> list[WishAnswer]:
    """Record what buyers want to give back, if a policy allows it; what the platform takes is approved at once, a merchant decides itself."""
    for wish in wishes:
        for _, quantity in wish.units:
            require_positive(quantity)
    if not wishes:
        return []
    ground = await read_return_ground(conn, outside.reference, [(*wish.order_key, line_no) for wish in wishes for line_no, _ in wish.units])
    known = await read_returns(conn, [key for wish in wishes for key in _possible_keys(ground, wish)])
    taken: dict[tuple[uuid.UUID, uuid.UUID, int, int], int] = {}
    answers: list[WishAnswer] = []
    requests: list[ReturnRequest] = []
    for wish in wishes:
        standing = [key[1] for key in _possible_keys(ground, wish) if key in known or key[1] in {one.rma_id for one in requests}]
        if standing:
            answers.append(WishAnswer(wish, "exists", tuple(standing)))
            continue
        asked, answer = decide_wish(_without(ground, taken), wish, now)
        requests += asked
        answers.append(answer)
        for request in asked:
            for line in request.lines:
                key = (wish.merchant_id, wish.order_id, line.line_no, line.part_no)
                taken[key] = taken.get(key, 0) + line.quantity
    if requests:
        await request_returns(conn, requests, actor)
        await write_facts(conn, [Fact(one.merchant_id, one.order_id, "return_requested", now, {"rma": str(one.rma_id)}) for one in requests])
        taken_by_us = [ReturnVerdict(one.merchant_id, one.rma_id, Verdict.APPROVE) for one in requests if one.taker_role in PLATFORM_ROLES]
        await decide_returns(conn, outside, taken_by_us, RUNNER, now)
    return answers


def _possible_keys(ground: ReturnGround, wish: ReturnWish) -> list[ReturnKey]:
    """Return the keys that the RMAs of a wish can have: as many as the parts it names."""
    keys = {(wish.merchant_id, wish.order_id, line_no) for line_no, _ in wish.units}
    count = sum(len(ground.parts.get(key, ())) for key in keys)
    return [(wish.merchant_id, derived_id("rma", *wish.order_key, wish.key, number)) for number in range(1, count + 1)]


def _without(ground: ReturnGround, taken: Mapping[tuple[uuid.UUID, uuid.UUID, int, int], int]) -> ReturnGround:
    """Return the ground less what earlier wishes of the batch take."""
    if not taken:
        return ground
    parts = dict(ground.parts)
    for key in {key[:3] for key in taken}:
        parts[key] = [replace(one, returnable=one.returnable - taken.get((*key, one.part.part_no), 0)) for one in ground.parts[key]]
    return replace(ground, parts=parts)


def decide_wish(ground: ReturnGround, wish: ReturnWish, now: datetime) -> tuple[list[ReturnRequest], WishAnswer]:
    """Choose parts for a wish and judge it: all of it or nothing."""
    chosen: list[tuple[ReturnablePart, int]] = []
    for line_no, quantity in wish.units:
        key = (wish.merchant_id, wish.order_id, line_no)
        if key not in ground.charges:
            return [], WishAnswer(wish, Outcome.UNKNOWN)
        chosen += choose_parts(ground, key, quantity)
    answer = judge_parts(ground, chosen, now)
    if not answer.is_allowed:
        return [], WishAnswer(wish, answer.code)
    groups: dict[tuple[str, str], list[tuple[ReturnablePart, int]]] = {}
    for one, quantity in chosen:
        groups.setdefault((one.part.place_code, one.plan.model_code), []).append((one, quantity))
    requests = [_request(ground, wish, number, members, answer.policy_code, now) for number, members in enumerate(groups.values(), start=1)]
    return requests, WishAnswer(wish, ReturnState.REQUESTED, tuple(one.rma_id for one in requests), answer.deadline_at)


def _request(
    ground: ReturnGround, wish: ReturnWish, number: int, members: Sequence[tuple[ReturnablePart, int]], policy_code: str, now: datetime
) -> ReturnRequest:
    """Return the RMA of parts that go back to one place under one plan."""
    first = members[0][0]
    key = (wish.merchant_id, wish.order_id, first.part.line_no)
    channel = ground.channel(key)
    return ReturnRequest(
        wish.merchant_id,
        derived_id("rma", *wish.order_key, wish.key, number),
        wish.order_id,
        ground.charges[key].order.person_id,
        wish.reason_code,
        wish.choice,
        now,
        first.plan.doer(Step.TAKE_RETURN, leg=Leg.RETURN, channel=channel),
        first.plan.doer(Step.DECIDE_REFUND, leg=Leg.RETURN, channel=channel),
        policy_code,
        tuple(ReturnUnits(one.part.line_no, one.part.part_no, quantity) for one, quantity in members),
    )


# -- allowed ---------------------------------------------------------------------------------------------------------


class Verdict(StrEnum):
    """What whoever takes a return decides."""

    APPROVE = "approve"
    REFUSE = "refuse"


class ReturnVerdict(Struct, frozen=True):
    """The decision on a return, with words where it is refused."""

    merchant_id: uuid.UUID
    rma_id: uuid.UUID
    verdict: Verdict
    note: str = ""

    @property
    def key(self) -> ReturnKey:
        """Merchant and RMA."""
        return self.merchant_id, self.rma_id


async def decide_returns(conn: Conn, outside: Outside, verdicts: Sequence[ReturnVerdict], actor: Actor, now: datetime) -> list[Outcome]:
    """Approve or refuse returns; what is to be destroyed where it is leaves the books at once and is paid back."""
    stored = await read_returns(conn, [one.key for one in verdicts]) if verdicts else {}
    if not stored:
        return [Outcome.UNKNOWN] * len(verdicts)
    destroyed = [one for one in stored.values() if one.choice is ReturnChoice.DESTROY]
    ground = await read_ground_of_returns(conn, outside.reference, stored.values(), destroyed)
    approved = [one for one in verdicts if one.verdict is Verdict.APPROVE and one.key in stored]
    refused = [one for one in verdicts if one.verdict is Verdict.REFUSE]
    outcomes = dict(
        zip(approved, await approve_returns(conn, [_approval(ground, stored[one.key], one, now) for one in approved], actor), strict=True)
    )
    steps = [ReturnStep(one.merchant_id, one.rma_id, now, one.note) for one in refused]
    outcomes |= dict(zip(refused, await refuse_returns(conn, steps, actor), strict=True))
    gone = [stored[one.key] for one in approved if outcomes[one] is Outcome.DONE and stored[one.key].choice is ReturnChoice.DESTROY]
    await _destroy_at_buyer(conn, outside, ground, gone, actor, now)
    return [outcomes.get(one, Outcome.UNKNOWN) for one in verdicts]


def _approval(ground: ReturnGround, stored: Return, verdict: ReturnVerdict, now: datetime) -> ReturnApproval:
    """Return where the goods of a return go and until when: back to the place they left, within the policy's days."""
    parts = [(ground.find((stored.merchant_id, stored.order_id, line.line_no), line.part_no), line.quantity) for line in stored.lines]
    own = [(replace(one, returnable=one.returnable + quantity), quantity) for one, quantity in parts]
    deadline_at = judge_parts(ground, own, stored.asked_at).deadline_at or now + timedelta(days=30)
    is_sent = stored.choice is ReturnChoice.RETURN
    declaration_id = parts[0][0].declaration_id if parts[0][0].plan.uses_quota and is_sent else None
    return ReturnApproval(
        ReturnStep(verdict.merchant_id, verdict.rma_id, now, verdict.note),
        deadline_at,
        parts[0][0].part.place_code if is_sent else None,
        str(declaration_id) if declaration_id is not None else None,
    )


async def _destroy_at_buyer(conn: Conn, outside: Outside, ground: ReturnGround, returns: Sequence[Return], actor: Actor, now: datetime) -> None:
    """Let goods that are destroyed where they are leave the books, and pay them back; an office keeps what it got for them."""
    if not returns:
        return
    await _leave_customers(conn, ground, returns, GONE, now)
    await add_returned(conn, [LineUnits(one.merchant_id, one.order_id, line.line_no, line.quantity) for one in returns for line in one.lines])
    await close_returns(conn, [ReturnStep(one.merchant_id, one.rma_id, now, "destroyed where they were") for one in returns], actor)
    backs = [BackUnits(one, _asked_units(one), _levies_of_destroyed(ground, one)) for one in returns]
    await refund_returns(conn, outside, ground, backs, actor, now)


def _asked_units(stored: Return) -> dict[int, int]:
    """Return the units of a return by line, as asked."""
    units: dict[int, int] = {}
    for line in stored.lines:
        units[line.line_no] = units.get(line.line_no, 0) + line.quantity
    return units


def _levies_of_destroyed(ground: ReturnGround, stored: Return) -> LeviesRule:
    """Return that customs keeps the tax of retail imports that do not come back."""
    line = stored.lines[0]
    part = ground.find((stored.merchant_id, stored.order_id, line.line_no), line.part_no)
    return LeviesRule.KEPT_BY_THE_OFFICE if part.plan.uses_quota else LeviesRule.WITH_THE_GOODS


# -- sent ------------------------------------------------------------------------------------------------------------


async def send_back(conn: Conn, outside: Outside, keys: Sequence[ReturnKey], actor: Actor, now: datetime) -> list[Outcome]:
    """Note that buyers sent goods back; the units leave them with the lots they came with."""
    outcomes = await send_returns(conn, [ReturnStep(*key, now) for key in keys], actor) if keys else []
    done = [key for key, outcome in zip(keys, outcomes, strict=True) if outcome is Outcome.DONE]
    if done:
        stored = list((await read_returns(conn, done)).values())
        ground = await read_ground_of_returns(conn, outside.reference, stored)
        await _leave_customers(conn, ground, stored, RETURN, now)
    return outcomes


def _posting_id(stored: Return) -> uuid.UUID:
    """Return the id of the posting by which the goods of a return leave the buyer."""
    return derived_id("send_return", stored.merchant_id, stored.rma_id)


async def _leave_customers(conn: Conn, ground: ReturnGround, returns: Sequence[Return], place_code: str, now: datetime) -> None:
    """Move the units of returns from buyers to a pseudo place, once, lot by lot."""
    sent = await read_posted(conn, [one.merchant_id for one in returns], [_posting_id(one) for one in returns], place_code)
    waiting = [one for one in returns if (one.merchant_id, _posting_id(one)) not in sent]
    held = await read_caused(conn, [one.merchant_id for one in waiting], [one.order_id for one in waiting], CUSTOMER) if waiting else {}
    left = {key: _lefts(found) for key, found in held.items()}
    postings: list[StockPosting] = []
    for one in waiting:
        moves: list[Move] = []
        for line in one.lines:
            wanted = _location(ground, one, line.line_no, line.part_no, CUSTOMER)
            moves += _take_lots(left.get((one.merchant_id, one.order_id), []), wanted, line.quantity, place_code)
        postings.append(StockPosting(one.merchant_id, _posting_id(one), now, "send_return", one.order_id, moves, reason=one.reason_code))
    await post_moves(conn, postings)


def _location(ground: ReturnGround, stored: Return, line_no: int, part_no: int, place_code: str) -> Location:
    """Return where units of a part would be at a pseudo place, leaving the lot open."""
    key = (stored.merchant_id, stored.order_id, line_no)
    part = ground.find(key, part_no).part
    return Location(stored.merchant_id, part.owner_id, ground.charges[key].line.stock_item_id, place_code, customs_status=part.customs_status)


@dataclass(slots=True)
class _Left:
    """Units of a lot that no return has taken yet."""

    location: Location
    quantity: int


def _lefts(held: Sequence[Held]) -> list[_Left]:
    """Return units to take from."""
    return [_Left(one.location, one.quantity) for one in held]


def _take_lots(left: Sequence[_Left], wanted: Location, quantity: int, place_code: str) -> list[Move]:
    """Take units of an item from what is left of each lot, in order of lot, and move them to a pseudo place."""
    moves: list[Move] = []
    for lot in left:
        units = min(quantity, lot.quantity) if replace(lot.location, lot_code=wanted.lot_code) == wanted else 0
        if units > 0:
            lot.quantity -= units
            quantity -= units
            moves.append(Move(lot.location, replace(lot.location, place_code=place_code), units))
    return moves


# -- received --------------------------------------------------------------------------------------------------------


class BackReceipt(Struct, frozen=True):
    """What arrived of a return, counted per part; nothing named means all of it."""

    merchant_id: uuid.UUID
    rma_id: uuid.UUID
    received: tuple[ReturnUnits, ...] = ()

    @property
    def key(self) -> ReturnKey:
        """Merchant and RMA."""
        return self.merchant_id, self.rma_id


async def receive_back(conn: Conn, outside: Outside, receipts: Sequence[BackReceipt], actor: Actor, now: datetime) -> list[Outcome]:
    """Count returned goods at the place they go to: they wait for the grader; the refund goes out now where the platform decides on it."""
    before = await read_returns(conn, [one.key for one in receipts]) if receipts else {}
    full = [one if one.received or one.key not in before else replace(one, received=_all_of(before[one.key])) for one in receipts]
    outcomes = await receive_returns(conn, [ReturnReceipt(ReturnStep(*one.key, now), one.received) for one in full], actor) if full else []
    done = [one.key for one, outcome in zip(full, outcomes, strict=True) if outcome is Outcome.DONE]
    if not done:
        return outcomes
    returns = list((await read_returns(conn, done)).values())
    refunded = [one for one in returns if one.decider_role in PLATFORM_ROLES]
    ground = await read_ground_of_returns(conn, outside.reference, returns, refunded)
    backs = [BackUnits(one, received_units(one), levies_rule(ground, one, now)) for one in returns]
    await _leave_customers(conn, ground, returns, RETURN, now)
    lots = await _keep_what_came(conn, ground, backs, now)
    await _put_on_bench(conn, returns, lots, now)
    await return_years(conn, ground, backs, now)
    await add_returned(conn, [LineUnits(one.stored.merchant_id, one.stored.order_id, *line) for one in backs for line in one.units.items()])
    charges = [Charge(one.stored.merchant_id, one.stored.order_id, *line, one.stored.rma_id, now) for one in backs for line in one.units.items()]
    await charge_fees(conn, outside.reference, FeeTrigger.RETURN, charges)
    await refund_returns(conn, outside, ground, [one for one in backs if one.stored.decider_role in PLATFORM_ROLES], actor, now)
    await write_facts(conn, [Fact(one.merchant_id, one.order_id, "return_received", now, {"rma": str(one.rma_id)}) for one in returns])
    return outcomes


def _all_of(stored: Return) -> tuple[ReturnUnits, ...]:
    """Return all units of a return as received."""
    return tuple(ReturnUnits(line.line_no, line.part_no, line.quantity) for line in stored.lines)


class _Lot(Struct, frozen=True):
    """Received units of one part and lot; the number names them on the bench."""

    number: int
    line_no: int
    part_no: int
    held: Held


async def _keep_what_came(conn: Conn, ground: ReturnGround, backs: Sequence[BackUnits], now: datetime) -> dict[ReturnKey, list[_Lot]]:
    """Leave with buyers what did not come, give late retail imports their new customs status, and return what came, lot by lot."""
    sent = await _read_lots(conn, ground, [one.stored for one in backs])
    came: dict[ReturnKey, list[_Lot]] = {}
    postings: list[StockPosting] = []
    for one in backs:
        stored = one.stored
        key = (stored.merchant_id, stored.rma_id)
        counted = {lot.number: lot.held.quantity for lot in _received_lots(stored, sent[key])}
        moves: list[Move] = []
        lots: list[_Lot] = []
        for lot in sent[key]:
            at_return, units = lot.held.location, counted.get(lot.number, 0)
            kept = lot.held.quantity - units
            moves += [Move(at_return, replace(at_return, place_code=CUSTOMER), kept)] if kept else []
            target = replace(at_return, customs_status=FREE) if one.levies is LeviesRule.KEPT_BY_THE_OFFICE else at_return
            moves += [Move(at_return, target, units)] if units and target != at_return else []
            lots += [replace(lot, held=Held(target, units))] if units else []
        came[key] = lots
        postings.append(StockPosting(stored.merchant_id, derived_id("sort_return", stored.rma_id), now, "sort_return", stored.order_id, moves))
    await post_moves(conn, postings)
    return came


def _received_lots(stored: Return, sent: Sequence[_Lot]) -> list[_Lot]:
    """Return the lots of a return as far as they were received: the first lots of a part come first."""
    counted = {(line.line_no, line.part_no): line.received for line in stored.lines}
    lots: list[_Lot] = []
    for lot in sent:
        units = min(counted[lot.line_no, lot.part_no], lot.held.quantity)
        counted[lot.line_no, lot.part_no] -= units
        if units:
            lots.append(replace(lot, held=Held(lot.held.location, units)))
    return lots


async def _read_lots(conn: Conn, ground: ReturnGround, returns: Sequence[Return]) -> dict[ReturnKey, list[_Lot]]:
    """Return what was sent for each return, part by part and lot by lot."""
    sent = await read_posted(conn, [one.merchant_id for one in returns], [_posting_id(one) for one in returns], RETURN)
    lots: dict[ReturnKey, list[_Lot]] = {}
    for stored in returns:
        left = _lefts(sent.get((stored.merchant_id, _posting_id(stored)), ()))
        found: list[_Lot] = []
        for line in stored.lines:
            wanted = _location(ground, stored, line.line_no, line.part_no, RETURN)
            for move in _take_lots(left, wanted, line.quantity, RETURN):
                found.append(_Lot(len(found) + 1, line.line_no, line.part_no, Held(move.source, move.quantity)))
        lots[stored.merchant_id, stored.rma_id] = found
    return lots


async def _put_on_bench(conn: Conn, returns: Sequence[Return], lots: Mapping[ReturnKey, Sequence[_Lot]], now: datetime) -> None:
    """Put what the platform takes on the bench of its place; what a merchant takes waits until the merchant says where it is."""
    receipts = [
        BenchReceipt(
            one.merchant_id,
            one.rma_id,
            lot.number,
            one.place_code,
            lot.held.location.owner_id,
            lot.held.location.stock_item_id,
            lot.held.quantity,
            now,
            lot.held.location.lot_code,
            lot.held.location.customs_status,
        )
        for one in returns
        if one.taker_role in PLATFORM_ROLES and one.place_code is not None
        for lot in lots[one.merchant_id, one.rma_id]
    ]
    if receipts:
        await post_floor_moves(conn, (await receive_on_bench(conn, receipts)).moves)


# -- graded ----------------------------------------------------------------------------------------------------------


class Graded(Struct, frozen=True):
    """What was found about received units of one part and what becomes of them; a bin where a building keeps them, evidence where they are disposed of."""

    merchant_id: uuid.UUID
    rma_id: uuid.UUID
    line_no: int
    part_no: int
    quantity: int
    grade: Grade
    disposition: Disposition
    bin_code: str | None = None
    evidence: str | None = None

    @property
    def key(self) -> ReturnKey:
        """Merchant and RMA."""
        return self.merchant_id, self.rma_id


async def grade_back(conn: Conn, outside: Outside, found: Sequence[Graded], actor: Actor, now: datetime) -> dict[ReturnKey, Outcome]:
    """Grade all received units of returns, put them back on sale, keep them apart or dispose of them, and close the returns."""
    by_return: dict[ReturnKey, list[Graded]] = {}
    for one in found:
        require_positive(one.quantity)
        target_of(one.grade, one.disposition, "", one.bin_code or SITE, one.evidence)
        by_return.setdefault(one.key, []).append(one)
    gradings = [ReturnGrading(ReturnStep(*key, now), _merged(listed)) for key, listed in by_return.items()]
    outcomes = dict(zip(by_return, await grade_returns(conn, gradings, actor), strict=True)) if gradings else {}
    done = [key for key, outcome in outcomes.items() if outcome is Outcome.DONE]
    if not done:
        return outcomes
    returns = list((await read_returns(conn, done)).values())
    waiting = [one for one in returns if one.decider_role not in PLATFORM_ROLES]
    ground = await read_ground_of_returns(conn, outside.reference, returns, waiting)
    sent = await _read_lots(conn, ground, returns)
    lots = {(one.merchant_id, one.rma_id): _received_lots(one, sent[one.merchant_id, one.rma_id]) for one in returns}
    ours = [one for one in returns if one.taker_role in PLATFORM_ROLES]
    reports = [report for one in ours for report in _reports(by_return[one.merchant_id, one.rma_id], lots[one.merchant_id, one.rma_id], actor, now)]
    if reports:
        await post_floor_moves(conn, (await grade_on_bench(conn, reports)).moves)
    theirs = [one for one in returns if one not in ours]
    await post_moves(conn, [_to_site(one, by_return[one.merchant_id, one.rma_id], lots[one.merchant_id, one.rma_id], now) for one in theirs])
    await close_returns(conn, [ReturnStep(*key, now, "graded") for key in done], actor)
    backs = [BackUnits(one, received_units(one), levies_rule(ground, one, now)) for one in waiting]
    await refund_returns(conn, outside, ground, backs, actor, now)
    await write_facts(conn, [Fact(one.merchant_id, one.order_id, "return_graded", now, {"rma": str(one.rma_id)}) for one in returns])
    return outcomes


def _merged(found: Sequence[Graded]) -> tuple[GradedUnits, ...]:
    """Return grades as aftersales keeps them: units of one part, grade and disposition once."""
    sums: dict[tuple[int, int, GradeCode, DispositionCode], int] = {}
    for one in found:
        key = (one.line_no, one.part_no, GRADES[one.grade], DISPOSITIONS[one.disposition])
        sums[key] = sums.get(key, 0) + one.quantity
    return tuple(GradedUnits(*key, quantity) for key, quantity in sums.items())


def _by_lot(found: Sequence[Graded], lots: Sequence[_Lot]) -> list[tuple[Graded, _Lot, int]]:
    """Spread grades over the lots that came, in order."""
    left = {lot.number: lot.held.quantity for lot in lots}
    spread: list[tuple[Graded, _Lot, int]] = []
    for one in found:
        wanted = one.quantity
        for lot in lots:
            units = min(wanted, left[lot.number]) if (lot.line_no, lot.part_no) == (one.line_no, one.part_no) else 0
            if units:
                left[lot.number] -= units
                wanted -= units
                spread.append((one, lot, units))
    return spread


def _reports(found: Sequence[Graded], lots: Sequence[_Lot], actor: Actor, now: datetime) -> list[GradeReport]:
    """Return what the bench is told of a return."""
    return [
        GradeReport(one.merchant_id, one.rma_id, lot.number, number, units, one.grade, one.disposition, actor.code, now, one.bin_code, one.evidence)
        for number, (one, lot, units) in enumerate(_by_lot(found, lots), start=1)
    ]


def _to_site(stored: Return, found: Sequence[Graded], lots: Sequence[_Lot], now: datetime) -> StockPosting:
    """Return the posting by which a merchant puts returned units on its own site, in the condition it found, or disposes of them."""
    moves: list[Move] = []
    for one, lot, units in _by_lot(found, lots):
        source = lot.held.location
        condition = condition_of(one.grade)
        if one.disposition is Disposition.DISPOSE:
            target = replace(source, place_code=GONE, condition_code=condition)
        else:
            target = replace(source, place_code=stored.place_code or source.place_code, spot_code=SITE, condition_code=condition)
        moves.append(Move(source, target, units))
    reason = next((one.evidence for one in found if one.evidence), None)
    return StockPosting(stored.merchant_id, derived_id("grade_return", stored.rma_id), now, "grade_return", stored.order_id, moves, reason=reason)
