"""A buyer's own data: the addresses, and everything the house keeps about the person as one file."""

import uuid
from collections.abc import Mapping

import msgspec
from litestar import Response, get, post
from litestar.response import Redirect

from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn
from entrepot.flows.personal_copy import read_personal_copy
from entrepot.parties.buyers import add_addresses, read_buyers
from entrepot.parties.countries import COUNTRY_CODES
from entrepot.parties.people import NewAddress
from entrepot.parties.postal import AddressDraft, AddressFault, AddressField, address_faults
from entrepot.surfaces.web.access import BUYERS, FormDep, Visitor, VisitorDep, open_to
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.quotes import postcode_prefix
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.store.door import door_fields, read_draft, saved_addresses
from entrepot.surfaces.web.words import country as country_name


@get("/me/data", opt=open_to(BUYERS))
async def show_my_data(house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Show a buyer's addresses and what can be done with its data."""
    return await _page(house, visitor, AddressDraft(""), {})


@post("/me/addresses", status_code=200, opt=open_to(BUYERS))
async def add_my_address(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str] | Redirect:
    """Keep an address for the next order; the same address again is kept once."""
    person_id = visitor.person_id
    code = form.get("country", "")
    draft = read_draft(form, code if code in COUNTRY_CODES else "")
    if form.get("step") == "preview" or not draft.country_code or person_id is None:
        return await _page(house, visitor, draft, {})
    faults = address_faults(draft)
    if faults:
        return await _page(house, visitor, draft, faults, 422)

    async def keep(conn: Conn) -> None:
        details = draft.details
        address_id = derived_id(
            "address", person_id, draft.country_code, draft.zone, *details.lines, details.recipient, details.city, details.postcode
        )
        prefix = postcode_prefix(draft.postcode)
        await add_addresses(
            conn, house.keyring, [NewAddress(person_id, address_id, draft.country_code, draft.zone, prefix, details)], await business_now(conn)
        )

    await house.database.writing(keep)
    return Redirect("/me/data", status_code=303)


@get("/me/export", opt=open_to(BUYERS))
async def export_my_data(house: HouseDep, visitor: VisitorDep) -> Response[bytes]:
    """Give the buyer everything that is kept about the person, as JSON."""
    person_id = visitor.person_id or uuid.UUID(int=0)
    async with house.database.reading() as conn:
        copy = await read_personal_copy(conn, house.keyring, person_id)
    headers = {"content-disposition": 'attachment; filename="my-data.json"'}
    return Response(msgspec.json.format(msgspec.json.encode(copy), indent=2), media_type="application/json", headers=headers)


async def _page(house: House, visitor: Visitor, draft: AddressDraft, faults: Mapping[AddressField, AddressFault], status: int = 200) -> Response[str]:
    async with house.database.reading() as conn:
        addresses = await saved_addresses(conn, house, visitor.person_id)
        person_id = visitor.person_id or uuid.UUID(int=0)
        buyer = (await read_buyers(conn, house.keyring, [person_id])).get(person_id)
    country = draft.country_code or (buyer.country_code if buyer is not None else "GB")
    shown = AddressDraft(country, draft.recipient, draft.street, draft.city, draft.zone, draft.postcode, draft.phone)
    names = sorted(((code, _name(visitor, code)) for code in COUNTRY_CODES), key=lambda pair: pair[1])
    values: dict[str, object] = {
        "addresses": addresses,
        "buyer": buyer,
        "fields": door_fields(visitor.language, shown, faults),
        "country": country,
        "countries": names,
    }
    return page("store/my_data.html", visitor, values, status)


def _name(visitor: Visitor, code: str) -> str:
    return country_name(visitor.language, code)
