"""One fingerprint of everything the business did: the same seed and inputs give the same, whatever the batch size."""

import hashlib

from entrepot.base.sql import Conn
from entrepot.books.money.replay import hash_money
from entrepot.books.stock.replay import hash_stock
from entrepot.customs.prove import hash_customs
from entrepot.orders.prove import hash_orders
from entrepot.settlement.standing import hash_settlement


async def hash_parts(conn: Conn) -> dict[str, str]:
    """Return the SHA-256 of each kind of business row, sorted and without technical ids, so that a difference can be found."""
    parts = await hash_stock(conn) | await hash_money(conn) | await hash_orders(conn) | await hash_customs(conn) | await hash_settlement(conn)
    return dict(sorted(parts.items()))


async def hash_books(conn: Conn) -> str:
    """Return the SHA-256 over all business rows: stock, money, orders, promises, quota, declarations, taxes, fees, statements and payouts."""
    parts = await hash_parts(conn)
    return hashlib.sha256("\n".join(f"{name} {digest}" for name, digest in parts.items()).encode()).hexdigest()
