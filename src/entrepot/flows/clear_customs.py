"""What customs does with an order: declared, held, released or refused; who waits for whom.

A plan that needs it waits: its goods are packed only after customs has matched order, payment and waybill with the declaration. Ordinary parcels
are declared while they are packed. A held declaration is submitted again later; one whose payer is not the orderer waits until the payer takes
the order over. What stays held too long is cancelled and paid back. Fewer goods than declared: see `redeclare.py`; refused on the way: see
`refuse_at_border.py`.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from entrepot.base.audit import Act, Fact, write_acts, write_facts
from entrepot.base.due import Due, add_due, finish_due, postpone_due
from entrepot.base.sql import Conn
from entrepot.books.stock.reserve import lock_held
from entrepot.customs.answer import apply_answers
from entrepot.customs.declare import insert_declarations, submit_declarations
from entrepot.customs.hold import lock_years, report_elsewhere
from entrepot.customs.model import AnswerKind, CustomsAnswer, Declaration, DeclarationState, Submission
from entrepot.customs.quota import ElsewhereAsk
from entrepot.customs.rules import cbec_limit_on
from entrepot.flows.cancel import cancel_units
from entrepot.flows.charge import Charge, charge_fees
from entrepot.flows.choose_units import CancelAsk
from entrepot.flows.customs_papers import LIVE, UNDECIDED, Case, OrderKey, read_cases
from entrepot.flows.declare_lines import draft_declarations, evaluated_on, submission_for
from entrepot.flows.order_hold import keep_held
from entrepot.flows.outside import Outside
from entrepot.flows.redeclare import GIVE_UP, redeclare, take_back
from entrepot.flows.refuse_at_border import CUSTOMS, AfterRefusal, customs_refuses, read_left
from entrepot.flows.release import DECLARE, start_work
from entrepot.flows.year_quota import use_years
from entrepot.freight.consign import release_consignments
from entrepot.freight.model import ConsignmentKey, ConsignmentState, ParcelKey
from entrepot.freight.read import read_consignments
from entrepot.operations.model import FeeTrigger
from entrepot.orders.advance import set_order_states
from entrepot.orders.model import OrderState

RETRY_AFTER: Final = timedelta(hours=6)
"""How long a held declaration rests before it is submitted again."""
GIVE_UP_AFTER: Final = timedelta(days=15)
"""How long a declaration may stay held before the order is cancelled and paid back."""
PAYER_DIFFERS: Final = "payer_differs"
"""The cause that no waiting removes: somebody has to take the order over."""


# -- declared --------------------------------------------------------------------------------------------------------


async def declare_consignments(conn: Conn, outside: Outside, work: Sequence[Due], now: datetime) -> None:
    """Declare due consignments and do what customs answers; what is held is due again later, what is cancelled meanwhile is over."""
    keys = [ConsignmentKey(one.merchant_id, one.subject_id) for one in work]
    orders = await _order_keys(conn, keys)
    cases = [case for case in await read_cases(conn, outside.reference, orders) if case.key in keys]
    open_cases = [case for case in cases if not case.is_refused and not case.is_released]
    await finish_due(conn, [one for one in work if one.subject_id not in {case.key.consignment_id for case in open_cases}])
    drafts = {case.key: await _draft(conn, outside, case, now) for case in open_cases}
    sent = [one for case in open_cases for one in drafts[case.key]]
    await finish_due(conn, [_due(case, DECLARE, now) for case in open_cases if not drafts[case.key]])  # on its date no border lay between
    if not sent:
        return
    await submit_declarations(conn, sent, now)
    answers = await outside.customs.submit(sent)
    await apply_answers(conn, answers, now)
    told = {answer.declaration_id: answer for answer in answers}
    after = [case for case in await read_cases(conn, outside.reference, orders) if drafts.get(case.key)]
    refused = [case for case in after if case.is_refused]
    released = [case for case in after if case.is_released]
    await _lock_holds(conn, after, refused)
    await _keep_waiting(conn, [case for case in after if case not in refused and case not in released], now)
    await _report_full_years(conn, outside, refused, told, now)
    await _end_refused(conn, outside, refused, now)
    await _go_on(conn, outside, released, now)
    await use_years(conn, outside.reference, orders, now)


async def _lock_holds(conn: Conn, cases: Sequence[Case], refused: Sequence[Case]) -> None:
    """Lock the units of refused orders and the years of all orderers before fees and refunds move money; see `lock_holds.py`."""
    if refused:
        await lock_held(conn, [case.key.merchant_id for case in refused], [case.work.order.order_id for case in refused])
    orderers = [orderer_id for case in cases if (orderer_id := case.papers.orderer_id) is not None]
    if orderers:
        await lock_years(conn, orderers)


async def _order_keys(conn: Conn, keys: Sequence[ConsignmentKey]) -> list[OrderKey]:
    """Return the orders of consignments."""
    return sorted({(one.merchant_id, one.order_id) for one in await read_consignments(conn, keys)})


async def _draft(conn: Conn, outside: Outside, case: Case, now: datetime) -> list[Submission]:
    """Return what is submitted for a consignment: its undecided declarations once more, or those of the next version."""
    live = [(one.declaration, one.attempt_count + 1) for one in case.latest if one.state in UNDECIDED]
    if not live and not case.is_released:
        drafts = draft_declarations(outside.reference, case.papers, case.version + 1, now)
        await insert_declarations(conn, drafts)
        live = [(draft, 1) for draft in drafts]
    return [submission_for(outside.reference, case.papers, declaration, attempt) for declaration, attempt in live]


# -- held ------------------------------------------------------------------------------------------------------------


async def _keep_waiting(conn: Conn, held: Sequence[Case], now: datetime) -> None:
    """Submit held consignments again later, unless somebody has to act first; none waits for ever."""
    causes = {case.key: _cause(case) for case in held}
    for_payer = [case for case in held if causes[case.key] == PAYER_DIFFERS]
    later = [case for case in held if causes[case.key] != PAYER_DIFFERS]
    await finish_due(conn, [_due(case, DECLARE, now) for case in for_payer])
    for cause_code in sorted({causes[case.key] for case in later}):
        again = [_due(case, DECLARE, now) for case in later if causes[case.key] == cause_code]
        await postpone_due(conn, again, now + RETRY_AFTER, cause_code)
    await add_due(conn, [_due(case, GIVE_UP, now + GIVE_UP_AFTER) for case in held])
    await write_facts(conn, [_fact(case, "declaration_held", now, causes[case.key]) for case in held])


def _cause(case: Case) -> str:
    """Return why a consignment is not released, or refused."""
    stopped = [one.cause_code for one in case.latest if one.state in {DeclarationState.HELD, DeclarationState.REFUSED}]
    return stopped[0] if stopped else "undecided"


def _due(case: Case, step_code: str, due_at: datetime) -> Due:
    """Return the later step of a consignment."""
    return Due(case.key.merchant_id, step_code, case.key.consignment_id, due_at, case.work.order.person_id)


def _fact(case: Case, fact_code: str, at: datetime, cause_code: str = "") -> Fact:
    """Return a fact about a consignment's declarations."""
    regimes = sorted(one.declaration.regime_code for one in case.latest)
    return Fact(case.key.merchant_id, case.key.consignment_id, fact_code, at, {"regimes": regimes, "cause": cause_code, "version": case.version})


