"""Whether goods may come back: what arrived when, what of it was given back already, and the dated policy that holds."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Final

from msgspec import Struct

from entrepot.aftersales.model import Return
from entrepot.aftersales.policy import ReturnAnswer, ReturnAnswerCode, ReturnPolicy, ReturnQuestion, answer_return, load_return_policies, policy_on
from entrepot.aftersales.store import read_taken_quantities
from entrepot.base.sql import Conn
from entrepot.base.time import on_date
from entrepot.customs.model import DeclarationKind, DeclarationState
from entrepot.customs.read import read_declarations_of_orders
from entrepot.flows.pay_back import LineCharge, LineKey, read_charges, read_line_charges
from entrepot.flows.reference import Reference
from entrepot.freight.read import read_delivered
from entrepot.operations.model import Channel, TaxHandling
from entrepot.operations.plan import Plan
from entrepot.orders.model import Allocation
from entrepot.orders.read import read_allocations

OrderKey = tuple[uuid.UUID, uuid.UUID]
STANDARD: Final = "standard"
CBEC: Final = "cbec"


class ReturnablePart(Struct, frozen=True):
    """Units of an allocated part that arrived: how many may still come back, since when, and when customs released them."""

    part: Allocation
    plan: Plan
    returnable: int
    delivered_at: datetime | None
    released_at: datetime | None
    declaration_id: uuid.UUID | None


class ReturnGround(Struct, frozen=True):
    """What returns are decided on: the charges of the orders and their parts, in order of part."""

    reference: Reference
    charges: Mapping[LineKey, LineCharge]
    parts: Mapping[LineKey, Sequence[ReturnablePart]]

    def find(self, key: LineKey, part_no: int) -> ReturnablePart:
        """Return one part of a line."""
        return next(one for one in self.parts[key] if one.part.part_no == part_no)

    def channel(self, key: LineKey) -> Channel:
        """Return the channel in which a line was sold."""
        return Channel(self.charges[key].order.channel_code)


@cache
def return_policies() -> tuple[ReturnPolicy, ...]:
    """Return the policies that ship with the product, read once."""
    return load_return_policies()


async def read_ground_of_returns(conn: Conn, reference: Reference, returns: Iterable[Return], refunded: Iterable[Return] = ()) -> ReturnGround:
    """Read and lock what returns are decided on: their lines, and the charges of all lines of the order of those that are refunded now."""
    keys = [(one.merchant_id, one.order_id, line.line_no) for one in returns for line in one.lines]
    return await read_return_ground(conn, reference, keys, [(one.merchant_id, one.order_id) for one in refunded])


async def read_return_ground(conn: Conn, reference: Reference, keys: Iterable[LineKey], refunded: Iterable[OrderKey] = ()) -> ReturnGround:
    """Read and lock what returns of order lines are decided on; of orders that are refunded now, the charges of all lines as well."""
    keys = sorted(set(keys))
    named = [key[0] for key in keys], [key[1] for key in keys], [key[2] for key in keys]
    orders = list(dict.fromkeys(key[:2] for key in keys))
    merchant_ids, order_ids = [key[0] for key in orders], [key[1] for key in orders]
    charges = await read_charges(conn, reference, sorted(set(refunded)))
    charges |= await read_line_charges(conn, reference, [key for key in keys if key not in charges])
    delivered = await read_delivered(conn, *named)
    taken = await read_taken_quantities(conn, merchant_ids, order_ids)
    released: dict[uuid.UUID | None, tuple[datetime, uuid.UUID]] = {}
    for one in await read_declarations_of_orders(conn, merchant_ids, order_ids):
        if one.state is DeclarationState.RELEASED and one.declaration.kind is DeclarationKind.IMPORT:
            released[one.declaration.consignment_id] = (one.state_at, one.declaration.declaration_id)
    parts: dict[LineKey, list[ReturnablePart]] = {}
    for part in await read_allocations(conn, *named):
        key = (part.merchant_id, part.order_id, part.line_no)
        line = charges[key].line
        plan = reference.registry.plan(line.model_code, line.plan_version)
        units, at = delivered.get((*key, part.part_no), (0, None))
        gone = taken.get(key[:2], {}).get((part.line_no, part.part_no), 0)
        released_at, declaration_id = released.get(part.consignment_id, (None, None))
        parts.setdefault(key, []).append(ReturnablePart(part, plan, units - gone, at, released_at, declaration_id))
    return ReturnGround(reference, charges, parts)


def choose_parts(ground: ReturnGround, key: LineKey, quantity: int) -> list[tuple[ReturnablePart, int]]:
    """Take units from a line's parts in order; the last part bears what is too much, so that the judgement names it."""
    parts = ground.parts.get(key, ())
    chosen: list[tuple[ReturnablePart, int]] = []
    for one in parts:
        units = min(quantity, one.returnable)
        if units > 0:
            chosen.append((one, units))
            quantity -= units
    if quantity and parts:
        last, units = chosen.pop() if chosen else (parts[-1], 0)
        chosen.append((last, units + quantity))
    return chosen


def judge_part(ground: ReturnGround, one: ReturnablePart, quantity: int, asked_at: datetime) -> ReturnAnswer:
    """Judge a wish for units of one part by the policy of the day on which its days began to run."""
    part = one.part
    order = ground.charges[part.merchant_id, part.order_id, part.line_no].order
    regime = CBEC if one.plan.model.tax_handling is TaxHandling.CBEC else STANDARD
    start = one.released_at if regime == CBEC else one.delivered_at
    zone = ground.reference.marketplaces[order.marketplace_code].time_zone
    policy = policy_on(return_policies(), regime, on_date(start or asked_at, zone))
    return answer_return(policy, ReturnQuestion(asked_at, one.delivered_at, one.released_at, quantity, one.returnable))


def judge_parts(ground: ReturnGround, chosen: Sequence[tuple[ReturnablePart, int]], asked_at: datetime) -> ReturnAnswer:
    """Judge all parts of a wish: the first refusal counts, else the earliest deadline."""
    answers = [judge_part(ground, one, quantity, asked_at) for one, quantity in chosen]
    refused = next((answer for answer in answers if not answer.is_allowed), None)
    if refused is not None or not answers:
        return refused or ReturnAnswer(ReturnAnswerCode.NOT_DELIVERED)
    return min(answers, key=lambda answer: answer.deadline_at or asked_at)
