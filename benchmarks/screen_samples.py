"""What stands in the addresses of pages: rows of the house for each parameter, for visitors who see their own only, and queries that pages need."""

from collections.abc import Mapping
from typing import Final

PLACE: Final = "GB-LTN1"
"""Where the clerk works."""
_ORDER: Final = "select merchant_id, order_id from customer_order where state = 'delivered' order by placed_at desc limit 1"
_OWN_ORDER: Final = (
    "select merchant_id, order_id from customer_order where merchant_id = %(merchant)s and state = 'delivered' order by placed_at desc limit 1"
)
_BOUGHT: Final = "select merchant_id, order_id from customer_order where person_id = %(person)s and state = '{}' order by placed_at desc limit 1"
_WORK: Final = """
    select f.merchant_id, f.fulfilment_order_id as work_id from fulfilment_order f
    where f.place_code = 'GB-LTN1' and f.state = '{}' order by f.ship_by_at limit 1
"""
_LABELLED: Final = """
    select p.merchant_id, p.parcel_id from parcel p join consignment c using (merchant_id, consignment_id)
    join label l on l.merchant_id = p.merchant_id and l.parcel_id = p.parcel_id
    where c.place_code = 'GB-LTN1' order by p.labelled_at desc limit 1
"""
_POSTING: Final = """
    select p.merchant_id, p.posting_id from money_posting p where p.merchant_id = %(merchant)s and p.phase = 'posted' order by p.at desc limit 1
"""

LINKED: Final[Mapping[str, str]] = {
    "account": "select 'psp' as account",
    "carrier": "select c.carrier_code as carrier from parcel p join consignment c using (merchant_id, consignment_id) where c.place_code = 'GB-LTN1' limit 1",
    "carrier_code": "select c.carrier_code from parcel p join consignment c using (merchant_id, consignment_id) where c.place_code = 'GB-LTN1' limit 1",
    "checkout_id": "select checkout_id from checkout where person_id = %(person)s order by placed_at desc limit 1",
    "consignment_id": """
        select c.consignment_id from consignment c where c.merchant_id = %(merchant)s and c.state in ('released', 'planned') and c.doer = 'merchant'
        order by c.ship_by_at desc limit 1
    """,
    "correction_id": "select merchant_id, correction_id from money_correction limit 1",
    "declaration_id": "select merchant_id, declaration_id from declaration order by state_at desc limit 1",
    "event": "",
    "fee_no": "select cause_id, line_no, event, fee_no from fee_line where merchant_id = %(merchant)s order by charged_at desc limit 1",
    "invoice_id": "select invoice_id from invoice where merchant_id = %(merchant)s order by issued_at desc limit 1",
    "manifest_id": "select manifest_id from manifest where place_code = 'GB-LTN1' order by opened_at desc limit 1",
    "merchant_id": "select %(merchant)s::uuid as merchant_id",
    "name": "select 'entrepot.css' as name",
    "offer_id": "select merchant_id, offer_id from offer where marketplace_code = 'GB' and state = 'live' limit 1",
    "order_id": _OWN_ORDER,
    "parcel_id": _LABELLED,
    "path": "select 'entrepot.css' as path",
    "person_id": "select %(person)s::uuid as person_id",
    "place_code": "select 'GB-LTN1' as place_code",
    "plan_id": "select merchant_id, plan_id from inbound_plan where place_code = 'GB-LTN1' order by announced_at desc limit 1",
    "posting_id": _POSTING,
    "product_id": """
        select o.marketplace_code as store, i.product_id from offer o join stock_item i using (merchant_id, stock_item_id)
        where o.marketplace_code = 'GB' and o.state = 'live' limit 1
    """,
    "rma_id": "select merchant_id, rma_id from return_request where person_id = %(person)s order by asked_at desc limit 1",
    "sku": "select sku from stock_item where merchant_id = %(merchant)s order by sku limit 1",
    "statement_id": """
        select s.merchant_id, s.statement_id, l.kind, l.code from statement s left join statement_line l using (merchant_id, statement_id)
        where s.merchant_id = %(merchant)s order by l.kind is null, s.period_to desc limit 1
    """,
    "store": "select 'GB' as store",
    "work_id": _WORK.format("queued"),
}
"""A row by the last parameter of an address."""
SAMPLES: Final[Mapping[tuple[str, str], str]] = {
    ("/orders/{merchant_id}/{order_id}", "operator"): _ORDER,
    ("/orders/{merchant_id}/{order_id}", "buyer-gb"): _BOUGHT.format("delivered"),
    ("/orders/{merchant_id}/{order_id}/cancel", "buyer-gb"): _BOUGHT.format("in_work"),
    ("/orders/{merchant_id}/{order_id}/return", "buyer-gb"): _BOUGHT.format("delivered"),
    ("/floor/papers/{merchant_id}/{parcel_id}/customs.pdf", ""): _LABELLED.replace(
        "order by", "and c.to_country_code in ('US', 'CH', 'CA') order by"
    ),
    ("/checkout", ""): """
        select o.merchant_id, o.offer_id from offer o join stock_availability a using (merchant_id, stock_item_id)
        where o.marketplace_code = 'GB' and o.state = 'live' and a.place_code = 'GB-LTN1' and a.on_hand - a.reserved > 20 limit 1
    """,
    ("/floor/pack/{merchant_id}/{work_id}", ""): _WORK.format("picked"),
    ("/floor/returns/{merchant_id}/{rma_id}", ""): """
        select merchant_id, rma_id from return_request where place_code = 'GB-LTN1' order by asked_at desc limit 1
    """,
    ("/operator/corrections/new/{merchant_id}/{posting_id}", ""): _POSTING,
    ("/merchant/returns/{rma_id}", ""): "select rma_id from return_request where merchant_id = %(merchant)s order by asked_at desc limit 1",
    ("/orders/{merchant_id}/{order_id}/invoices/{invoice_id}", ""): """
        select i.merchant_id, o.order_id, i.invoice_id from customer_order o
        join invoice i on i.merchant_id = o.merchant_id and i.cause_id = o.order_id and i.kind = 'sale'
        where o.person_id = %(person)s order by o.placed_at desc limit 1
    """,
}
"""A row for an address, and for a visitor where it matters."""
NEEDED: Final[Mapping[str, str]] = {
    "/postings/{account}": "?currency=GBP",
    "/merchant/money/statements/{statement_id}/line": "?kind={kind}&code={code}",
    "/search": "?q=E4492",
    "/operator/rules/diff": "",
    "/new-password": "?link=TOKEN",
    "/checkout": "?store=GB&merchant={merchant_id}&offer={offer_id}",
}
"""What an address needs behind the question mark."""
