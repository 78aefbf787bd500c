"""The intake under real concurrency: connections that race for the last units, for one resident's year, and for the same checkout."""

import asyncio
from collections import Counter

import pytest
from msgspec.structs import replace
from tests.conftest import administer
from tests.factories.china import LIMIT, ORDERER, REFUSED, with_customs, year
from tests.factories.house import AT, BUYER
from tests.factories.lanes import waiting_behind
from tests.factories.scarce import BRITISH, CHINESE, FREE, USED, ask, minutes, open_scarce

from entrepot.base.sql import fetch
from entrepot.bootstrap.database import in_transaction, open_pool
from entrepot.flows import order_to_cash
from entrepot.flows.cancel import CancelAsk, cancel_units
from entrepot.flows.check_laws import check_laws
from entrepot.flows.ground import read_ground
from entrepot.flows.order_to_cash import EXPIRE, PAY, place_orders
from entrepot.flows.release import DECLARE
from entrepot.flows.run_due import run_due
from entrepot.world.draw import Stream

pytestmark = pytest.mark.anyio

LANES = 4
SKUS = 4
VITAMIN_ORDER = 480_000
ROMPER_ORDER = 90_000


@pytest.fixture(scope="module")
def scarce(cluster):
    """The house, opened once; each test commits in a copy of it."""
    name = f"{cluster.prefix}_intake_race"
    url = cluster.clone(name)
    yield name, open_scarce(url)
    cluster.drop(name)


@pytest.fixture
def url(cluster, scarce):
    """A copy of the house for one test."""
    name = f"{scarce[0]}_copy"
    administer(cluster.server_url, "create database {} template {}", name, scarce[0])
    yield cluster.url(name)
    cluster.drop(name)


@pytest.fixture
def house(scarce):
    return scarce[1]


@pytest.fixture
async def pool(url, anyio_backend):
    async with open_pool(url, LANES) as opened:
        yield opened


async def place(pool, house, batch):
    """Place a batch and commit it."""
    return await in_transaction(pool, lambda conn: place_orders(conn, house.outside, batch, BUYER))


async def race(*works):
    """Let lanes work at once, each doing one thing after another; whatever escapes from one fails the test."""

    async def go(steps):
        return [await step() for step in steps]

    return [answer for answers in await asyncio.gather(*(go(steps) for steps in works)) for answer in answers]


def placing(pool, house, lanes):
    """Return for each lane what places its batches."""
    return [[lambda batch=batch: place(pool, house, batch) for batch in batches] for batches in lanes]


def told(answers):
    return Counter(answer.refusal.code if answer.refusal else answer.state for batch in answers for answer in batch)


async def broken_rows(conn, house):
    """Name what breaks a law, holds without a live order, and entries that wait for an order that does not."""
    rows = [row for law in await check_laws(conn, house.outside.reference) for row in law.rows]
    rows += await fetch(
        conn,
        """select p.order_id from money_posting p left join customer_order o on o.merchant_id = p.merchant_id and o.order_id = p.order_id
           where p.phase = 'pending' and o.state is distinct from 'awaiting_payment'
             and not exists (select 1 from money_posting d where d.merchant_id = p.merchant_id and d.pending_id = p.posting_id)""",
    )
    rows += await fetch(
        conn,
        """select c.checkout_id, c.state, c.total_minor, p.asked_minor, p.captured_minor, p.refunded_minor from checkout c
           join payment p on p.person_id = c.person_id and p.checkout_id = c.checkout_id
           where (p.captured_minor > 0) <> (c.state in ('paid', 'refunded')) or (c.state = 'refunded' and p.captured_minor <> p.refunded_minor)
              or (c.state = 'paid' and p.captured_minor - p.refunded_minor <> (
                  select sum(e.amount_minor) from money_posting m join money_entry e
                    on e.merchant_id = m.merchant_id and e.posting_id = m.posting_id and e.account_code = 'psp'
                  where m.checkout_id = c.checkout_id and m.phase in ('posted', 'post')))""",
    )
    return rows


