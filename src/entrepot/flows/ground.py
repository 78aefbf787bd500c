"""What a batch of checkouts is decided on: offers, merchants, free stock and free years, each read in one statement."""

import uuid
from collections.abc import Sequence
from datetime import date

from entrepot.base.sql import Conn, together
from entrepot.base.time import on_date
from entrepot.books.stock.read import read_availability
from entrepot.catalogue.store import find_terms
from entrepot.customs.hold import read_quota
from entrepot.customs.rules import cbec_limit_on
from entrepot.flows.plan_checkout import Ground, MerchantTerms, year_of
from entrepot.flows.reference import Reference
from entrepot.orders.model import OrderRequest
from entrepot.orders.quotes import read_quotes
from entrepot.parties.model import TAX_REGISTRATION_KINDS
from entrepot.parties.store import read_merchants, read_registrations
from entrepot.sourcing.model import FreeStock, Shelf


async def read_ground(conn: Conn, reference: Reference, requests: Sequence[OrderRequest]) -> Ground:
    """Read what the requests are about: their offers, the merchants' terms on the day, and what is free of their stock items."""
    lines = {(line.merchant_id, line.offer_id) for request in requests for line in request.lines}
    merchant_ids, offer_ids = [line[0] for line in lines], [line[1] for line in lines]
    on = max(request.at for request in requests).date()
    found, merchants = await together(conn, find_terms(conn, merchant_ids, offer_ids), read_terms(conn, sorted(set(merchant_ids)), on))
    offers = {offer.offer_id: offer for offer in found}
    items = sorted({(offer.merchant_id, offer.stock_item_id) for offer in offers.values()}, key=lambda item: (item[0].int, item[1].int))
    shelf: Shelf = {}
    for free in await read_availability(conn, [item[0] for item in items], [item[1] for item in items]):
        key = free.key
        stock = FreeStock(key.owner_id, key.place_code, key.customs_status, key.pool_code, free.free)
        shelf.setdefault((key.merchant_id, key.stock_item_id), []).append(stock)
    named = [(request.person_id, request.quote_id) for request in requests if request.quote_id is not None]
    quotes = await read_quotes(conn, [key[0] for key in named], [key[1] for key in named]) if named else {}
    return Ground(reference, offers, merchants, shelf, quotes)


async def read_room(conn: Conn, reference: Reference, requests: Sequence[OrderRequest]) -> dict[tuple[uuid.UUID, int], int]:
    """Return what is free of the years of those who order with an identity, in fen; a year of which nothing was used yet has its whole limit."""
    known = [one for one in requests if one.identity_id is not None and one.marketplace_code in reference.marketplaces]
    room: dict[tuple[uuid.UUID, int], int] = {}
    years = {year_of(one, reference): one for one in known}
    for year_no, one in sorted(years.items()):
        people = sorted({other.identity_id for other in known if other.identity_id is not None and year_of(other, reference) == year_no})
        limit = cbec_limit_on(reference.customs, on_date(one.at, reference.marketplaces[one.marketplace_code].time_zone))
        stored = await read_quota(conn, people, year_no)
        whole = limit.year_minor if limit is not None else 0
        room |= {(person, year_no): stored[person].free_minor if person in stored else whole for person in people}
    return room


async def read_terms(conn: Conn, merchant_ids: Sequence[uuid.UUID], on: date) -> dict[uuid.UUID, MerchantTerms]:
    """Return merchants with the countries in which they have a number on file on a day."""
    numbers: dict[uuid.UUID, set[str]] = {merchant_id: set() for merchant_id in merchant_ids}
    registrations, merchants = await together(conn, read_registrations(conn, merchant_ids), read_merchants(conn, merchant_ids))
    for registration in registrations:
        if registration.kind not in TAX_REGISTRATION_KINDS:
            continue
        if registration.effective_from <= on and (registration.effective_to is None or on < registration.effective_to):
            numbers[registration.merchant_id].add(registration.country_code)
    return {merchant_id: MerchantTerms(merchant, frozenset(numbers[merchant_id])) for merchant_id, merchant in merchants.items()}
