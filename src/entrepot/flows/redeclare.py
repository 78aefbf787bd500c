"""When the goods of a consignment become fewer: declarations that say too much are taken back, the next version follows as due work."""

from collections.abc import Sequence
from datetime import datetime

from entrepot.base.due import Due, add_due, finish_due
from entrepot.base.sql import Conn
from entrepot.customs.declare import CancelAsk, cancel_declarations
from entrepot.customs.model import DeclarationState
from entrepot.customs.read import StoredDeclaration, read_declarations_of_orders
from entrepot.customs.withdraw import withdraw_declarations
from entrepot.flows.customs_papers import LIVE, Case, read_cases
from entrepot.flows.outside import Outside
from entrepot.flows.release import DECLARE
from entrepot.flows.year_quota import fit_years, use_years
from entrepot.freight.model import ConsignmentKey
from entrepot.freight.read import read_consignments

GIVE_UP = "give_up_held"


async def redeclare(conn: Conn, outside: Outside, keys: Sequence[ConsignmentKey], now: datetime) -> None:
    """Bring declarations and quota in line with what is left of consignments after a cancellation; what fits already stays.

    An undecided declaration is cancelled, a released one withdrawn. What is left to declare is due at once, as the next version.
    """
    found = await read_consignments(conn, sorted(set(keys), key=lambda key: (key.merchant_id, key.consignment_id)))
    consignments = [one for one in found if one.customs_regime_code is not None]
    orders = sorted({(one.merchant_id, one.order_id) for one in consignments})
    if not orders:
        return
    cases = {case.key: case for case in await read_cases(conn, outside.reference, orders)}
    stored = await read_declarations_of_orders(conn, [key[0] for key in orders], [key[1] for key in orders])
    wanted = {ConsignmentKey(one.merchant_id, one.consignment_id) for one in consignments}
    live: dict[ConsignmentKey, list[StoredDeclaration]] = {}
    for one in stored:
        if one.state in LIVE and _key_of(one) in wanted:
            live.setdefault(_key_of(one), []).append(one)
    changed = [key for key, found in live.items() if not _says_what_is_left(found, cases.get(key))]
    wrong = [one for key in changed for one in live[key]]
    await take_back(conn, wrong, "goods_changed", now)
    again = [cases[key] for key in changed if key in cases]
    await add_due(conn, [Due(one.key.merchant_id, DECLARE, one.key.consignment_id, now, one.work.order.person_id) for one in again])
    gone = [key for key in wanted if key not in cases]
    await finish_due(conn, [Due(key.merchant_id, step, key.consignment_id, now) for key in gone for step in (DECLARE, GIVE_UP)])
    await fit_years(conn, outside.reference, orders, now)
    await use_years(conn, outside.reference, orders, now)


def _key_of(stored: StoredDeclaration) -> ConsignmentKey:
    """Return the consignment that a declaration belongs to."""
    one = stored.declaration
    return ConsignmentKey(one.merchant_id, one.consignment_id or one.declaration_id)


def _says_what_is_left(stored: Sequence[StoredDeclaration], case: Case | None) -> bool:
    """Tell whether the live declarations of each kind together declare exactly the pieces that are left."""
    if case is None:
        return False
    declared: dict[str, dict[int, int]] = {}
    for one in stored:
        declared.setdefault(one.declaration.kind, {}).update({line.line_no: line.quantity for line in one.declaration.lines})
    return all(pieces == case.papers.quantities for pieces in declared.values())


async def take_back(conn: Conn, stored: Sequence[StoredDeclaration], cause_code: str, now: datetime) -> None:
    """End live declarations: withdraw the released ones, cancel the others."""
    asks = {one.declaration.declaration_id: CancelAsk(one.declaration.merchant_id, one.declaration.declaration_id, cause_code) for one in stored}
    released = [one.declaration.declaration_id for one in stored if one.state is DeclarationState.RELEASED]
    if released:
        await withdraw_declarations(conn, [asks.pop(declaration_id) for declaration_id in released], now)
    if asks:
        await cancel_declarations(conn, list(asks.values()), now)
