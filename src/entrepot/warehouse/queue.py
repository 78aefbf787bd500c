"""Work is queued.

A released consignment, an outbound order of another channel, a removal, a replacement or a transfer becomes a fulfilment order of one place
and waits there until its ship-by time. Queuing the same work again changes nothing.
"""

from collections.abc import Sequence

from entrepot.base.quantity import require_positive
from entrepot.base.sql import Conn
from entrepot.warehouse.model import LineCount, NewFulfilmentOrder, OrderRef, Recorded, require_lines
from entrepot.warehouse.store_outbound import insert_lines, insert_orders, lock_orders, read_line_values


async def queue_orders(conn: Conn, orders: Sequence[NewFulfilmentOrder]) -> list[Recorded]:
    """Store fulfilment orders that are new; one answer per order, in the order given."""
    for order in orders:
        require_lines([(line.line_no, line.part_no) for line in order.lines], "lines")
        for line in order.lines:
            require_positive(line.quantity)
    firsts = {_ref(order): order for order in reversed(orders)}
    ordered = [firsts[ref] for ref in sorted(firsts, key=lambda ref: (ref.merchant_id, ref.fulfilment_order_id))]
    new_refs = await insert_orders(conn, ordered)
    await insert_lines(conn, [order for order in ordered if _ref(order) in new_refs])
    if len(new_refs) == len(orders):
        return [Recorded.NEW] * len(orders)
    return await _compare(conn, orders, new_refs)


def _ref(order: NewFulfilmentOrder) -> OrderRef:
    return OrderRef(order.merchant_id, order.fulfilment_order_id)


async def _compare(conn: Conn, orders: Sequence[NewFulfilmentOrder], new_refs: set[OrderRef]) -> list[Recorded]:
    refs = [_ref(order) for order in orders]
    stored = await lock_orders(conn, refs)
    values = await read_line_values(conn, refs)
    answers: list[Recorded] = []
    told: set[OrderRef] = set()
    for order, ref in zip(orders, refs, strict=True):
        lines = sorted((line.line_no, line.part_no, line.stock_item_id, line.quantity) for line in order.lines)
        same = stored[ref].place_code == order.place_code and values[ref] == [LineCount(*line) for line in lines]
        is_first = ref in new_refs and ref not in told
        answers.append(Recorded.NEW if is_first else Recorded.EXISTS if same else Recorded.EXISTS_WITH_DIFFERENT_VALUES)
        told.add(ref)
    return answers
