"""Who the merchant of a request is, and what its pages say after something was done: both come from the session and our own code, never from a form."""

import secrets
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from litestar.response import Redirect

from entrepot.base.sql import Conn
from entrepot.parties.accounts import StaffRole
from entrepot.parties.model import Merchant
from entrepot.parties.store import read_merchants
from entrepot.surfaces.web.access import Audience, PageForbiddenError, Visitor, WebRequest, require_member
from entrepot.surfaces.web.languages import Language, mark

OWNERS: Final[Audience] = frozenset({StaffRole.MERCHANT_OWNER})
"""Who may change what binds the merchant: numbers, sites and who works for it."""

_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_DONE: Final[Mapping[str, tuple[str, str]]] = {
    "confirmed": ("success", mark("Confirmed. The parcel is on its way and the buyer is told.")),
    "label": ("success", mark("Label bought. The parcel is on its way and its cost stands among the fees.")),
    "labels": ("success", mark("Labels bought for all selected orders.")),
    "some_labels": ("warning", mark("Some labels could not be bought; what is left still waits below.")),
    "declined": ("success", mark("Declined. The buyer gets the money back and the units are free again.")),
    "already": ("info", mark("That was done before; nothing changed.")),
    "approved": ("success", mark("Approved. The buyer is asked to send it.")),
    "return_refused": ("success", mark("Refused. The buyer reads why.")),
    "graded": ("success", mark("Graded. The buyer is paid back for what came.")),
    "answered": ("success", mark("Your answer is sent.")),
    "listed": ("success", mark("All rows are applied.")),
    "offers": ("success", mark("The offers are changed.")),
    "counted": ("success", mark("The new figure holds.")),
    "stale": ("warning", mark("A newer figure was told meanwhile; nothing changed.")),
    "number": ("success", mark("The number is kept.")),
    "filed": ("success", mark("Filed. You are told as soon as it is decided.")),
    "opened": ("success", mark("The model is open; you can offer your SKUs by it now.")),
    "colleague": ("success", mark("The account is open; its owner can sign in now.")),
    "closed": ("success", mark("The account is closed and its sessions have ended.")),
}
"""What a page says when a form led back to it, by a code in the address."""

SPOKEN: Final = (
    *(mark("Receipt"), mark("Deliver"), mark("Ship"), mark("Pick"), mark("Pack"), mark("Stow"), mark("Count"), mark("Word"), mark("Grade")),
    *(mark("Sale"), mark("Release"), mark("Shipment"), mark("Declaration"), mark("Label bought"), mark("Size tier"), mark("Percent")),
    *(mark("Percent of price"), mark("Per item"), mark("Per order"), mark("Per contact"), mark("Pass through"), mark("Weight step")),
    *(mark("Share of fee"), mark("Seen"), mark("Derived"), mark("Demo"), mark("Band"), mark("Tier"), mark("Category"), mark("Price")),
    *(mark("Order units"), mark("Weight g"), mark("Unit"), mark("Cost"), mark("Confirm shipment"), mark("Post message"), mark("Open thread")),
    *(mark("Cancel units"), mark("Decline consignment"), mark("Declare stock")),
)
"""What causes of moves, bases and inputs of fees and commands are called: codes in the books that no enumeration lists."""


def merchant_of(visitor: Visitor) -> uuid.UUID:
    """Return the merchant that the visitor works for."""
    member = require_member(visitor)
    if visitor.merchant_id is None:
        raise PageForbiddenError("role", str(member.role), "Sign in as a member of a merchant.")
    return visitor.merchant_id


async def read_own(conn: Conn, visitor: Visitor) -> Merchant:
    """Return the merchant that the visitor works for, as it is registered."""
    merchant_id = merchant_of(visitor)
    return (await read_merchants(conn, [merchant_id]))[merchant_id]


def led_to(path: str, done: str) -> Redirect:
    """Lead to a page that says what was done."""
    return Redirect(f"{path}{'&' if '?' in path else '?'}done={done}", status_code=303)


def told_by(request: WebRequest) -> tuple[str, str] | None:
    """Return the tone and the marked text of what was just done, if the address says so."""
    return _DONE.get(request.query_params.get("done", ""))


def request_key() -> str:
    """Return a key for a form, so that sending it twice counts once."""
    return secrets.token_urlsafe(12)


def clock_words(language: Language, now: datetime, due_at: datetime) -> str:
    """Return how long is left, or since when it is late."""
    seconds = int((due_at - now).total_seconds())
    days, hours, minutes = abs(seconds) // _DAY_S, abs(seconds) // _HOUR_S, abs(seconds) // 60
    if seconds < 0:
        if days:
            return language.ngettext("%(num)s day late", "%(num)s days late", days)
        return language.ngettext("%(num)s hour late", "%(num)s hours late", max(1, hours))
    if days >= 2:
        return language.ngettext("%(num)s day left", "%(num)s days left", days)
    if hours:
        return language.ngettext("%(num)s hour left", "%(num)s hours left", hours)
    return language.ngettext("%(num)s minute left", "%(num)s minutes left", minutes)


def clock_tone(now: datetime, due_at: datetime) -> str:
    """Return the tone of a deadline: late, close or far."""
    seconds = (due_at - now).total_seconds()
    return "danger" if seconds < 0 else "warning" if seconds < 12 * _HOUR_S else "neutral"
