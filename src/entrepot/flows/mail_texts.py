"""The texts of mails to buyers: pure, marked for the catalogues and said in the reader's language, with the order's number."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from entrepot.base.money import Money
from entrepot.base.phrases import Voice, mark


class MailText(Struct, frozen=True):
    """What a mail says."""

    subject: str
    body: str


class MailFacts(Struct, frozen=True):
    """What the texts may mention: the fact, who reads, which order, the money it is about, and the parcel's carrier and number where there is one."""

    fact_code: str
    name: str
    order_number: str
    money: Money
    carrier_code: str = ""
    tracking_number: str = ""


def render_mail(facts: MailFacts, voice: Voice) -> MailText:
    """Return the text for a fact in the reader's language; each fact that buyers are mailed has one."""
    subject, *paragraphs = _TEXTS[facts.fact_code]
    number, amount = facts.order_number, voice.money(facts.money.minor, facts.money.currency)
    said = [voice.gettext(text, number=number, amount=amount) for text in paragraphs]
    if facts.tracking_number and facts.fact_code in _OF_PARCELS:
        said.insert(1, voice.gettext(_TRACKING, carrier=facts.carrier_code, number=facts.tracking_number))
    body = "\n\n".join([voice.gettext(_GREETING, name=facts.name), *said, voice.gettext(_ORDER, number=number)])
    return MailText(voice.gettext(subject, number=number), f"{body}\n")


_GREETING: Final = mark("Dear %(name)s,")
_ORDER: Final = mark("Your order: %(number)s")
_TRACKING: Final = mark("Carrier: %(carrier)s\nTracking number: %(number)s")

_OF_PARCELS: Final = frozenset({"parcel_shipped", "parcel_delivered"})
_TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "order_placed": (
        mark("Your order %(number)s"),
        mark("Thank you for your order. It comes to %(amount)s, with tax and duty.\nWe write to you again when it is on its way."),
    ),
    "parcel_shipped": (mark("Your order %(number)s is on its way"), mark("A parcel of your order has left.")),
    "parcel_delivered": (
        mark("Your order %(number)s was delivered"),
        mark("A parcel of your order was delivered."),
        mark("If it is not there or not as it should be, tell us on the page of your order."),
    ),
    "money_returned": (mark("Your money for order %(number)s"), mark("We have returned %(amount)s to you, by the way you paid.")),
}
