"""What stands against an order, as shoppers are told in their own language: a sentence and what to do."""

from collections.abc import Mapping
from typing import Final

from entrepot.base.errors import EntrepotError
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.words import told

_TOLD: Final[Mapping[str, tuple[str, str]]] = {
    "not_enough_units": (mark("Fewer of this can be delivered to you than you ask for."), mark("Choose fewer, or another offer.")),
    "offer_not_live": (mark("This offer is no longer for sale here."), mark("Take it out of the basket, or look for another offer.")),
    "no_rule_on_date": (mark("We cannot send this to that country yet."), mark("Choose another delivery country.")),
    "no_tax_rule": (mark("We cannot sell this to that country yet."), mark("Choose another delivery country.")),
    "cbec_order_over_limit": (mark("One order of retail imports may count at most CNY 5,000."), mark("Split it into two orders.")),
    "cbec_year_over_limit": (mark("This is more than is left of your import limit this year."), mark("Order less, or wait for next year.")),
    "payment_declined": (mark("The payment was declined."), mark("Pay with another method.")),
    "identity_missing": (mark("Customs needs a verified identity of the buyer."), mark("Give the name and the identity number.")),
    "risk_notice_missing": (mark("These goods need your consent."), mark("Read and accept the risk notice.")),
    "key_used_for_other_request": (mark("This page was used before with other values."), mark("Open the checkout again from your basket.")),
    "price_changed": (mark("The price or a date changed while you were here."), mark("Look at the new total, then pay.")),
    "basket_full": (mark("Your basket is full."), mark("Order or remove some items first.")),
}


def explain(language: Language, error: EntrepotError) -> str:
    """Return what an error means for a shopper and what to do about it; an error that shoppers rarely meet speaks for itself."""
    if error.code not in _TOLD:
        return told(language, error)
    cause, remedy = _TOLD[error.code]
    return language.gettext("%(cause)s %(remedy)s", cause=language.gettext(cause), remedy=language.gettext(remedy))
