"""What the checkout's form says, and what is wrong with it: every field is judged, so that all is told at once."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from litestar.datastructures import MultiDict
from msgspec import Struct
from msgspec.structs import replace

from entrepot.adapters.payment_provider import METHODS
from entrepot.base.errors import EntrepotError, RefusedInputError
from entrepot.base.ids import derived_id
from entrepot.catalogue.model import Marketplace
from entrepot.customs.resident_id import require_resident_id
from entrepot.operations.model import Channel
from entrepot.orders.basket import BasketLine
from entrepot.orders.model import OrderRequest
from entrepot.parties.people import IdentityFacts, OpenedAddress
from entrepot.parties.postal import AddressDraft, AddressFault, AddressField, address_faults
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.quotes import postcode_prefix
from entrepot.surfaces.web.store.basket_pages import read_line
from entrepot.surfaces.web.store.door import draft_of, read_draft
from entrepot.surfaces.web.storefront import deliverable

NEW_ADDRESS: Final = "new"
_NAME_MISSING: Final = mark("Write the name as it stands on the card.")
_NOT_ACCEPTED: Final = mark("Read and accept the risk notice.")
_NO_METHOD: Final = mark("Choose a payment method.")
_NO_IDENTITY: Final = mark("Give name and resident identity number before ordering.")

RESIDENT_FAULTS: Final = (
    mark("Give all 18 characters."),
    mark("The first 17 characters are digits."),
    mark("Characters 7 to 14 are the date of birth, year first."),
    mark("Compare each digit with the card; the last character does not fit the others."),
)
"""What the check of a resident number asks for, so that the catalogues hold it."""


class PriceChangedError(RefusedInputError):
    """The order would not cost what its page showed; nothing was ordered."""

    status = 409


class Wish(Struct, frozen=True):
    """What the form says: the lines, where to, how paid, and what customs asks for; `shown_minor` is the total that the page showed."""

    store: str
    lines: tuple[BasketLine, ...]
    is_basket: bool
    address_code: str
    draft: AddressDraft
    method_code: str
    identity_name: str
    identity_number: str
    has_accepted_risk: bool
    request_key: str
    shown_minor: int | None

    @property
    def door(self) -> tuple[str, str]:
        """Country and postcode."""
        return self.draft.country_code, self.draft.postcode


def read_wish(form: MultiDict[str], marketplace: Marketplace, addresses: list[OpenedAddress]) -> Wish:
    """Read the checkout's form; a saved address that was chosen is filled in."""
    shown = form.get("shown_total", "")
    wish = Wish(
        marketplace.marketplace_code,
        tuple(_line(text) for text in form.getall("line", [])),
        form.get("basket", "") == "yes",
        form.get("address", NEW_ADDRESS),
        read_draft(_fields(form), deliverable(marketplace, form.get("country", ""))),
        form.get("method", ""),
        form.get("identity_name", "").strip()[:100],
        form.get("identity_number", "").strip()[:40],
        form.get("risk", "") == "accepted",
        form.get("request_key", "")[:64],
        int(shown) if shown.isdecimal() and len(shown) < 18 else None,
    )
    return with_saved_address(wish, marketplace, addresses)


def with_saved_address(wish: Wish, marketplace: Marketplace, addresses: list[OpenedAddress]) -> Wish:
    """Return a wish with the saved address that it names, if the buyer has it and the store delivers there; else with a new one."""
    chosen = next((one for one in addresses if str(one.facts.address_id) == wish.address_code), None)
    if chosen is None or chosen.facts.country_code not in marketplace.destination_codes:
        return replace(wish, address_code=NEW_ADDRESS)
    return replace(wish, draft=draft_of(chosen))


def _fields(form: MultiDict[str]) -> Mapping[str, str]:
    return {str(field): form.get(str(field), "") for field in AddressField}


def _line(text: str) -> BasketLine:
    merchant, _, rest = text.partition(":")
    offer, _, quantity = rest.partition(":")
    return read_line({"merchant": merchant, "offer": offer, "quantity": quantity})


def faults_of_address(wish: Wish) -> dict[AddressField, AddressFault]:
    """Return what is wrong with the address, by field."""
    return address_faults(wish.draft)


def faults_of_wish(wish: Wish, needs: tuple[bool, bool], known: Sequence[IdentityFacts]) -> dict[str, str]:
    """Return what is wrong with identity, consent and payment, by field as marked texts; `needs` says whether identity and consent are needed,
    `known` are identities that were given before.
    """
    needs_identity, needs_consent = needs
    faults: dict[str, str] = {}
    if needs_identity and wish.identity_number:
        try:
            require_resident_id(wish.identity_number, "identity_number")
        except EntrepotError as error:
            faults["identity_number"] = error.remedy
        if not wish.identity_name:
            faults["identity_name"] = _NAME_MISSING
    elif needs_identity and not known:
        faults["identity_number"] = _NO_IDENTITY
    if needs_consent and not wish.has_accepted_risk:
        faults["risk"] = _NOT_ACCEPTED
    if wish.method_code not in METHODS:
        faults["method"] = _NO_METHOD
    return faults


def request_of(wish: Wish, person_id: uuid.UUID, identity_id: uuid.UUID | None, now: datetime) -> OrderRequest:
    """Return the order that a wish asks for."""
    return OrderRequest(
        person_id,
        derived_id("checkout", person_id, wish.request_key),
        wish.request_key,
        wish.store,
        str(Channel.STORE),
        wish.draft.country_code,
        postcode_prefix(wish.draft.postcode),
        wish.method_code,
        tuple(line.ask for line in wish.lines),
        now,
        identity_id=identity_id,
        has_accepted_risk=wish.has_accepted_risk,
    )
