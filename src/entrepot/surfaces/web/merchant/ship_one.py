"""One consignment that the merchant sends itself: confirm it with carrier and number, buy its label here, or decline it."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from litestar import Response, get, post
from litestar.datastructures import MultiDict
from litestar.params import FromPath
from litestar.response import Redirect
from wtforms import Form, SelectField, StringField
from wtforms.validators import InputRequired, Length, Regexp

from entrepot.base.errors import ConflictError, EntrepotError, UnknownReferenceError
from entrepot.base.money import Money
from entrepot.base.sql import Conn
from entrepot.flows.choose_units import CancelOutcome
from entrepot.flows.fulfil import ConfirmOutcome, MerchantShipment, answer_shipments
from entrepot.flows.outside import Outside
from entrepot.flows.ship_by import Decline, DeclineAnswer, decline_consignments
from entrepot.flows.ship_figures import WAITING
from entrepot.freight.cards import RateRequest
from entrepot.freight.model import ConsignmentKey, TrackingNumberTakenError
from entrepot.freight.read import read_consignments
from entrepot.operations.model import Role
from entrepot.surfaces.web.access import MERCHANTS, FormDep, Visitor, VisitorDep, actor_of, open_to
from entrepot.surfaces.web.forms import options, read_form
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.merchant.own import clock_tone, clock_words, led_to, merchant_of
from entrepot.surfaces.web.merchant.ship_queue import QUEUE, Waiting, describe
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.words import carrier_name

REASONS: Final = (
    ("", mark("Choose a reason")),
    ("out_of_stock", mark("Out of stock")),
    ("damaged", mark("Damaged before it left")),
    ("undeliverable_address", mark("The address cannot be delivered to")),
    ("price_error", mark("The price was wrong")),
)


class NotToShipError(UnknownReferenceError):
    """No parcel of yours waits under this id; open it from your queue."""


class LabelNotForSaleError(ConflictError):
    """No label is sold for this parcel; confirm it with the carrier and number of your own."""


class NothingToDeclineError(ConflictError):
    """The parcel has left or was cancelled; it cannot be declined any more."""


class ConfirmForm(Form):
    """Carrier and number of a parcel that left."""

    carrier = SelectField(mark("Carrier"), [InputRequired()], choices=[])
    tracking_number = StringField(
        mark("Tracking number"),
        [
            InputRequired(),
            Length(min=6, max=40, message=mark("Give 6 to 40 signs, as printed on the label.")),
            Regexp(r"^[A-Za-z0-9 \-]*$", message=mark("Use only letters, digits, blanks and hyphens.")),
        ],
        description=mark("As printed under the barcode of your label."),
    )


class DeclineForm(Form):
    """Why a consignment is not sent."""

    reason = SelectField(mark("Reason"), [InputRequired(mark("Choose why you cannot send it."))], choices=options(*REASONS))


@get("/merchant/ship/{consignment_id:uuid}", opt=open_to(MERCHANTS))
async def show_ship(house: HouseDep, visitor: VisitorDep, consignment_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show one consignment with everything needed to send it."""
    return await _show(house, visitor, consignment_id, None, None)


@post("/merchant/ship/{consignment_id:uuid}/confirm", status_code=200, opt=open_to(MERCHANTS))
async def confirm_ship(house: HouseDep, visitor: VisitorDep, form: FormDep, consignment_id: FromPath[uuid.UUID]) -> Response[str] | Redirect:
    """Take the merchant's word that the parcel left, with carrier and number; again it changes nothing."""
    sent = await _confirm_form(house, visitor, form)
    if not sent.validate():
        return await _show(house, visitor, consignment_id, sent, None, 422)
    number = str(sent.tracking_number.data).replace(" ", "").upper()
    try:
        outcome = await _ship(house, visitor, consignment_id, str(sent.carrier.data), number)
    except TrackingNumberTakenError as refusal:
        sent.tracking_number.errors = [mark("Another parcel has this number already; read it on the label again.")]
        return await _show(house, visitor, consignment_id, sent, None, refusal.status)
    return led_to(QUEUE, "confirmed" if outcome is ConfirmOutcome.NEW else "already")


@post("/merchant/ship/{consignment_id:uuid}/label", status_code=200, opt=open_to(MERCHANTS))
async def buy_label(house: HouseDep, visitor: VisitorDep, form: FormDep, consignment_id: FromPath[uuid.UUID]) -> Redirect:
    """Buy the label of the consignment's lane and take the parcel as handed over; again it buys nothing."""
    _ = form
    outcome = await _ship(house, visitor, consignment_id, None, None)
    if outcome in {ConfirmOutcome.LABEL_NOT_SOLD, ConfirmOutcome.LABEL_NOT_SERVED}:
        raise LabelNotForSaleError("consignment_id", str(consignment_id), "Confirm the parcel with the carrier and number of your own.")
    return led_to(QUEUE, "label" if outcome is ConfirmOutcome.NEW else "already")


