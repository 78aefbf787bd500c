"""Quotes: planned checkouts that are shown and kept for a while; `plan_checkout` holds an order to the quote that it names."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from entrepot.base.errors import EntrepotError
from entrepot.base.sql import Conn
from entrepot.flows.plan_checkout import CheckoutPlan, PlannedLine
from entrepot.orders.quotes import Quote, insert_quotes

VALID_FOR: Final = timedelta(minutes=15)


async def keep_quotes(conn: Conn, plans: Sequence[CheckoutPlan | EntrepotError]) -> list[Quote | EntrepotError]:
    """Keep what planned checkouts would cost, each under its own id; what cannot be had stays a refusal. Nothing is held."""
    told = [_quote(plan) if isinstance(plan, CheckoutPlan) else plan for plan in plans]
    quotes = [one for one in told if isinstance(one, Quote)]
    if quotes:
        await insert_quotes(conn, quotes)
    return told


def _quote(plan: CheckoutPlan) -> Quote:
    """Return a plan as it is kept and shown."""
    request = plan.request
    return Quote(
        request.person_id,
        request.checkout_id,
        request.marketplace_code,
        plan.currency,
        plan.total_minor,
        request.at,
        request.at + VALID_FOR,
        {"to": request.to_country_code, "lines": [_shown_line(line, plan) for line in plan.lines]},
    )


def _shown_line(line: PlannedLine, plan: CheckoutPlan) -> dict[str, object]:
    """Return what a quote shows of a line: amounts for all its units in minor units, and the parcels with their windows as dates."""
    windows = {one.consignment_id: one for one in plan.consignments}
    return {
        "merchant_id": str(line.ask.merchant_id),
        "offer_id": str(line.ask.offer_id),
        "quantity": line.ask.quantity,
        "model": line.plan.model_code,
        "unit_price_minor": line.unit_price_minor,
        "goods_minor": line.goods_minor,
        "freight_minor": line.freight_minor,
        "tax_minor": line.tax_on_top_minor,
        "duty_minor": line.duty_minor,
        "charged_minor": line.charged_minor,
        "parcels": [
            {
                "place": windows[consignment_id].place.place_code,
                "service": windows[consignment_id].lane.service_code,
                "quantity": part.quantity,
                "ship_by": windows[consignment_id].window.ship_by_at.isoformat(),
                "from": windows[consignment_id].window.from_on.isoformat(),
                "to": windows[consignment_id].window.to_on.isoformat(),
            }
            for consignment_id, part in zip(line.consignment_ids, line.parts, strict=True)
        ],
    }