async def give_up_held(conn: Conn, outside: Outside, work: Sequence[Due], now: datetime) -> None:
    """Cancel and pay back what customs has held too long; what was decided or left meanwhile is not touched."""
    keys = [ConsignmentKey(one.merchant_id, one.subject_id) for one in work]
    cases = [case for case in await read_cases(conn, outside.reference, await _order_keys(conn, keys)) if case.key in keys]
    left = await read_left(conn, keys)
    stuck = [case for case in cases if case.key not in left and any(one.state is DeclarationState.HELD for one in case.latest)]
    await take_back(conn, [one for case in stuck for one in case.latest if one.state in LIVE], "held_too_long", now)
    await _cancel(conn, outside, stuck, "held_too_long", now)
    await finish_due(conn, [*work, *(_due(case, DECLARE, now) for case in stuck)])


# -- refused ---------------------------------------------------------------------------------------------------------


async def _report_full_years(conn: Conn, outside: Outside, refused: Sequence[Case], told: dict[uuid.UUID, CustomsAnswer], now: datetime) -> None:
    """Keep that customs knows no room in the years of persons, whatever is known here."""
    reports: list[ElsewhereAsk] = []
    for case in refused:
        orderer_id, order = case.papers.orderer_id, case.work.order
        on = evaluated_on(outside.reference, case.papers)
        limit = cbec_limit_on(outside.reference.customs, on)
        full = [one for one in case.latest if _answer_kind(told, one.declaration) is AnswerKind.LIMIT_REACHED]
        if full and orderer_id is not None and limit is not None:
            key = told[full[0].declaration.declaration_id].answer_key
            reports.append(ElsewhereAsk(orderer_id, on.year, limit.year_minor, key, order.order_id, now, "customs_reported_full"))
    if reports:
        await report_elsewhere(conn, reports)


