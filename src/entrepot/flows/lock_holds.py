"""The order in which flows lock what many change: checkouts, a floor's documents, units, buyers' years, balances of money.

Placing an order holds units, then the year, and posts its money last. A flow that gives back or holds again after it has posted, or in several
statements, locks first what it will need; else two of them wait for each other until the database ends one.
"""

import uuid
from collections.abc import Sequence

from entrepot.base.sql import Conn
from entrepot.books.stock.reserve import lock_held
from entrepot.customs.hold import lock_years
from entrepot.orders.model import Checkout
from entrepot.orders.pay import read_checkouts
from entrepot.orders.read import read_checkout_orders


async def lock_checkouts(conn: Conn, keys: Sequence[tuple[uuid.UUID, uuid.UUID]]) -> None:
    """Lock checkouts by (person, checkout), and what their orders hold or held."""
    if not keys:
        return
    checkouts = await read_checkouts(conn, [key[0] for key in keys], [key[1] for key in keys])
    orders = await read_checkout_orders(conn, [one.checkout_id for one in checkouts])
    await lock_holds(conn, checkouts, [(order.merchant_id, order.order_id) for order in orders])


async def lock_holds(conn: Conn, checkouts: Sequence[Checkout], order_keys: Sequence[tuple[uuid.UUID, uuid.UUID]]) -> None:
    """Lock the units that orders hold or held, and the years of those who placed the checkouts, which are locked already."""
    await lock_held(conn, [key[0] for key in order_keys], [key[1] for key in order_keys])
    identities = [one.identity_id for one in checkouts if one.identity_id is not None]
    if identities:
        await lock_years(conn, identities)
