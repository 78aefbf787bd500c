"""Everything that the house keeps about a person, in one copy for that person."""

import uuid
from collections.abc import Mapping

from entrepot.base.sql import Conn
from entrepot.orders.read import list_person_orders
from entrepot.parties.buyers import find_identities, list_addresses, open_identities, read_buyers
from entrepot.parties.sealing import Keyring

_MOST_ORDERS = 10_000


async def read_personal_copy(conn: Conn, keyring: Keyring, person_id: uuid.UUID) -> Mapping[str, object]:
    """Return a person's details, addresses, identities and orders, opened; of an erased person only what points to nobody is left."""
    buyer = (await read_buyers(conn, keyring, [person_id])).get(person_id)
    known = await find_identities(conn, [person_id])
    opened = await open_identities(conn, keyring, [one.person_id for one in known], [one.identity_id for one in known])
    return {
        "person": buyer,
        "addresses": await list_addresses(conn, keyring, person_id),
        "identities": [{"verified_at": one.verified_at, "details": opened.get((one.person_id, one.identity_id))} for one in known],
        "orders": await list_person_orders(conn, person_id, _MOST_ORDERS),
    }
