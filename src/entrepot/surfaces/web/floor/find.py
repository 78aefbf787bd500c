"""Find work of a place by whatever stands on it: the order's number, the parcel's, or the last digits of its own."""

from collections.abc import Mapping, Sequence

from entrepot.base.named import as_id
from entrepot.base.sql import Conn
from entrepot.freight.model import ConsignmentKey
from entrepot.freight.read import Consignment, read_consignments, read_parcels
from entrepot.freight.track import find_parcels
from entrepot.orders.find import find_orders
from entrepot.orders.model import Order
from entrepot.orders.read import read_orders
from entrepot.surfaces.web.floor.shift import Shift
from entrepot.warehouse.at_place import find_entries
from entrepot.warehouse.model import OrderRef
from entrepot.warehouse.readers import QueueEntry


async def find_work(conn: Conn, shift: Shift, code: str) -> list[QueueEntry]:
    """Return the fulfilment orders of the shift's place that a code means."""
    if not code:
        return []
    orders = [one.subject_id for one in await find_orders(conn, code, as_id(code))]
    if not orders:
        parcels = await find_parcels(conn, [(carrier_code, code.upper()) for carrier_code in sorted(shift.outside.carriers)])
        orders = [one.order_id for one in await read_parcels(conn, list(parcels.values()))]
    return await find_entries(conn, shift.place.place_code, code, orders)


async def read_numbers(conn: Conn, entries: Sequence[QueueEntry]) -> Mapping[OrderRef, Order]:
    """Return the orders behind fulfilment orders."""
    orders = await read_orders(conn, [one.order.merchant_id for one in entries], [one.order_id for one in entries])
    by_id = {(one.merchant_id, one.order_id): one for one in orders}
    return {one.order: by_id[one.order.merchant_id, one.order_id] for one in entries if (one.order.merchant_id, one.order_id) in by_id}


async def read_lanes(conn: Conn, entries: Sequence[QueueEntry]) -> Mapping[OrderRef, Consignment]:
    """Return the consignments of fulfilment orders: carrier, service, destination; removals and transfers may have none."""
    keys = {ConsignmentKey(one.order.merchant_id, one.consignment_id): one.order for one in entries if one.consignment_id is not None}
    found = await read_consignments(conn, list(keys))
    return {keys[ConsignmentKey(one.merchant_id, one.consignment_id)]: one for one in found}
