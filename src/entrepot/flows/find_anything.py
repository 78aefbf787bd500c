"""One question to all contexts: what a number, code or id that somebody typed stands for."""

import uuid

from entrepot.aftersales.find import find_cases
from entrepot.base.named import Named, as_id
from entrepot.base.sql import Conn
from entrepot.books.money.find import find_postings
from entrepot.books.stock.find import find_moves
from entrepot.catalogue.find import find_items
from entrepot.customs.find import find_declarations
from entrepot.freight.find import find_consignments, find_parcels_named
from entrepot.orders.find import find_orders
from entrepot.parties.buyers import find_buyers
from entrepot.parties.find import find_merchants
from entrepot.settlement.find import find_papers
from entrepot.warehouse.find import find_plans

BUYER = "buyer"
"""A buyer is found by id and by nothing else, and belongs to no merchant."""


async def find_anything(conn: Conn, text: str) -> list[Named]:
    """Return everything that has this number, code or id, over all merchants; who may see what is the caller's to decide."""
    text = text.strip()
    if not text:
        return []
    key = as_id(text)
    found = [
        *await find_orders(conn, text, key),
        *await find_parcels_named(conn, text, key),
        *await find_items(conn, text, key),
        *await find_merchants(conn, text, key),
        *await find_papers(conn, text, key),
    ]
    return found if key is None else [*found, *await _find_by_id(conn, key)]


async def _find_by_id(conn: Conn, key: uuid.UUID) -> list[Named]:
    """Return what is known by its id alone."""
    buyers = await find_buyers(conn, [key])
    return [
        *await find_consignments(conn, key),
        *await find_declarations(conn, key),
        *await find_postings(conn, key),
        *await find_moves(conn, key),
        *await find_cases(conn, key),
        *await find_plans(conn, key),
        *(Named(BUYER, one, one, str(one), person_id=one) for one in sorted(buyers)),
    ]
