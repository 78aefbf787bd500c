"""The forms by which an order is held and released."""

from wtforms import Form, SelectField, TextAreaField
from wtforms.validators import InputRequired, Length, ValidationError

from entrepot.orders.hold import LONGEST_NOTE, HoldReason
from entrepot.surfaces.web.forms import options
from entrepot.surfaces.web.languages import mark


class HoldForm(Form):
    """Why an order is held."""

    reason = SelectField(
        mark("Reason"),
        choices=options(
            (str(HoldReason.PAYMENT_REVIEW), mark("Payment is being reviewed")),
            (str(HoldReason.ADDRESS_CHECK), mark("Address must be checked")),
            (str(HoldReason.BUYER_ASKED), mark("The buyer asked for it")),
            (str(HoldReason.STOCK_CHECK), mark("Stock must be checked")),
            (str(HoldReason.COMPLIANCE_CHECK), mark("Compliance must look at it")),
            (str(HoldReason.OTHER_REASON), mark("Another reason")),
        ),
    )
    note = TextAreaField(mark("Note"), [Length(max=LONGEST_NOTE)], description=mark("Stays inside the house; needed for another reason."))

    def validate_note(self, field: TextAreaField) -> None:
        """Ask for the note that another reason needs."""
        if self.reason.data == HoldReason.OTHER_REASON and not (field.data or "").strip():
            raise ValidationError(mark("Write why the order is held."))


class ReleaseForm(Form):
    """Why a held order goes on."""

    note = TextAreaField(mark("Why it goes on"), [InputRequired(), Length(max=LONGEST_NOTE)])
