"""A small order file played through the flows: every line imported or refused with a reason, and a second call changes nothing."""

import psycopg
import pytest
from tests.factories.house import AT, KEYRING

from entrepot.flows.check_laws import check_laws
from entrepot.flows.hash_books import hash_books
from entrepot.flows.reference import read_reference
from entrepot.operations.registry import REGISTRY
from entrepot.world.import_orders import import_orders
from entrepot.world.import_terms import ImportTerms, parse_shares

pytestmark = pytest.mark.anyio

ROWS = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1,A100,DEMO LANTERN,6.0,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
1,B200,DEMO CLOCK,2,2010-12-01 08:26:00,10.00,17850.0,United Kingdom
1,POST,POSTAGE,1,2010-12-01 08:26:00,4.00,17850.0,United Kingdom
2,A100,DEMO LANTERN,3,2010-12-01 09:00:00,2.55,,United Kingdom
3,C300,DEMO MUG,1,2010-12-02 09:00:00,0.001,12345,United Kingdom
4,C300,DEMO MUG,1,2010-12-02 09:00:00,5.00,12345,Unspecified
C5,A100,DEMO LANTERN,-2,2010-12-03 10:00:00,2.55,17850.0,United Kingdom
C6,B200,DEMO CLOCK,-5,2010-12-03 10:00:00,10.00,17850.0,United Kingdom
7,B200,damaged,-1,2010-12-03 11:00:00,0,,United Kingdom
"""


class KilledError(Exception):
    """The program ended where a kill would have ended it."""


class Program:
    """Calls the importer on one database, each time until some more transactions were begun, and dies inside the last of them."""

    def __init__(self, conn, terms, folder, lives_for):
        self.conn, self.terms, self.folder, self.lives_for, self.begun = conn, terms, folder, lives_for, 0

    async def transact(self, work):
        async with self.conn.transaction():
            result = await work(self.conn)
            self.begun += 1
            if self.begun > self.lives_for:
                raise KilledError
            return result

    async def run(self):
        self.begun = 0
        return await import_orders(self.transact, REGISTRY, KEYRING, self.terms, AT, self.folder, lambda _done, _whole: None)


async def run_until_done(database, terms, folder, lives_for):
    """Return the report, the fingerprint of the books, and how many times the importer was killed."""
    kills = 0
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
        program = Program(conn, terms, folder, lives_for)
        while True:
            try:
                report = await program.run()
            except KilledError:
                kills += 1
                program.lives_for += 1
                continue
            return {key: report[key] for key in report if key not in {"elapsed_s", "peak_mb"}}, await hash_books(conn), kills


async def test_killed_at_every_step_it_ends_like_one_that_was_not(cluster, tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text(ROWS)
    terms = ImportTerms(path, parse_shares("fba=50,fbm=30,logistics_service=20"))
    told = {}
    for name, lives_for in (("whole", 1000), ("killed", 1)):
        cluster.clone(f"{cluster.prefix}_{name}")
        try:
            told[name] = await run_until_done(cluster.url(f"{cluster.prefix}_{name}"), terms, tmp_path, lives_for)
        finally:
            cluster.drop(f"{cluster.prefix}_{name}")
    assert told["killed"][:2] == told["whole"][:2]
    assert told["whole"][2] == 0
    assert told["killed"][2] >= 4


async def test_a_file_is_imported_once_and_every_line_is_accounted_for(database, tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text(ROWS)
    terms = ImportTerms(path, parse_shares("fba=50,fbm=30,logistics_service=20"))
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:

        async def transact(work):
            async with conn.transaction():
                return await work(conn)

        reports = [await import_orders(transact, REGISTRY, KEYRING, terms, AT, tmp_path, lambda _done, _whole: None) for _ in range(2)]
        laws = await check_laws(conn, await read_reference(conn, REGISTRY, AT.date()))
    for report in reports:
        assert (report["lines_read"], report["lines_imported"], report["lines_rejected"]) == (9, 6, 3)
        assert report["rejected"] == {"return_without_sale": 1, "too_many_decimals": 1, "unknown_country": 1}
        assert (report["accepted_minor"], report["returned_minor"]) == (1530 + 2000 + 400 + 765, 510)
        assert report["rejected_value"] == "-44.999"
    assert [(law.law, law.rows) for law in laws if law.broken] == []