async def shelves(conn, house):
    """Return (on hand, reserved) of each SKU over its places, without what was ordered before the race."""
    rows = await fetch(conn, "select merchant_id, stock_item_id, sum(on_hand)::int, sum(reserved)::int from stock_availability group by 1, 2")
    skus = {(offer.merchant_id, offer.stock_item_id): offer.sku for offers in house.offers.values() for offer in offers}
    return {skus[row[:2]]: row[2:] for row in rows}


async def units_of(conn, checkout_ids):
    """Return the units that these checkouts are to get, by SKU."""
    rows = await fetch(
        conn,
        """select l.sku, sum(l.quantity - l.cancelled)::int from order_line l join customer_order o using (merchant_id, order_id)
           where o.checkout_id = any(%(ids)s) group by 1""",
        {"ids": list(checkout_ids)},
    )
    return dict(rows)


# -- units -----------------------------------------------------------------------------------------------------------


def wanted(draw, house, name):
    """Checkouts of up to three lines over the hot SKUs in any order, so that lanes meet each other halfway."""
    lines = [(draw.below(SKUS), draw.between(1, 2)) for _ in range(draw.between(1, 3))]
    method = draw.choose(["invoice", "card_ok", "card_declined", "card_slow", "card_late"])
    return ask(house, "GB", draw.choose(BRITISH), name, lines, method)


@pytest.mark.parametrize("seed", range(3))
async def test_lanes_that_race_for_the_last_units_sell_them_once(pool, house, seed):
    draw = Stream(seed, "units")
    lanes = [[[wanted(draw, house, f"{lane}-{turn}-{n}") for n in range(draw.between(1, 4))] for turn in range(3)] for lane in range(LANES)]
    twins = [batch[0] for batches in lanes for batch in batches]  # each first request comes again from another lane
    for lane, twin in enumerate(twins):
        lanes[(lane + 1) % LANES][draw.below(3)].append(twin)
    answers = await race(*placing(pool, house, lanes))
    placed = {answer.checkout_id for batch in answers for answer in batch if answer.state == "placed"}
    assert told(answers).keys() <= {"placed", "exists", "not_enough_units"}
    async with pool.connection() as conn:
        stock, sold = await shelves(conn, house), await units_of(conn, placed)
        assert {sku: reserved for sku, (_, reserved) in stock.items() if sku in sold} == sold
        assert await broken_rows(conn, house) == []
    # what refusals left is sold to the last unit, and not one more
    rest = [ask(house, "GB", BRITISH[0], f"rest-{sku}-{n}", [(sku, 1)], "invoice") for sku in range(SKUS) for n in range(6)]
    answers = await race(*placing(pool, house, [[rest[lane::LANES]] for lane in range(LANES)]))
    placed |= {answer.checkout_id for batch in answers for answer in batch if answer.state == "placed"}
    async with pool.connection() as conn:
        stock, sold = await shelves(conn, house), await units_of(conn, placed)
        british = {offer.sku for offer in house.offers["GB"]}
        assert {sku: counts for sku, counts in stock.items() if sku in british} == {sku: (units, units) for sku, units in sold.items()}
        (count,) = await fetch(conn, "select count(*) from checkout")
        assert count[0] == len(placed) + 4
        assert await broken_rows(conn, house) == []


@pytest.mark.parametrize("seed", range(3))
async def test_placing_paying_expiring_and_cancelling_at_once_leave_every_law_whole(pool, house, seed):
    draw = Stream(seed, "verbs")
    first = [wanted(draw, house, f"first-{n}") for n in range(6)]
    await place(pool, house, first)
    now = AT + minutes(31)
    later = [[replace(wanted(draw, house, f"{lane}-{n}"), at=now) for n in range(3)] for lane in range(2)]
    async with pool.connection() as conn:
        lines = await fetch(conn, "select l.merchant_id, l.order_id, l.line_no from order_line l join customer_order o using (merchant_id, order_id)"
                                  " where o.to_country_code = 'GB' order by 1, 2, 3")  # fmt: skip
    asks = [CancelAsk(*line, 1, "buyer", "changed_mind") for line in {draw.choose(lines) for _ in range(4)}]
    outside = house.outside
    cancels = [lambda ask=ask: in_transaction(pool, lambda conn: cancel_units(conn, outside, [ask], BUYER, now)) for ask in asks]
    runs = [lambda step=step: in_transaction(pool, lambda conn: run_due(conn, outside, step, now, 2)) for step in [PAY, EXPIRE, PAY] * 2]
    runs.sort(key=lambda _: draw.below(100))
    await race(*placing(pool, house, [[batch] for batch in later]), cancels, runs)
    async with pool.connection() as conn:
        assert await broken_rows(conn, house) == []
    for step in (PAY, EXPIRE, PAY):
        await in_transaction(pool, lambda conn, step=step: run_due(conn, outside, step, now + minutes(200), 100))
    async with pool.connection() as conn:
        assert await fetch(conn, "select 1 from checkout where state = 'awaiting_payment'") == []
        assert await broken_rows(conn, house) == []