@post("/merchant/ship/{consignment_id:uuid}/decline", status_code=200, opt=open_to(MERCHANTS))
async def decline_ship(house: HouseDep, visitor: VisitorDep, form: FormDep, consignment_id: FromPath[uuid.UUID]) -> Response[str] | Redirect:
    """Decline to send a consignment: its units are cancelled on the merchant's account and the buyer is paid back; again it changes nothing."""
    sent = read_form(DeclineForm, form, visitor.language)
    if not sent.validate():
        return await _show(house, visitor, consignment_id, None, sent, 422)
    merchant_id, reason = merchant_of(visitor), str(sent.reason.data)

    async def decline(conn: Conn) -> DeclineAnswer:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        return (await decline_consignments(conn, outside, [Decline(merchant_id, consignment_id, reason)], actor_of(visitor), now))[0]

    answer = await house.database.writing(decline)
    if answer.outcome is CancelOutcome.UNKNOWN:
        raise NotToShipError("consignment_id", str(consignment_id), "Open it from your queue.")
    if answer.outcome not in {CancelOutcome.DONE, CancelOutcome.EXISTS}:
        raise NothingToDeclineError("consignment_id", str(consignment_id), "Wait for the return, or offer the buyer a refund.")
    return led_to(QUEUE, "declined" if answer.outcome is CancelOutcome.DONE else "already")


async def _ship(house: House, visitor: Visitor, consignment_id: uuid.UUID, carrier: str | None, number: str | None) -> ConfirmOutcome:
    """Tell the flow that the parcel left; what is not this merchant's to send does not exist."""
    merchant_id = merchant_of(visitor)

    async def ship(conn: Conn) -> ConfirmOutcome:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        shipment = MerchantShipment(merchant_id, consignment_id, carrier, number, now)
        return (await answer_shipments(conn, outside, [shipment], actor_of(visitor), now))[0].outcome

    outcome = await house.database.writing(ship)
    if outcome in {ConfirmOutcome.UNKNOWN, ConfirmOutcome.NOT_THE_PACKER, ConfirmOutcome.NOT_RELEASED}:
        raise NotToShipError("consignment_id", str(consignment_id), "Open it from your queue.")
    return outcome


async def _confirm_form(house: House, visitor: Visitor, sent: MultiDict[str] | None, first: Mapping[str, object] | None = None) -> ConfirmForm:
    """Return the form with the carriers that are known here."""
    async with house.database.reading() as conn:
        outside = await house.outside.current(conn, await business_now(conn))
    form = read_form(ConfirmForm, sent, visitor.language, first)
    form.carrier.choices = options(*((code, carrier_name(code)) for code in sorted(outside.carriers)))
    return form


async def _show(
    house: House, visitor: Visitor, consignment_id: uuid.UUID, confirm: ConfirmForm | None, decline: DeclineForm | None, status: int = 200
) -> Response[str]:
    """Return the page, with forms as they were sent."""
    async with house.database.reading() as conn:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        found = await read_consignments(conn, [ConsignmentKey(merchant_of(visitor), consignment_id)])
        if not found or found[0].doer != Role.MERCHANT:
            raise NotToShipError("consignment_id", str(consignment_id), "Open it from your queue.")
        waiting = (await describe(conn, merchant_of(visitor), found, visitor.language))[0]
        place = outside.reference.network.place(waiting.consignment.place_code)
    form = confirm or await _confirm_form(house, visitor, None, {"carrier": waiting.consignment.carrier_code})
    due_at = waiting.consignment.ship_by_at
    values: dict[str, object] = {
        "one": waiting,
        "place": place,
        "confirm": form,
        "decline": decline or read_form(DeclineForm, None, visitor.language),
        "is_declining": decline is not None,
        "is_waiting": waiting.consignment.state in WAITING,
        "label": await _label_price(outside, waiting, now) if waiting.consignment.state in WAITING else None,
        "clock": clock_words(visitor.language, now, due_at),
        "tone": clock_tone(now, due_at),
    }
    return page("merchant/ship.html", visitor, values, status)


async def _label_price(outside: Outside, waiting: Waiting, now: datetime) -> Money | None:
    """Return what the carrier of the lane asks for the label, or None if none is sold here."""
    consignment = waiting.consignment
    plan = outside.reference.registry.plan(consignment.model_code, consignment.plan_version)
    carrier = outside.carriers.get(consignment.carrier_code)
    if not plan.label_may_be_bought_here or carrier is None:
        return None
    weight_g = sum(line.unit_weight_g * quantity for line, _, quantity in waiting.parts)
    origin = outside.reference.network.place(consignment.place_code).country_code
    try:
        quotes = (await carrier.quote_rates([RateRequest(origin, consignment.to_country_code, weight_g, 0, now.date())]))[0]
    except EntrepotError:
        return None
    asked = [quote for quote in quotes if quote.service_code == consignment.service_code]
    return Money(asked[0].cost_minor, asked[0].currency) if asked else None
