"""What a batch of consignments is declared on: orders, shares, who ordered and paid, the platform's parties and earlier declarations, each read once."""

import uuid
from collections.abc import Sequence

from msgspec import Struct

from entrepot.base.sql import Conn
from entrepot.catalogue.store import find_offers
from entrepot.customs.model import DeclarationState
from entrepot.customs.read import StoredDeclaration, read_declarations_of_orders
from entrepot.flows.declare_lines import Papers, Share, shares_of
from entrepot.flows.plan_checkout import AT_SALE_REGIMES
from entrepot.flows.reference import Reference
from entrepot.flows.release import OrderWork, read_work
from entrepot.freight.model import ConsignmentKey, ConsignmentState
from entrepot.freight.read import read_consignments
from entrepot.orders.pay import read_checkouts, read_payers, read_payments
from entrepot.parties.store import read_role_holders
from entrepot.settlement.store import read_tax_regimes

OrderKey = tuple[uuid.UUID, uuid.UUID]

LIVE: frozenset[DeclarationState] = frozenset(
    {DeclarationState.DRAFTED, DeclarationState.SUBMITTED, DeclarationState.HELD, DeclarationState.RELEASED}
)
"""States of a declaration that says something about its goods."""
UNDECIDED = LIVE - {DeclarationState.RELEASED}


class Case(Struct, frozen=True):
    """A consignment that customs must see, with its papers, how far it is, and the declarations made for it so far."""

    papers: Papers
    state: ConsignmentState
    stored: tuple[StoredDeclaration, ...]

    @property
    def work(self) -> OrderWork:
        """The consignment as whoever packs it knows it."""
        return self.papers.work

    @property
    def key(self) -> ConsignmentKey:
        """The consignment's key."""
        return ConsignmentKey(self.work.order.merchant_id, self.work.consignment_id)

    @property
    def order_key(self) -> OrderKey:
        """The order's key."""
        return self.work.order.merchant_id, self.work.order.order_id

    @property
    def version(self) -> int:
        """The latest version that was declared, 0 if none."""
        return max((one.declaration.version for one in self.stored), default=0)

    @property
    def latest(self) -> tuple[StoredDeclaration, ...]:
        """The declarations of the latest version."""
        return tuple(one for one in self.stored if one.declaration.version == self.version)

    @property
    def is_refused(self) -> bool:
        """Whether customs refused a declaration of the latest version."""
        return any(one.state is DeclarationState.REFUSED for one in self.latest)

    @property
    def is_released(self) -> bool:
        """Whether customs released every declaration of the latest version."""
        return bool(self.latest) and all(one.state is DeclarationState.RELEASED for one in self.latest)


async def read_cases(conn: Conn, reference: Reference, order_keys: Sequence[OrderKey]) -> list[Case]:
    """Read the consignments of orders that customs must see and that are not cancelled, in order of order and consignment."""
    keys = sorted(set(order_keys))
    work = await read_work(conn, reference, keys)
    if not any(one.regime_code is not None for one in work):
        return []
    papers = await _read_papers(conn, work)
    merchant_ids, order_ids = [key[0] for key in keys], [key[1] for key in keys]
    stored: dict[uuid.UUID | None, list[StoredDeclaration]] = {}
    for one in await read_declarations_of_orders(conn, merchant_ids, order_ids):
        stored.setdefault(one.declaration.consignment_id, []).append(one)
    states = await _read_states(conn, work)
    return [
        Case(one, states[one.work.consignment_id], tuple(stored.get(one.work.consignment_id, ())))
        for one in papers
        if one.work.regime_code is not None and one.work.consignment_id in states
    ]


async def _read_states(conn: Conn, work: Sequence[OrderWork]) -> dict[uuid.UUID, ConsignmentState]:
    """Return how far consignments are."""
    rows = await read_consignments(conn, [ConsignmentKey(one.order.merchant_id, one.consignment_id) for one in work])
    return {row.consignment_id: row.state for row in rows}


async def _read_papers(conn: Conn, work: Sequence[OrderWork]) -> list[Papers]:
    """Read what declarations of this work say beyond the work itself."""
    orders = {one.order.order_id: one.order for one in work}
    persons, checkout_ids = [order.person_id for order in orders.values()], [order.checkout_id for order in orders.values()]
    checkouts = {one.checkout_id: one for one in await read_checkouts(conn, persons, checkout_ids)}
    payments = {one.checkout_id: one.payment_id for one in await read_payments(conn, persons, checkout_ids)}
    payers = await read_payers(conn, persons, checkout_ids)
    holders = await read_role_holders(conn, sorted({order.marketplace_code for order in orders.values()}))
    regimes = await read_tax_regimes(conn, [order.merchant_id for order in orders.values()], list(orders))
    shares = await _read_shares(conn, work)
    return [
        Papers(
            one,
            shares[one.order.order_id][one.consignment_id],
            checkouts[one.order.checkout_id].identity_id,
            payers.get(one.order.checkout_id),
            payments[one.order.checkout_id],
            holders,
            all(regimes.get((line.merchant_id, line.order_id, line.line_no)) in AT_SALE_REGIMES for _, line in one.parts),
        )
        for one in work
    ]


async def _read_shares(conn: Conn, work: Sequence[OrderWork]) -> dict[uuid.UUID, dict[uuid.UUID, tuple[Share, ...]]]:
    """Return the shares of consignments by order and consignment."""
    wanted = sorted({(line.merchant_id, line.offer_id) for one in work for _, line in one.parts})
    offers = {offer.offer_id: offer for offer in await find_offers(conn, [pair[0] for pair in wanted], [pair[1] for pair in wanted])}
    by_order: dict[uuid.UUID, list[OrderWork]] = {}
    for one in work:
        by_order.setdefault(one.order.order_id, []).append(one)
    return {order_id: shares_of(members, offers) for order_id, members in by_order.items()}