# -- one checkout, two who decide about it ---------------------------------------------------------------------------


async def one_waiting(pool, house, method):
    """Place three units that wait for their payment; return the ask to cancel two of them, and what is due."""
    (answer,) = await place(pool, house, [ask(house, "GB", BRITISH[0], "one", [(0, 3)], method)])
    (key,) = answer.orders
    return CancelAsk(*key, 1, 2, "buyer", "changed_mind")


def steps_of(outside, asked):
    now = AT + minutes(31)
    return {
        "cancel": lambda conn: cancel_units(conn, outside, [asked], BUYER, now),
        "pay": lambda conn: run_due(conn, outside, PAY, now, 10),
        "expire": lambda conn: run_due(conn, outside, EXPIRE, now, 10),
    }


PAIRS = [("card_ok", a, b) for a in ("cancel", "pay", "expire") for b in ("cancel", "pay", "expire") if a != b]
PAIRS += [("card_declined", "pay", "cancel"), ("card_late", "expire", "cancel")]


@pytest.mark.parametrize(("method", "first", "second"), PAIRS)
async def test_whoever_decides_second_sees_what_the_first_did(pool, house, method, first, second):
    asked = await one_waiting(pool, house, method)
    steps = steps_of(house.outside, asked)
    async with pool.connection() as ahead, ahead.transaction():
        await steps[first](ahead)
        behind = asyncio.create_task(in_transaction(pool, steps[second]))
        await asyncio.sleep(0.15)  # until it waits for the first, or has gone past it
    await behind
    async with pool.connection() as conn:
        assert await broken_rows(conn, house) == []
        for step in ("pay", "expire"):
            await steps[step](conn)
        await run_due(conn, house.outside, PAY, AT + minutes(200), 10)
        assert await broken_rows(conn, house) == []
        rows = await fetch(conn, "select sum(quantity - cancelled)::int from order_line where merchant_id = %(m)s", {"m": asked.merchant_id})
        ((captured, refunded, total),) = await fetch(
            conn, "select captured_minor, refunded_minor, total_minor from payment join checkout using (person_id, checkout_id) where captured_minor"
                  " + asked_minor > 0 and to_country_code = 'GB'")  # fmt: skip
        is_cancelled = rows == [(1,)]
        assert captured - refunded in {0, 4699 if is_cancelled else 3 * 4699}
        assert (total, captured) in {(4699, 0), (4699, 4699), (14097, 0), (14097, 14097)}


# -- who takes what first --------------------------------------------------------------------------------------------

UNITS, YEARS = "select 1 from stock_availability order by 1 for update", "select 1 from quota_year for update"


async def expect_money_untouched(pool, house, held, step):
    """Run a step while another transaction holds what the step gives back; whoever holds that takes money next, so the step must not have it yet."""
    async with pool.connection() as ahead:
        await fetch(ahead, held)
        async with waiting_behind(ahead, in_transaction(pool, step)) as behind:
            await fetch(ahead, "select 1 from money_balance for update nowait")
            await ahead.commit()
        await behind
    async with pool.connection() as conn:
        assert await broken_rows(conn, house) == []


