"""What a cancellation or a return would bring, shown to the buyer before it is asked for; nothing is changed, only locked while it is judged."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.aftersales.model import ReturnChoice, ReturnState
from entrepot.aftersales.policy import ReturnAnswerCode
from entrepot.aftersales.refund_share import LeviesRule, refund_units
from entrepot.base.sql import Conn
from entrepot.flows.choose_units import CancelAsk, CancelOutcome, choose_units, read_cancel_ground
from entrepot.flows.judge_return import ReturnGround, read_return_ground
from entrepot.flows.outside import Outside
from entrepot.flows.return_goods import ReturnWish, decide_wish
from entrepot.orders.model import OrderState


class ForeseenCancel(Struct, frozen=True):
    """What an ask to cancel would bring: done or why not, and the money that goes back in minor units of the charged currency."""

    ask: CancelAsk
    outcome: CancelOutcome
    refund_minor: int


class ForeseenReturn(Struct, frozen=True):
    """What a wish to return would bring: allowed or why not, until when the goods must be back, who takes and who decides, and the money."""

    code: str
    refund_minor: int = 0
    deadline_at: datetime | None = None
    taker_role: str = ""
    decider_role: str = ""

    @property
    def is_allowed(self) -> bool:
        """Whether the return may be asked for."""
        return self.code == ReturnState.REQUESTED


async def foresee_cancel(conn: Conn, outside: Outside, asks: Sequence[CancelAsk]) -> list[ForeseenCancel]:
    """Judge asks to cancel as `cancel_units` would; of what was not paid yet nothing goes back."""
    ground = await read_cancel_ground(conn, outside.reference, [ask.order_key for ask in asks])
    charges = dict(ground.charges)
    foreseen: list[ForeseenCancel] = []
    for choice in choose_units(ground, asks):
        ask = choice.ask
        refund_minor = 0
        if choice.outcome is CancelOutcome.DONE and ground.orders[ask.order_key].state != OrderState.AWAITING_PAYMENT:
            amounts = charges[ask.line_key].share(ask.quantity)
            charges[ask.line_key] = charges[ask.line_key].after(ask.quantity, amounts)
            refund_minor = amounts.total_minor
        foreseen.append(ForeseenCancel(ask, choice.outcome, refund_minor))
    return foreseen


async def foresee_return(conn: Conn, outside: Outside, wish: ReturnWish, now: datetime) -> ForeseenReturn:
    """Judge a wish to return as `ask_returns` would; the money is what comes when everything is back in time.

    Destroying goods where they are is only offered for what came over a customs border.
    """
    ground = await read_return_ground(conn, outside.reference, [(*wish.order_key, line_no) for line_no, _ in wish.units], [wish.order_key])
    requests, answer = decide_wish(ground, wish, now)
    if not requests:
        return ForeseenReturn(answer.code)
    if wish.choice is ReturnChoice.DESTROY and not _crossed_border(ground, wish):
        return ForeseenReturn(ReturnAnswerCode.NOT_RETURNABLE)
    units = {line_no: min(count, _left(ground, wish, line_no)) for line_no, count in wish.units}
    due = {line_no: count for line_no, count in units.items() if count > 0}
    mine = [charge for key, charge in ground.charges.items() if key[:2] == wish.order_key]
    lines = refund_units([charge.gone for charge in mine], due, levies_rule=_levies(ground, wish)) if due else ()
    first = requests[0]
    return ForeseenReturn(answer.code, sum(line.amounts.total_minor for line in lines), answer.deadline_at, first.taker_role, first.decider_role)


def _crossed_border(ground: ReturnGround, wish: ReturnWish) -> bool:
    """Tell whether the goods came over a customs border, so that sending them back may cost more than they are worth."""
    network, keys = ground.reference.network, [(*wish.order_key, line_no) for line_no, _ in wish.units]
    places = [(one.part.place_code, ground.charges[key].order.to_country_code) for key in keys for one in ground.parts.get(key, ())]
    return bool(places) and all(network.crosses_border(*pair) for pair in places)


def _left(ground: ReturnGround, wish: ReturnWish, line_no: int) -> int:
    charge = ground.charges[wish.merchant_id, wish.order_id, line_no]
    return charge.line.quantity - charge.gone.refunded_quantity


def _levies(ground: ReturnGround, wish: ReturnWish) -> LeviesRule:
    """Return that tax goes back with goods that come back, and that an office keeps the tax of retail imports that are destroyed."""
    plans = [one.plan for line_no, _ in wish.units for one in ground.parts.get((*wish.order_key, line_no), ())]
    is_kept = wish.choice is ReturnChoice.DESTROY and any(plan.uses_quota for plan in plans)
    return LeviesRule.KEPT_BY_THE_OFFICE if is_kept else LeviesRule.WITH_THE_GOODS
