"""The texts of mails to buyers: pure, in English, with the order's number."""

from collections.abc import Mapping

from msgspec import Struct

from entrepot.base.money import Money, major


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


def render_mail(facts: MailFacts) -> MailText:
    """Return the text for a fact; each fact that buyers are mailed has one."""
    subject, sentences = _TEXTS[facts.fact_code]
    values = {
        "number": facts.order_number,
        "amount": f"{major(facts.money.minor, facts.money.currency):f} {facts.money.currency}",
        "tracking": f"Carrier: {facts.carrier_code}\nTracking number: {facts.tracking_number}\n" if facts.tracking_number else "",
    }
    return MailText(subject.format_map(values), f"Dear {facts.name},\n\n{sentences.format_map(values).strip()}\n\nYour order: {facts.order_number}\n")


_TEXTS: Mapping[str, tuple[str, str]] = {
    "order_placed": (
        "Your order {number}",
        "Thank you for your order. It comes to {amount}, with tax and duty.\nWe write to you again when it is on its way.",
    ),
    "parcel_shipped": ("Your order {number} is on its way", "A parcel of your order has left.\n\n{tracking}"),
    "parcel_delivered": (
        "Your order {number} was delivered",
        "A parcel of your order was delivered.\n\n{tracking}\nIf it is not there or not as it should be, tell us on the page of your order.",
    ),
    "money_returned": ("Your money for order {number}", "We have returned {amount} to you, by the way you paid."),
}
