"""A shop with some days of trade, served by the real web process, and programs that speak to it."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest
from tests.factories.house import find_offer
from tests.factories.programs import bearer, issue_tokens, order_message
from tests.factories.served import served
from tests.factories.shown_house import fill_database, keep_keyring

from entrepot.bootstrap.tables import all_tables


@dataclass(frozen=True)
class Shop:
    """A served database, a client that speaks to it, and an offer that may be ordered."""

    url: str
    address: str
    port: int
    client: httpx.Client
    conn: psycopg.Connection
    offer: Any

    def message(self, quantity=1, **more):
        return order_message(self.offer, quantity, **more)

    def order(self, key, body, login="storefront"):
        return self.client.post("/orders", json=body, headers=bearer(login, key))

    def quote(self, **more):
        return self.client.post("/quotes", json=self.message(payment_method=None, **more), headers=bearer())

    def contents(self):
        """Return how many rows each table has, and a sum over all that is in them: equal only when nothing was written."""
        sums = "select '{0}', count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) from {0} t"
        return sorted(self.conn.execute(" union all ".join(sums.format(name) for name in all_tables().tables)).fetchall())


@pytest.fixture(scope="session")
def shop(cluster, tmp_path_factory) -> Iterator[Shop]:
    """The shop; tests that write leave enough for the others."""
    name = f"{cluster.prefix}_contract"
    url = cluster.clone(name)
    offer = asyncio.run(fill(url))
    with (
        served(url, keep_keyring(tmp_path_factory.mktemp("data"))) as address,
        httpx.Client(base_url=address, timeout=30) as client,
        psycopg.connect(url, autocommit=True) as conn,
    ):
        yield Shop(url, address, int(address.rpartition(":")[2]), client, conn, offer)
    cluster.drop(name)


async def fill(url):
    await fill_database(url)
    await issue_tokens(url)
    async with await psycopg.AsyncConnection.connect(url) as conn:
        return await find_offer(conn, "demo-shenzhen-audio", "LINK-CABLE", "GB", "fba")
