"""Which pages are looked at: every address of the application with a reader and a real record, and each page's empty and refused states."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

NO_PAGES: Final = frozenset(
    {
        "/",
        "/design/progress",
        "/floor/papers/{merchant_id}/{parcel_id}/customs.pdf",
        "/floor/papers/{merchant_id}/{parcel_id}/label.pdf",
        "/floor/papers/{merchant_id}/{parcel_id}/label.zpl",
        "/health",
        "/me/export",
        "/merchant/listings/bulk/offers.csv",
        "/merchant/money/invoices/{invoice_id}/pdf",
        "/metrics",
        "/openapi.json",
        "/operator/feed",
        "/operator/network/at",
        "/operator/network/live",
        "/operator/proof",
        "/orders/{merchant_id}/{order_id}/invoices/{invoice_id}",
        "/sign-in/code",
        "/static/{name}",
        "/store",
    }
)
"""Addresses that answer with no page of their own: files, parts of pages, lines that stay open, and what leads elsewhere."""

NOTHING: Final = "00000000-0000-7000-8000-000000000000"
"""An id that nothing has."""
_AUDIO: Final = "(select merchant_id from merchant where code = 'demo-shenzhen-audio')"
_LUTON: Final = "'GB-LTN1'"


@dataclass(frozen=True)
class Look:
    """A page to look at: who reads it (empty: nobody), its route, a query whose row gives the route's values, what stands behind the address.

    `sent` is a form that is sent from the page to that address (empty: the page's own, which `{here}` stands for), for the page that comes back; `status` is how the page answers.
    """

    name: str
    login: str
    route: str
    values: str = ""
    query: str = ""
    sent: tuple[str, Mapping[str, str]] | None = None
    status: int = 200
    given: Mapping[str, str] = field(default_factory=dict)


_ORDER: Final = "select merchant_id, order_id from customer_order where state = '{}' {} order by placed_at desc, order_id limit 1"
_OF_BUYER: Final = "and person_id = (select person_id from staff where login = 'buyer-gb')"
_OWN: Final = f"and merchant_id = {_AUDIO}"
_RETURN: Final = "select merchant_id, rma_id from return_request where {} order by asked_at desc, rma_id limit 1"
_STATEMENT: Final = f"select merchant_id, statement_id from statement where merchant_id = {_AUDIO} order by state, period_from limit 1"
_LINE: Final = f"""select l.statement_id, l.kind, l.code from statement_line l join statement s using (merchant_id, statement_id)
    where l.merchant_id = {_AUDIO} order by l.kind, l.code, l.statement_id limit 1"""
_PARCEL: Final = f"""select p.merchant_id, p.parcel_id from parcel p join consignment c using (merchant_id, consignment_id)
    where c.place_code = {_LUTON} and p.state = 'delivered' order by p.labelled_at desc, p.parcel_id limit 1"""
_WORK: Final = f"""select merchant_id, fulfilment_order_id as work_id from fulfilment_order
    where place_code = {_LUTON} and state = '{{}}' and not is_held order by queued_at desc, fulfilment_order_id limit 1"""
_TO_PACK: Final = f"""select merchant_id, fulfilment_order_id as work_id from fulfilment_order f where place_code = {_LUTON} and state = 'picked'
    and {{}} exists (select from scan s where s.kind = 'pack' and s.subject_id = f.fulfilment_order_id) limit 1"""
_TO_SHIP: Final = f"""select merchant_id, consignment_id, order_id from consignment
    where merchant_id = {_AUDIO} and doer = 'merchant' and state = '{{}}' order by planned_at desc, consignment_id limit 1"""
_FEE: Final = (
    f"select cause_id, line_no, event, fee_no from fee_line where merchant_id = {_AUDIO} order by charged_at, cause_id, line_no, fee_no limit 1"
)
_DECLARATION: Final = "select merchant_id, declaration_id from declaration where state {} order by state_at desc, declaration_id limit 1"
_PRODUCT: Final = """select o.marketplace_code as store, i.product_id from offer o join stock_item i using (merchant_id, stock_item_id)
    where o.state = 'live' and i.sku = '{}' and o.marketplace_code = '{}' limit 1"""
_CHECKOUT: Final = (
    "select checkout_id from checkout where person_id = (select person_id from staff where login = 'buyer-gb') order by placed_at desc limit 1"
)

_MANY: Final = "select checkout_id from customer_order group by checkout_id order by count(*) desc, max(placed_at) desc, checkout_id limit 1"
_FIRST_DELIVERED: Final = (
    f"select merchant_id, order_id from customer_order where state = 'delivered' {_OF_BUYER} order by placed_at, order_id desc limit 1"
)
"""An order that no other look sends back: its return is asked for, so that the label can be seen."""

LOOKS: Final = (
    # the door
    Look("sign-in", "", "/sign-in"),
    Look("sign-in-wrong", "", "/sign-in", sent=("/sign-in", {"login": "nobody", "password": "wrong", "next": "/"}), status=401),
    Look("forgotten", "", "/forgotten"),
    Look("new-password", "", "/new-password", query="token=spent", status=422),
    Look("not-found", "", "/nowhere", status=404),
    Look("not-found-signed-in", "operator", "/nowhere", status=404),
    Look("forbidden", "merchant", "/operator", status=403),
    Look("signed-out", "", "/operator"),
    Look("form-expired", "", "/sign-in", sent=("/preferences", {"form_token": "0" * 64}), status=403),
    Look("operations", "", "/operations"),
    Look("design", "operator", "/design"),
    Look("me", "operator", "/me"),
    Look("me-buyer", "buyer-gb", "/me"),
    Look("me-data", "buyer-gb", "/me/data"),
    # the store
    Look("store", "", "/store/{store}", given={"store": "GB"}),
    Look("store-china", "", "/store/{store}", given={"store": "CN_GP"}),
    Look("store-search", "", "/store/{store}", query="q=tea", given={"store": "GB"}),
    Look("store-nothing", "", "/store/{store}", query="q=zzzz", given={"store": "GB"}),
    Look("store-unknown", "", "/store/{store}", given={"store": "XX"}, status=404),
    Look("product", "", "/store/{store}/products/{product_id}", _PRODUCT.format("ARIA-HEADPHONES", "GB")),
    Look("product-china", "buyer-cn", "/store/{store}/products/{product_id}", _PRODUCT.format("ROSE-SERUM", "CN_GP")),
    Look("product-unknown", "", "/store/{store}/products/{product_id}", given={"store": "GB", "product_id": NOTHING}, status=404),
    Look("basket-empty", "", "/store/{store}/basket", given={"store": "DE"}),
    Look("basket", "buyer-gb", "/store/{store}/basket", given={"store": "GB"}),
    Look("basket-all", "", "/basket"),
    Look("checkout", "buyer-gb", "/checkout", query="store=GB"),
    Look(
        "checkout-faults",
        "buyer-gb",
        "/checkout",
        query="store=GB",
        sent=("/checkout", {"store": "GB", "basket": "yes", "country": "GB", "method": "", "address": "new"}),
        status=422,
    ),
    Look("checkout-china", "buyer-cn", "/checkout", query="store=CN_GP"),
    Look("confirmation", "buyer-gb", "/checkouts/{checkout_id}", _CHECKOUT),
    Look("confirmation-unknown", "buyer-gb", "/checkouts/{checkout_id}", given={"checkout_id": NOTHING}, status=404),
    Look("buyer-orders", "buyer-gb", "/orders"),
    Look("buyer-order", "buyer-gb", "/orders/{merchant_id}/{order_id}", _ORDER.format("delivered", _OF_BUYER)),
    Look("buyer-order-in-work", "buyer-gb", "/orders/{merchant_id}/{order_id}", _ORDER.format("in_work", _OF_BUYER)),
    Look("cancel", "buyer-gb", "/orders/{merchant_id}/{order_id}/cancel", _ORDER.format("in_work", _OF_BUYER)),
    Look("cancel-faults", "buyer-gb", "/orders/{merchant_id}/{order_id}/cancel", _ORDER.format("in_work", _OF_BUYER), sent=("", {}), status=422),
    Look("cancel-too-late", "buyer-gb", "/orders/{merchant_id}/{order_id}/cancel", _ORDER.format("delivered", _OF_BUYER)),
    Look("return-ask", "buyer-gb", "/orders/{merchant_id}/{order_id}/return", _ORDER.format("delivered", _OF_BUYER)),
    Look("return-faults", "buyer-gb", "/orders/{merchant_id}/{order_id}/return", _ORDER.format("delivered", _OF_BUYER), sent=("", {}), status=422),
    Look("return-too-early", "buyer-gb", "/orders/{merchant_id}/{order_id}/return", _ORDER.format("in_work", _OF_BUYER)),
    Look(
        "return", "buyer-gb", "/returns/{merchant_id}/{rma_id}", _RETURN.format("person_id = (select person_id from staff where login = 'buyer-gb')")
    ),
    Look(
        "return-label",
        "buyer-gb",
        "/orders/{merchant_id}/{order_id}/return",
        _FIRST_DELIVERED,
        sent=(
            "",
            {"units-1": "1", "reason": "changed_mind", "choice": "return", "step": "confirm", "request_key": "00000000000070008000000000000001"},
        ),
    ),
    Look("tour", "", "/tour"),
    Look("tour-unknown", "", "/tour/{tour_id}", given={"tour_id": NOTHING}, status=404),
    Look("return-unknown", "buyer-gb", "/returns/{merchant_id}/{rma_id}", given={"merchant_id": NOTHING, "rma_id": NOTHING}, status=404),
    # the merchant
    Look("merchant-home", "merchant", "/merchant"),
    Look("merchant-home-new", "merchant-au", "/merchant"),
    Look("merchant-start", "merchant", "/merchant/start"),
    Look("merchant-start-faults", "merchant", "/merchant/start", sent=("/merchant/start", {}), status=422),
    Look("merchant-listings", "merchant", "/merchant/listings"),
    Look("merchant-listings-none", "merchant", "/merchant/listings", query="q=zzzz"),
    Look("merchant-bulk", "merchant", "/merchant/listings/bulk"),
    Look(
        "merchant-bulk-faults",
        "merchant",
        "/merchant/listings/bulk",
        sent=(
            "/merchant/listings/bulk",
            {"rows": "sku,store,model,price\nNOPE,GB,fba,1.00\nARIA-HEADPHONES,GB,fba,-1\nARIA-HEADPHONES,XX,fba,1", "step": "show"},
        ),
        status=422,
    ),
    Look("merchant-orders", "merchant", "/merchant/orders"),
    Look("merchant-orders-none", "merchant", "/merchant/orders", query="q=zzzz"),
    Look("merchant-order", "merchant", "/merchant/orders/{order_id}", _ORDER.format("delivered", _OWN)),
    Look("merchant-order-in-work", "merchant", "/merchant/orders/{order_id}", _ORDER.format("in_work", _OWN)),
    Look("merchant-order-unknown", "merchant", "/merchant/orders/{order_id}", given={"order_id": NOTHING}, status=404),
    Look("merchant-ship", "merchant", "/merchant/ship"),
    Look("merchant-ship-none", "merchant", "/merchant/ship", query="q=zzzz"),
    Look("merchant-pick-list", "merchant", "/merchant/ship/pick-list"),
    Look("merchant-ship-one", "merchant", "/merchant/ship/{consignment_id}", _TO_SHIP.format("released")),
    Look("merchant-ship-faults", "merchant", "/merchant/ship/{consignment_id}", _TO_SHIP.format("released"), sent=("{here}/confirm", {}), status=422),
    Look("merchant-stock", "merchant", "/merchant/stock"),
    Look("merchant-stock-none", "merchant", "/merchant/stock", query="q=zzzz"),
    Look("merchant-stock-item", "merchant", "/merchant/stock/{sku}", given={"sku": "ARIA-HEADPHONES"}),
    Look("merchant-stock-unknown", "merchant", "/merchant/stock/{sku}", given={"sku": "NOPE"}, status=404),
    Look("merchant-messages", "merchant-gb", "/merchant/messages"),
    Look("merchant-messages-none", "merchant-au", "/merchant/messages"),
    Look("merchant-message", "merchant-gb", "/merchant/messages/{order_id}", "select order_id from thread order by opened_at desc limit 1"),
    Look("merchant-money", "merchant", "/merchant/money"),
    Look("merchant-fees", "merchant", "/merchant/fees"),
    Look("merchant-fees-none", "merchant-au", "/merchant/fees", query=f"order={NOTHING}"),
    Look("merchant-fee", "merchant", "/merchant/fees/{cause_id}/{line_no}/{event}/{fee_no}", _FEE),
    Look("merchant-returns", "merchant", "/merchant/returns"),
    Look("merchant-returns-none", "merchant", "/merchant/returns", query="state=cancelled"),
    Look(
        "merchant-return",
        "merchant",
        "/merchant/returns/{rma_id}",
        f"select rma_id from return_request where merchant_id = {_AUDIO} and taker_role = 'merchant' order by state = 'closed', asked_at desc, rma_id limit 1",
    ),
    Look(
        "merchant-return-of-the-platform",
        "merchant",
        "/merchant/returns/{rma_id}",
        f"select rma_id from return_request where merchant_id = {_AUDIO} and taker_role <> 'merchant' order by asked_at desc, rma_id limit 1",
    ),
    Look("merchant-invoices", "merchant", "/merchant/money/invoices"),
    Look(
        "merchant-invoice",
        "merchant",
        "/merchant/money/invoices/{invoice_id}",
        f"select invoice_id from invoice where merchant_id = {_AUDIO} order by issued_at limit 1",
    ),
    Look("merchant-payouts", "merchant-au", "/merchant/money/payouts"),
    Look("merchant-payouts-none", "merchant", "/merchant/money/payouts"),
    Look("merchant-statements", "merchant", "/merchant/money/statements"),
    Look("merchant-statement", "merchant", "/merchant/money/statements/{statement_id}", _STATEMENT),
    Look("merchant-statement-line", "merchant", "/merchant/money/statements/{statement_id}/line", _LINE, query="kind={kind}&code={code}"),
    Look("merchant-settings", "merchant", "/merchant/settings"),
    Look(
        "merchant-settings-faults",
        "merchant",
        "/merchant/settings",
        sent=("/merchant/settings/team", {"login": "x", "first_password": "y"}),
        status=422,
    ),
    Look("merchant-settings-staff", "merchant-staff", "/merchant/settings"),
    # the floor
    Look("floor-sign-on", "warehouse", "/floor/sign-on"),
    Look("floor-sign-on-fault", "warehouse", "/floor/sign-on", sent=("/floor/sign-on", {"place": "XX", "station": "", "next": "/floor"}), status=422),
    Look("floor", "warehouse", "/floor"),
    Look("floor-receive", "warehouse", "/floor/receive"),
    Look(
        "floor-receive-one",
        "warehouse",
        "/floor/receive/{merchant_id}/{plan_id}",
        f"select merchant_id, plan_id from inbound_plan where place_code = {_LUTON} and ended_at is null order by announced_at desc limit 1",
    ),
    Look("floor-stow", "warehouse", "/floor/stow"),
    Look("floor-pick", "warehouse", "/floor/pick"),
    Look("floor-pick-one", "warehouse", "/floor/pick", sent=("/floor/pick", {"do": "next", "device": "looks", "sequence": "2"})),
    Look("floor-pick-first", "warehouse", "/floor/pick/{merchant_id}/{work_id}", _WORK.format("queued")),
    Look("floor-pick-gone", "warehouse", "/floor/pick/{merchant_id}/{work_id}", _WORK.format("handed_over")),
    Look("floor-pack", "warehouse", "/floor/pack"),
    Look("floor-pack-one", "warehouse", "/floor/pack/{merchant_id}/{work_id}", _TO_PACK.format("not")),
    Look("floor-pack-carton", "warehouse", "/floor/pack/{merchant_id}/{work_id}", _TO_PACK.format("")),
    Look("floor-pack-done", "warehouse", "/floor/pack/{merchant_id}/{work_id}", _WORK.format("packed")),
    Look("floor-pack-refused", "warehouse", "/floor/pack/{merchant_id}/{work_id}", _WORK.format("queued")),
    Look("floor-papers", "warehouse", "/floor/papers/{merchant_id}/{parcel_id}", _PARCEL),
    Look("floor-hand-over", "warehouse", "/floor/hand-over"),
    Look("floor-hand-over-lane", "warehouse", "/floor/hand-over/{carrier}", given={"carrier": "ENTREPOT-LINE"}),
    Look("floor-hand-over-empty", "warehouse", "/floor/hand-over/{carrier}", given={"carrier": "DEMO-POST"}),
    Look(
        "floor-manifest",
        "warehouse",
        "/floor/manifests/{manifest_id}",
        f"select manifest_id from manifest where place_code = {_LUTON} order by opened_at desc limit 1",
    ),
    Look("floor-manifest-unknown", "warehouse", "/floor/manifests/{manifest_id}", given={"manifest_id": NOTHING}, status=404),
    Look("floor-returns", "warehouse", "/floor/returns"),
    Look("floor-return", "warehouse", "/floor/returns/{merchant_id}/{rma_id}", _RETURN.format(f"place_code = {_LUTON}")),
    Look("floor-problem", "warehouse", "/floor/problem"),
    Look(
        "floor-problem-fault", "warehouse", "/floor/problem", sent=("/floor/problem", {"code": "nothing-like-it", "device": "looks", "sequence": "1"})
    ),
    Look("floor-board", "warehouse", "/floor/board"),
    # the house
    Look("operator", "operator", "/operator"),
    Look("orders", "operator", "/orders"),
    Look("orders-none", "operator", "/orders", query="state=awaiting_payment&model=global_purchase"),
    Look("orders-refused", "operator", "/orders", query="state=nonsense", status=422),
    Look("order-delivered", "operator", "/orders/{merchant_id}/{order_id}", _ORDER.format("delivered", "")),
    Look("order-china", "operator", "/orders/{merchant_id}/{order_id}", _ORDER.format("delivered", "and marketplace_code = 'CN_GP'")),
    Look("order-held", "operator", "/orders/{merchant_id}/{order_id}", "select merchant_id, order_id from order_hold limit 1"),
    Look("order-cancelled", "operator", "/orders/{merchant_id}/{order_id}", _ORDER.format("cancelled", "")),
    Look("order-unknown", "operator", "/orders/{merchant_id}/{order_id}", given={"merchant_id": NOTHING, "order_id": NOTHING}, status=404),
    Look("stock", "operator", "/stock", query="merchant=demo-shenzhen-audio"),
    Look("stock-balances", "operator", "/stock", query="merchant=demo-shenzhen-audio&view=balances"),
    Look("stock-moves", "operator", "/stock", query="merchant=demo-shenzhen-audio&view=moves"),
    Look("stock-none", "operator", "/stock", query="merchant=demo-shenzhen-audio&item=NOPE", status=404),
    Look("postings", "operator", "/postings"),
    Look("account", "operator", "/postings/{account}", query="currency=GBP", given={"account": "psp"}),
    Look("account-none", "operator", "/postings/{account}", query="currency=SEK", given={"account": "psp"}),
    Look(
        "posting",
        "operator",
        "/posting/{merchant_id}/{posting_id}",
        "select merchant_id, posting_id from money_posting where kind = 'sale' and phase in ('posted', 'post') order by at desc, posting_id limit 1",
    ),
    Look("posting-unknown", "operator", "/posting/{merchant_id}/{posting_id}", given={"merchant_id": NOTHING, "posting_id": NOTHING}, status=404),
    Look("search-nothing", "operator", "/search", query="q=E9999"),
    Look("search-many", "operator", "/search", _MANY, query="q={checkout_id}"),
    Look("audit", "operator", "/operator/audit"),
    Look("audit-none", "operator", "/operator/audit", query=f"record={NOTHING}"),
    Look(
        "buyer",
        "operator",
        "/operator/buyers/{person_id}",
        "select person_id from customer_order group by person_id order by count(*) desc, person_id limit 1",
    ),
    Look("buyer-unknown", "operator", "/operator/buyers/{person_id}", given={"person_id": NOTHING}, status=404),
    Look("corrections", "finance", "/operator/corrections"),
    Look("corrections-none", "finance", "/operator/corrections", query="state=rejected"),
    Look(
        "correction",
        "finance",
        "/operator/corrections/{merchant_id}/{correction_id}",
        "select merchant_id, correction_id from money_correction limit 1",
    ),
    Look(
        "correction-own",
        "operator",
        "/operator/corrections/{merchant_id}/{correction_id}",
        "select merchant_id, correction_id from money_correction limit 1",
    ),
    Look(
        "correction-new",
        "finance",
        "/operator/corrections/new/{merchant_id}/{posting_id}",
        "select merchant_id, posting_id from money_posting where kind = 'sale' and phase in ('posted', 'post') order by at, posting_id limit 1",
    ),
    Look(
        "correction-faults",
        "finance",
        "/operator/corrections/new/{merchant_id}/{posting_id}",
        "select merchant_id, posting_id from money_posting where kind = 'sale' and phase in ('posted', 'post') order by at, posting_id limit 1",
        sent=("", {"account": "tax.XX", "currency": "GBP", "debit": "1x", "credit": "", "reason": "", "request_key": "k"}),
        status=422,
    ),
    Look("customs", "operator", "/operator/customs"),
    Look("customs-none", "operator", "/operator/customs", query="q=zzzz"),
    Look("declaration", "operator", "/operator/customs/{merchant_id}/{declaration_id}", _DECLARATION.format("= 'released'")),
    Look(
        "declaration-held",
        "operator",
        "/operator/customs/{merchant_id}/{declaration_id}",
        _DECLARATION.format("in ('held', 'refused', 'limit_reached')"),
    ),
    Look("due", "operator", "/operator/due"),
    Look("entities", "operator", "/operator/entities"),
    Look("finance", "operator", "/operator/finance"),
    Look("health-page", "operator", "/operator/health"),
    Look("invoices", "operator", "/operator/invoices"),
    Look("merchants", "operator", "/operator/merchants"),
    Look("merchants-none", "operator", "/operator/merchants", query="q=zzzz"),
    Look("merchant", "operator", "/operator/merchants/{merchant_id}", f"select {_AUDIO} as merchant_id"),
    Look("network", "operator", "/operator/network"),
    Look("payouts", "operator", "/operator/payouts"),
    Look("place", "operator", "/operator/places/{place_code}", given={"place_code": "GB-LTN1"}),
    Look("place-unknown", "operator", "/operator/places/{place_code}", given={"place_code": "XX"}, status=404),
    Look("rules", "operator", "/operator/rules"),
    Look("rules-diff", "operator", "/operator/rules/diff", query="from=2026-01-01&to=2026-12-01"),
    Look("rules-diff-refused", "operator", "/operator/rules/diff", query="from=nonsense", status=422),
    Look("statement", "operator", "/operator/statements/{merchant_id}/{statement_id}", _STATEMENT),
    Look("tower", "operator", "/operator/tower"),
)
