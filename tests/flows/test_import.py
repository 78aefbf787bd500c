"""A small order file played through the flows: every line imported or refused with a reason, and a second call changes nothing."""

import psycopg
import pytest
from tests.factories.house import AT, KEYRING

from entrepot.flows.check_laws import check_laws
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
