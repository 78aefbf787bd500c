"""What a buyer's form about some units of an order says: which units, why, and the key that lets it count once."""

import uuid
from collections.abc import Collection, Mapping

from msgspec import Struct

from entrepot.base.ids import RandomIds
from entrepot.base.time import at_ms
from entrepot.orders.model import Order
from entrepot.surfaces.web.access import Visitor
from entrepot.surfaces.web.house import House, business_now
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.store.order_pages import own_order

NOTHING_CHOSEN = mark("Choose at least one item.")
_NO_REASON = mark("Choose a reason.")
_KEY_LENGTH = 64
_FIELD = "units-"
_MOST_DIGITS = 6


def chosen_units(form: Mapping[str, str]) -> dict[int, int]:
    """Return the units chosen by line of an order; what is none or no number is left out."""
    chosen: dict[int, int] = {}
    for name, value in form.items():
        line = name.removeprefix(_FIELD)
        is_number = line.isdecimal() and value.isdecimal() and max(len(line), len(value)) <= _MOST_DIGITS
        if name.startswith(_FIELD) and is_number and int(value):
            chosen[int(line)] = int(value)
    return dict(sorted(chosen.items()))


class SentUnits(Struct, frozen=True):
    """Units by line, the reason and the key of a form, with what is wrong with them by field."""

    units: Mapping[int, int]
    reason: str
    key: str
    faults: Mapping[str, str]

    @property
    def shown(self) -> dict[str, object]:
        """What the form shows again."""
        return {"request_key": self.key, "reason": self.reason, "units": self.units}


def read_sent_units(form: Mapping[str, str], language: Language, reasons: Collection[str]) -> SentUnits:
    """Return what a form says, and what is missing in it."""
    units, reason = chosen_units(form), form.get("reason", "")
    faults: dict[str, str] = {}
    if not units:
        faults["units"] = language.gettext(NOTHING_CHOSEN)
    if reason not in reasons:
        faults["reason"] = language.gettext(_NO_REASON)
    return SentUnits(units, reason, form.get("request_key", "")[:_KEY_LENGTH], faults)


async def read_own_order(house: House, visitor: Visitor, merchant_id: uuid.UUID, order_id: uuid.UUID) -> tuple[Order, SentUnits]:
    """Return a buyer's own order, and an empty form about it under a fresh key."""
    async with house.database.reading() as conn:
        order = await own_order(conn, visitor, merchant_id, order_id)
        key = RandomIds().new(at_ms(await business_now(conn))).hex
    return order, SentUnits({}, "", key, {})
