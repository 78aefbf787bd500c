"""How the database finds what placing and paying an order looks up, in a house that has not kept statistics of anything yet."""

import psycopg
import pytest
from tests.factories.house import AT, BUYER, find_offer, open_house, put_stock, request

from entrepot.base.tables import TableClass
from entrepot.bootstrap.database import in_transaction, open_pool
from entrepot.bootstrap.tables import all_tables
from entrepot.flows.order_to_cash import PAY, place_orders
from entrepot.flows.run_due import run_due

pytestmark = pytest.mark.anyio
AUDIO, ARIA = "demo-shenzhen-audio", "ARIA-HEADPHONES"


@pytest.fixture
def houses(cluster):
    """Two databases: one to place an order in, and one in which nothing has happened."""
    names = [f"{cluster.prefix}_plans_{name}" for name in ("lived", "new")]
    yield [cluster.clone(name) for name in names]
    for name in names:
        cluster.drop(name)


async def statements(url):
    """Place an order and take its payment; return what was asked of the database by either."""
    async with await psycopg.AsyncConnection.connect(url) as conn:
        _, outside = await open_house(conn)
        await put_stock(conn, AUDIO, ARIA, "GB-LTN1", 5)
        offer = await find_offer(conn, AUDIO, ARIA, "GB", "fba")
    async with open_pool(url, 1) as pool:
        asked = request([(offer, 1)], "GB", "GB", method="card_ok")
        (answer,) = await in_transaction(pool, lambda conn: place_orders(conn, outside, [asked], BUYER))
        assert await in_transaction(pool, lambda conn: run_due(conn, outside, PAY, AT, 10)) == 1
        async with pool.connection() as conn:
            paid = await conn.execute("select count(*) from customer_order where state = 'in_work'")
            assert (answer.state, await paid.fetchone()) == ("placed", (1,))
            return [text.decode() for text, _ in conn.names]


def scans(plan):
    """Return every node of a plan that reads a table."""
    here = [plan] if "Relation Name" in plan and plan["Node Type"] != "ModifyTable" else []
    return here + [one for below in plan.get("Plans", []) for one in scans(below)]


def whole_reads(conn, asked):
    """Return the tables that grow with the orders of which a statement would read all, with the statement."""
    grow = {name for name, table in all_tables().tables.items() if table.info["class"] in {TableClass.TENANT, TableClass.PERSON}}
    found: list[str] = []
    for text in asked:
        ((plan,),) = conn.execute(f"explain (generic_plan, format json) {text}".encode()).fetchall()
        read = [node["Relation Name"] for node in scans(plan[0]["Plan"]) if not {"Index Cond", "Recheck Cond"} & node.keys()]
        found += [f"{table} in: {' '.join(text.split())[:120]}" for table in read if table in grow]
    return found


async def test_what_an_order_looks_up_is_found_by_key_before_there_are_statistics(houses):
    asked = [text for text in await statements(houses[0]) if text.split()[0] in {"select", "insert", "update", "delete", "with"}]
    with psycopg.connect(houses[1], autocommit=True) as conn:
        assert len(asked) > 30
        assert whole_reads(conn, asked) == []
        conn.execute("analyze")  # with statistics of empty tables reading all of them looks cheap: then this test sees it
        assert len(whole_reads(conn, asked)) > 10