def _answer_kind(told: dict[uuid.UUID, CustomsAnswer], declaration: Declaration) -> AnswerKind | None:
    """Return what customs answered to a declaration now."""
    answer = told.get(declaration.declaration_id)
    return answer.kind if answer is not None else None


async def _end_refused(conn: Conn, outside: Outside, refused: Sequence[Case], now: datetime) -> None:
    """Cancel and pay back what customs refused; parcels that left meanwhile turn back at the border."""
    if not refused:
        return
    left = await read_left(conn, [case.key for case in refused])
    here = [case for case in refused if case.key not in left]
    await take_back(conn, [one for case in here for one in case.latest if one.state in LIVE], "other_declaration_refused", now)
    for cause_code in sorted({_cause(case) for case in here}):
        await _cancel(conn, outside, [case for case in here if _cause(case) == cause_code], cause_code, now)
    parcels = [ParcelKey(one.merchant_id, one.parcel_id) for found in left.values() for one in found]
    await customs_refuses(conn, outside, parcels, AfterRefusal.RETURN, now)
    await finish_due(conn, [_due(case, step, now) for case in refused for step in (DECLARE, GIVE_UP)])
    await write_facts(conn, [_fact(case, "declaration_refused", now, _cause(case)) for case in refused])


async def _cancel(conn: Conn, outside: Outside, cases: Sequence[Case], reason: str, now: datetime) -> None:
    """Cancel every unit of consignments for customs, give back money and quota."""
    asks = [
        CancelAsk(
            case.key.merchant_id,
            case.work.order.order_id,
            part.line_no,
            part.quantity,
            "customs",
            reason,
            f"customs:{case.key.consignment_id}:{case.version}:{part.part_no}",
            part.part_no,
        )
        for case in cases
        for part, _ in case.work.parts
    ]
    if asks:
        await cancel_units(conn, outside, asks, CUSTOMS, now)
        await redeclare(conn, outside, [case.key for case in cases], now)


# -- released --------------------------------------------------------------------------------------------------------


async def _go_on(conn: Conn, outside: Outside, released: Sequence[Case], now: datetime) -> None:
    """Give released consignments to whoever packs them, if they waited for it, and charge for the declaration."""
    waiting = [case for case in released if case.state is ConsignmentState.PLANNED and case.work.plan.needs_declaration_before_release]
    gone_on = await release_consignments(conn, [ConsignmentKey(case.key.merchant_id, case.key.consignment_id) for case in waiting], now)
    await start_work(conn, [case.work for case in waiting], now)
    await keep_held(conn, [(one.merchant_id, one.order_id) for one in gone_on if one.is_held])
    keys = [(case.work.order.merchant_id, case.work.order.order_id) for case in waiting]
    await set_order_states(conn, [key[0] for key in keys], [key[1] for key in keys], [OrderState.PAID], OrderState.IN_WORK, now)
    charges = [
        Charge(case.key.merchant_id, case.work.order.order_id, share.line.line_no, share.quantity, case.key.consignment_id, now)
        for case in released
        for share in case.papers.shares
    ]
    await charge_fees(conn, outside.reference, FeeTrigger.DECLARATION, charges)
    await finish_due(conn, [_due(case, step, now) for case in released for step in (DECLARE, GIVE_UP)])
    await write_acts(conn, [Act(case.key.merchant_id, case.key.consignment_id, "release_declaration", now, CUSTOMS) for case in released])
    await write_facts(conn, [_fact(case, "declaration_released", now) for case in released])
