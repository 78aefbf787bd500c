"""The soak of `make soak-intake`, short, and its proof: each fault that it looks for is made on purpose and must be found."""

import asyncio
import json
import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
from benchmarks.soak_clients import Sent
from benchmarks.soak_program import is_complaint, is_database_complaint
from benchmarks.soak_proof import find_faults, waiting_steps
from benchmarks.soak_world import CHARGES, METHODS, Wish, advance_clock, bring_stock, draw_wish, open_world
from tests.factories.house import KEYRING

from entrepot.base.batching import BatchLimits
from entrepot.base.time import RealClock
from entrepot.bootstrap.application import PooledDatabase
from entrepot.bootstrap.database import in_transaction, open_pool
from entrepot.bootstrap.outside import FreshOutside
from entrepot.bootstrap.settings import read_settings
from entrepot.flows.order_to_cash import EXPIRE, PAY
from entrepot.flows.run_due import run_due
from entrepot.operations.registry import REGISTRY
from entrepot.surfaces.api.intake import Intake
from entrepot.surfaces.web.house import House, Proofs

ROOT = Path(__file__).parents[2]
SEED = 7


def test_short_soak():
    """One kill of each; whatever is broken is in the output, with the seed."""
    command = [sys.executable, "-m", "benchmarks.soak", "--small", "--seed", str(SEED)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ENTREPOT_")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = dict(re.findall(r"^(\S.*?) {2,}(\S.*)$", done.stdout, re.MULTILINE))
    assert {told[f"killed: {kind}"] for kind in ("server", "worker", "database", "backend")} == {"1"}, done.stdout
    assert told["seed"] == str(SEED)
    assert int(told["acknowledged"]) > 0
    assert told["broken"] == "0"


# -- the proof -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def soaked(cluster, tmp_path_factory):
    """A database after some orders of every kind whose payments are all decided, and what their clients know."""
    name = f"{cluster.prefix}_soak"
    url = cluster.clone(name)
    yield url, asyncio.run(take_orders(url, tmp_path_factory.mktemp("soak")))
    cluster.drop(name)


async def take_orders(url, data):
    world = await open_world(url, KEYRING)
    await bring_stock(url, world, 0, 40)
    settings = read_settings({"DATABASE_URL": url, "ENTREPOT_DATA": str(data), "ENTREPOT_SPEED": "1"})
    async with open_pool(url, 4) as pool:
        house = House(PooledDatabase(pool, pool), FreshOutside(settings), REGISTRY, KEYRING, Proofs())
        transport = httpx.ASGITransport(Intake(house, BatchLimits(), lambda _: None))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            sent = [await send(client, world, wish) for wish in wishes(world)]
        await decide(pool, house, url)
    return sent


def wishes(world):
    """One order of each method of each country, and one for more than there is."""
    dice, drawn = random.Random(SEED), {}  # noqa: S311 -- repeatable on purpose
    for number in range(2000):
        wish = draw_wish(dice, world, f"soak-{number}")
        drawn.setdefault((wish.method, b"identity_id" in wish.body), wish)
    assert len(drawn) == sum(map(len, METHODS.values()))
    first = next(iter(drawn.values()))
    too_much = first.body.replace(b'"quantity": ', b'"quantity": 9999')
    return [*drawn.values(), replace(first, key="soak-refused", body=too_much)]


async def send(client, world, wish: Wish):
    headers = {"authorization": f"Bearer {world.token}", "idempotency-key": wish.key}
    answer = await client.post("/orders", content=wish.body, headers=headers)
    return Sent(wish, answer.status_code, answer.json())


async def decide(pool, house, url):
    """Let two hours pass in steps, with what is due after each."""
    began_at = RealClock().now()
    for step in range(1, 9):
        now = began_at + timedelta(minutes=15 * step)
        await advance_clock(url, now)
        for step_code in (PAY, EXPIRE):

            async def run(conn, step_code=step_code, now=now):
                return await run_due(conn, await house.outside.current(conn, now), step_code, now, 100)

            await in_transaction(pool, run)


@pytest.fixture
def conn(soaked):
    with psycopg.connect(soaked[0]) as connection:
        yield connection
        connection.rollback()


def test_nothing_is_found_where_nothing_is_wrong(soaked, conn):
    sent = soaked[1]
    assert [one.status for one in sent] == [201] * (len(sent) - 1) + [409]
    assert waiting_steps(conn) == 0
    assert find_faults(conn, sent) == []
    states = {row[0] for row in conn.execute("select state from checkout")}
    assert states >= {"paid", "declined"}


PAID, UNPAID = (
    "(select checkout_id from checkout where state = 'paid' order by 1 limit 1)",
    "(select checkout_id from checkout where state = 'declined' order by 1 limit 1)",
)
ORDER = f"(select order_id from customer_order where checkout_id = {PAID} order by 1 limit 1)"
UNPAID_ORDERS = f"(select order_id from customer_order where checkout_id = {UNPAID})"


def copied(table, **changes):
    """Insert a row once more with some columns changed."""
    return f"insert into {table} select (jsonb_populate_record(t, jsonb_build_object({', '.join(f'{name!r}, {value}' for name, value in changes.items())}))).* from {table} t"


FAULTS = {
    "an order is lost": (
        [f"delete from order_line where order_id = {ORDER}", f"delete from customer_order where order_id = {ORDER}"],
        ["not the orders that were acknowledged", "not the units that were asked for", "left behind by what does not exist"],
    ),
    "a checkout is lost": (
        [
            f"delete from payment_event where payment_id = (select payment_id from payment where checkout_id = {PAID})",
            f"delete from payment p using (select {PAID} as id) l where p.checkout_id = l.id",
            f"delete from checkout where checkout_id = {PAID}",
        ],
        [
            "acknowledged and not there",
            "not exactly one payment",
            "units are held for a checkout that is over",
            "the money book holds another amount",
        ],
    ),
    "an order is there twice": (
        [copied("customer_order", order_id="gen_random_uuid()", number="'twice'") + f" where t.order_id = {ORDER}"],
        ["not the orders that were acknowledged", "order totals differ from the checkout's"],
    ),
    "a checkout is there twice": (
        [copied("checkout", checkout_id="gen_random_uuid()") + f" where t.checkout_id = {PAID}"],
        ["there and never acknowledged"],
    ),
    "a total is changed": (
        [f"update checkout set total_minor = total_minor + 1 where checkout_id = {PAID}"],
        ["acknowledged with another total"],
    ),
    "a line is longer": (
        [f"update order_line set quantity = quantity + 1 where order_id = {ORDER}"],
        ["not the units that were asked for"],
    ),
    "a key is lost": (
        [f"delete from person_request where answer ->> 'checkout_id' = {PAID}::text"],
        ["a key does not find its checkout", "charged and not found by its key"],
    ),
    "a key finds another checkout": (
        [f"update person_request set answer = answer || jsonb_build_object('checkout_id', {UNPAID}) where answer ->> 'checkout_id' = {PAID}::text"],
        ["a key does not find its checkout", "charged and not found by its key"],
    ),
    "a refusal leaves its key": (
        [copied("person_request", request_key="'soak-refused'", answer="null") + f" where t.answer ->> 'checkout_id' = {PAID}::text"],
        ["a key is kept of what was refused"],
    ),
    "money is taken twice": (
        [
            f"update payment set captured_minor = 2 * captured_minor where checkout_id = {PAID}",
            copied("payment_event", event_key="'capture:2'")
            + f" where t.kind = 'capture' and t.payment_id = (select payment_id from payment where checkout_id = {PAID})",
        ],
        ["charged another amount", "payment differs from its events", "the money book holds another amount"],
    ),
    "money is taken without an event": (
        [f"update payment set captured_minor = asked_minor where checkout_id = {UNPAID}"],
        ["charged another amount", "payment differs from its events", "the money book holds another amount"],
    ),
    "a paid order is dropped": (
        [f"update checkout set state = 'expired' where checkout_id = {PAID}"],
        ["charged another amount", "a payment that had to end otherwise", "units are held for a checkout that is over"],
    ),
    "an expired checkout still waits": (
        [
            f"update customer_order set state = 'awaiting_payment' where order_id in {UNPAID_ORDERS}",
            f"update stock_reservation set open_quantity = quantity, state = 'held' where holder_id in {UNPAID_ORDERS}",
            f"update checkout set state = 'awaiting_payment' where checkout_id = {UNPAID}",
        ],
        ["a payment that had to end otherwise", "units are held for a checkout that is over", "reserved is not what reservations hold"],
    ),
    "a hold is of no order": (
        [copied("stock_reservation", holder_id="gen_random_uuid()") + f" where t.holder_id = {ORDER} and t.line_no = 1"],
        ["units are held for a checkout that is over", "reserved is not what reservations hold"],
    ),
    "a year is not given back": (["delete from quota_entry where kind = 'release'"], ["quota is held for a checkout that is over"]),
    "reserved is too much": (
        ["update stock_availability set reserved = reserved + 1 where on_hand > reserved"],
        ["reserved is not what reservations hold"],
    ),
    "a sale is not decided": (
        [
            "create temp table gone on commit drop as select posting_id from money_posting where phase = 'void'",
            "delete from money_entry where posting_id in (select posting_id from gone)",
            "delete from money_posting where posting_id in (select posting_id from gone)",
        ],
        ["a sale waits for nobody"],
    ),
    "an order waits alone": (
        [f"update customer_order set state = 'awaiting_payment' where order_id = {ORDER}"],
        ["an order waits and its checkout does not"],
    ),
    "a step of nothing": (
        [
            """insert into due_work (merchant_id, step_code, subject_id, due_at)
               select merchant_id, 'take_payments', gen_random_uuid(), placed_at from customer_order limit 1"""
        ],
        ["a later step of no checkout"],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(soaked, conn, fault):
    statements, expected = FAULTS[fault]
    for statement in statements:
        assert conn.execute(statement).rowcount != 0, statement
    found = find_faults(conn, soaked[1])
    assert {name for name in expected if any(one.startswith(name) for one in found)} == set(expected), found


def test_what_clients_were_told_counts(soaked, conn):
    first, second, *rest = soaked[1]
    unanswered = replace(first, status=0, answer={})
    assert [one for one in find_faults(conn, [unanswered, second, *rest]) if first.wish.key in one] == [f"no definite answer: {first.wish.key}"]
    conn.rollback()
    mixed = [replace(first, answer=second.answer), second, *rest]
    assert any(one.startswith("one key was answered with another's checkout") for one in find_faults(conn, mixed))
    conn.rollback()
    refused = [replace(first, status=409), second, *rest]
    assert any(one.startswith("there and never acknowledged") for one in find_faults(conn, refused))
    conn.rollback()
    wish = replace(first.wish, method="card_declined" if first.wish.method in CHARGES else "card_ok")
    assert any(one.startswith("a payment that had to end otherwise") for one in find_faults(conn, [replace(first, wish=wish), second, *rest]))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"level": "warning", "event": "discarding closed connection"}, False),
        ({"level": "error", "event": "child_died", "child": "web", "status": -9}, False),
        ({"level": "error", "event": "child_died", "child": "worker", "status": 1}, True),
        ({"level": "error", "event": "intake_failed"}, True),
        ({"level": "error", "event": "telling_failed", "exception": "…DatabaseUnreachableError: database_unreachable…"}, False),
        ({"level": "error", "event": "telling_failed", "exception": "…KeyError…"}, True),
        ("Traceback (most recent call last):", True),
        ("", False),
    ],
)
def test_complaints_of_the_program(line, expected):
    assert is_complaint(line if isinstance(line, str) else json.dumps(line)) is expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-11-27 22:00:07.530 UTC [424] FATAL:  terminating connection due to unexpected postmaster exit", False),
        ("2026-11-27 22:00:07.530 UTC [424] FATAL:  the database system is in recovery mode", False),
        ("2026-11-27 22:00:07.530 UTC [424] LOG:  database system is ready to accept connections", False),
        ("2026-11-27 22:00:07.530 UTC [424] ERROR:  deadlock detected", True),
        ('2026-11-27 22:00:07.530 UTC [424] ERROR:  duplicate key value violates unique constraint "checkout_pk"', True),
        ("2026-11-27 22:00:07.530 UTC [424] PANIC:  could not write to file", True),
    ],
)
def test_complaints_of_the_database(line, expected):
    assert is_database_complaint(line) is expected
