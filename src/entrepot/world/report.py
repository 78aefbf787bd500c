"""What a world amounts to: orders by model, units, money, laws and the hash of its books."""

from collections.abc import Mapping
from dataclasses import asdict

from entrepot.base.sql import Conn
from entrepot.books.money.read import read_totals
from entrepot.books.stock.read import read_units
from entrepot.flows.check_laws import check_laws
from entrepot.flows.hash_books import hash_books
from entrepot.flows.reference import Reference
from entrepot.orders.read import count_lines


async def report_world(conn: Conn, reference: Reference, counts: Mapping[str, int]) -> dict[str, object]:
    """Return the report of a world as one JSON object; amounts in minor units by currency and account."""
    models: dict[str, dict[str, int]] = {
        code: dict.fromkeys(("orders", "delivered", "returned", "refunded", "cancelled"), 0) for code in reference.registry.codes
    }
    for model_code, orders, delivered, returned, refunded, cancelled in await count_lines(conn):
        models[model_code] = {"orders": orders, "delivered": delivered, "returned": returned, "refunded": refunded, "cancelled": cancelled}
    money: dict[str, dict[str, int]] = {}
    for account, currency, posted, _ in await read_totals(conn):
        if posted:
            money.setdefault(currency, {})[account] = posted
    laws = await check_laws(conn, reference)
    return {
        "models": models,
        "units": dict(await read_units(conn)),
        "money": money,
        "laws": [asdict(law) for law in laws],
        "is_broken": any(law.broken for law in laws),
        "events": dict(sorted(counts.items())),
        "books_hash": await hash_books(conn),
    }
