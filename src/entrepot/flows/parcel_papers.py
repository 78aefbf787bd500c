"""What the papers of a parcel say: label and customs form, gathered from the parcel, its order, its declaration and its buyer's sealed address."""

import uuid
from collections.abc import Sequence

from msgspec import Struct

from entrepot.base.errors import UnknownReferenceError
from entrepot.base.sql import Conn
from entrepot.customs.model import DeclarationKind, DeclarationLine
from entrepot.customs.read import read_declarations_of_orders
from entrepot.flows.reference import Reference
from entrepot.freight.cards import carrier_card
from entrepot.freight.model import ConsignmentKey, ParcelKey, ParcelState
from entrepot.freight.read import Consignment, Parcel, read_consignments, read_parcels
from entrepot.orders.read import read_orders
from entrepot.parties.buyers import list_addresses
from entrepot.parties.people import OpenedAddress
from entrepot.parties.sealing import Keyring
from entrepot.parties.store import read_merchants

_VOIDED = frozenset({ParcelState.VOIDED})


class NoLabelError(UnknownReferenceError):
    """This place has no parcel with a label under this id; open it from the packing table."""


class PaperValues(Struct, frozen=True):
    """What a parcel's papers say; customs lines only where the consignment was declared."""

    parcel: Parcel
    place_code: str
    carrier_name: str
    from_lines: tuple[str, ...]
    to_lines: tuple[str, ...]
    to_country_code: str
    order_number: str
    currency: str
    customs_lines: tuple[DeclarationLine, ...]
    declared_on: str


async def read_paper_values(conn: Conn, reference: Reference, keyring: Keyring, key: ParcelKey, place_code: str) -> PaperValues:
    """Return what the papers of a parcel of a place say; another place's parcel has none here."""
    parcel = next(iter(await read_parcels(conn, [key])), None)
    consignments = await read_consignments(conn, [ConsignmentKey(key.merchant_id, parcel.consignment_id)]) if parcel is not None else []
    if parcel is None or not consignments or consignments[0].place_code != place_code or parcel.state in _VOIDED:
        raise NoLabelError("parcel_id", str(key.parcel_id), "Open the parcel from the packing table of its place.")
    consignment = consignments[0]
    orders = await read_orders(conn, [key.merchant_id], [parcel.order_id])
    addresses = await list_addresses(conn, keyring, orders[0].person_id) if orders else []
    merchants = await read_merchants(conn, [key.merchant_id])
    place = reference.network.place(place_code)
    declared = [
        one.declaration
        for one in await read_declarations_of_orders(conn, [key.merchant_id], [parcel.order_id])
        if one.declaration.consignment_id == consignment.consignment_id
    ]
    papers = [one for one in declared if one.kind is DeclarationKind.EXPORT] or declared
    return PaperValues(
        parcel,
        place_code,
        carrier_card(parcel.carrier_code).name,
        (merchants[key.merchant_id].name, place.name, place.country_code),
        to_lines(consignment, addresses),
        consignment.to_country_code,
        orders[0].number if orders else "",
        papers[-1].currency if papers else "",
        papers[-1].lines if papers else (),
        papers[-1].evaluated_on.isoformat() if papers else "",
    )


def to_lines(consignment: Consignment, addresses: Sequence[OpenedAddress]) -> tuple[str, ...]:
    """Return the address lines of the buyer's newest address where the consignment goes, or what the consignment itself knows."""
    fitting = [one.details for one in addresses if one.details is not None and one.facts.country_code == consignment.to_country_code]
    if not fitting:
        return (consignment.to_postcode_prefix, consignment.to_country_code)
    there = [one for one in fitting if one.postcode.startswith(consignment.to_postcode_prefix)] or fitting
    return (there[-1].recipient, *there[-1].lines, f"{there[-1].postcode} {there[-1].city}", consignment.to_country_code)


def reference_of(order_id: uuid.UUID) -> str:
    """Return what a label says as reference: the last digits of the order's id."""
    return order_id.hex[-12:]
