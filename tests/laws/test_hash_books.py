"""The same inputs give the same books, one by one or in a batch, and no session setting shows; any changed row does."""

import pytest
from msgspec.structs import replace
from tests.factories.house import BUYER, STAFF, find_offer, later, open_house, put_stock, request

from entrepot.base.due import take_due
from entrepot.base.ids import derived_id
from entrepot.base.sql import execute, execute_counted
from entrepot.flows.fulfil import hand_over, pick_and_pack
from entrepot.flows.hash_books import hash_books, hash_parts
from entrepot.flows.order_to_cash import PAY, place_orders, take_payments
from entrepot.warehouse.model import WorkState
from entrepot.warehouse.readers import read_queue

pytestmark = pytest.mark.anyio

PLACE = "GB-LTN1"


async def sell(conn, size):
    """Play one small story in batches of this size: six orders of two merchants, some of them paid later, packed and handed over."""
    _, outside = await open_house(conn)
    await put_stock(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", PLACE, 9)
    await put_stock(conn, "demo-leeds-kitchen", "DALE-PAN", PLACE, 9)
    offers = [
        await find_offer(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB", "fba"),
        await find_offer(conn, "demo-leeds-kitchen", "DALE-PAN", "GB", "fba"),
    ]
    asks = [
        replace(
            request([(offers[number % 2], 1 + number % 3)], "GB", "GB", at=later(minutes=number), method="card_ok" if number % 4 else "invoice"),
            checkout_id=derived_id("hash test", number),
            request_key=f"hash {number}",
        )
        for number in range(6)
    ]
    for first in range(0, len(asks), size):
        answers = await place_orders(conn, outside, asks[first : first + size], BUYER)
        assert {answer.state for answer in answers} == {"placed"}
    while due := await take_due(conn, PAY, later(hours=1), size):
        await take_payments(conn, outside, due, later(hours=1))
    while queue := await read_queue(conn, PLACE, WorkState.QUEUED, size):
        await pick_and_pack(conn, outside, queue, later(hours=2))
    while refs := [entry.order for entry in await read_queue(conn, PLACE, WorkState.PACKED, size)]:
        await hand_over(conn, outside, refs, STAFF, later(hours=3))


async def parts_after(conn, size):
    async with conn.transaction(force_rollback=True):
        await sell(conn, size)
        return await hash_parts(conn)


async def test_one_by_one_and_in_a_batch_the_books_are_the_same(conn):
    together = await parts_after(conn, 128)
    assert await parts_after(conn, 1) == together
    assert len(set(together.values())) >= 8


async def test_session_settings_do_not_show_and_changes_do(conn):
    await sell(conn, 128)
    before = await hash_books(conn)
    await execute(conn, "set local time zone 'Asia/Tokyo'")
    await execute(conn, "set local datestyle = 'German'")
    assert await hash_books(conn) == before
    for change in (
        "update stock_move set quantity = quantity + 1",
        "update money_entry set amount_minor = amount_minor + 1",
        "update promise set outcome = 'missed'",
        "update fee_line set amount_minor = amount_minor + 1",
    ):
        was = await hash_books(conn)
        assert await execute_counted(conn, change) > 0
        assert await hash_books(conn) != was, change