@pytest.mark.parametrize(("method", "step"), [("card_declined", "pay"), ("card_ok", "expire"), ("card_ok", "cancel"), ("invoice", "cancel")])
async def test_units_are_locked_before_money_moves(pool, house, method, step):
    asked = replace(await one_waiting(pool, house, method), quantity=3)
    await expect_money_untouched(pool, house, UNITS, steps_of(house.outside, asked)[step])


async def test_units_that_are_held_again_for_a_late_payment_are_locked_before_money_moves(pool, house):
    """In one batch with a refusal, whose units come back."""
    await place(pool, house, [ask(house, "GB", BRITISH[0], "late", [(0, 3)], "card_late")])
    await in_transaction(pool, lambda conn: run_due(conn, house.outside, EXPIRE, AT + minutes(31), 10))
    now = AT + minutes(100)
    declined = [replace(ask(house, "GB", BRITISH[1], f"declined {sku}", [(sku, 1)], "card_declined"), at=now) for sku in range(1, SKUS)]
    await place(pool, house, declined)
    await expect_money_untouched(pool, house, UNITS, lambda conn: run_due(conn, house.outside, PAY, now, 10))


@pytest.mark.parametrize("answers", [[], [REFUSED]])
async def test_years_and_units_are_locked_before_customs_moves_money(pool, house, answers):
    await place(pool, house, [ask(house, "CN_GP", CHINESE[0], "declared", [(0, 1)], "invoice")])
    outside = with_customs(house.outside, *answers)
    await expect_money_untouched(pool, house, UNITS if answers else YEARS, lambda conn: run_due(conn, outside, DECLARE, AT, 10))


# -- one resident's year ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
async def test_two_accounts_of_one_resident_never_exceed_the_year(pool, house, seed):
    draw = Stream(seed, "year")

    def wish(name):
        lines = [(0, 2)] if draw.happens(300) else [(1, 1)]
        return ask(house, "CN_GP", draw.choose(CHINESE), name, lines, draw.choose(["invoice", "cn_wallet", "card_late"]))

    lanes = [[[wish(f"{lane}-{turn}-{n}") for n in range(draw.between(1, 3))] for turn in range(3)] for lane in range(LANES)]
    answers = await race(*placing(pool, house, lanes))
    counts = told(answers)
    assert counts.keys() <= {"placed", "cbec_year_over_limit", "not_enough_units"}
    assert counts["placed"]
    assert counts["cbec_year_over_limit"]
    async with pool.connection() as conn:
        placed = {answer.checkout_id for batch in answers for answer in batch if answer.state == "placed"}
        sold = await units_of(conn, placed)
        held = sold.get("TASMAN-VITAMIN-C", 0) * VITAMIN_ORDER // 2 + sold.get("SAKURA-ROMPER", 0) * ROMPER_ORDER
        assert held <= FREE
        assert await year(conn, ORDERER) == (0, USED + held, 0, LIMIT - USED - held)
        stock = await shelves(conn, house)
        assert (stock["TASMAN-VITAMIN-C"][1] - 8, stock["SAKURA-ROMPER"][1]) == (sold.get("TASMAN-VITAMIN-C", 0), sold.get("SAKURA-ROMPER", 0))
        (rows,) = await fetch(conn, "select count(*), count(distinct checkout_id) from payment")
        assert rows == (len(placed) + 4, len(placed) + 4)  # losers have no payment
        assert await broken_rows(conn, house) == []


async def test_who_asks_twice_at_once_is_not_refused_what_the_first_time_took(pool, house, monkeypatch):
    """The first asking commits after the second has looked its key up and before it reads the shelf, which is then empty."""
    one = ask(house, "GB", BRITISH[0], "twice", [(1, 3)], "card_ok")  # all there are
    first = []

    async def read_late(conn, reference, requests):
        if not first:
            first.append(None)  # the first asking reads at once
            first[0] = (await place(pool, house, [one]))[0]
        return await read_ground(conn, reference, requests)

    monkeypatch.setattr(order_to_cash, "read_ground", read_late)
    second = (await place(pool, house, [one]))[0]
    assert first[0].state == "placed"
    assert (second.state, second.checkout_id, second.orders) == ("exists", first[0].checkout_id, first[0].orders)
