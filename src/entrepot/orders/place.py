"""Writing what a batch of checkouts decided: a handful of statements, whatever their number."""

from collections.abc import Sequence

from entrepot.base.batching import batch
from entrepot.base.sql import Conn, columns, execute
from entrepot.orders.model import Allocation, Checkout, Line, Order, Payment, Promise


async def insert_checkouts(conn: Conn, checkouts: Sequence[Checkout], payments: Sequence[Payment]) -> None:
    """Write checkouts with the payment each of them waits for."""
    await execute(
        conn,
        """
        insert into checkout (person_id, checkout_id, marketplace_code, channel_code, currency, state, total_minor, to_country_code,
                              postcode_prefix, method_code, placed_at, hold_expires_at, identity_id, quote_id)
        select * from unnest(%(person_id)s::uuid[], %(checkout_id)s::uuid[], %(marketplace_code)s::text[], %(channel_code)s::text[],
            %(currency)s::text[], %(state)s::text[], %(total_minor)s::bigint[], %(to_country_code)s::text[], %(postcode_prefix)s::text[],
            %(method_code)s::text[], %(placed_at)s::timestamptz[], %(hold_expires_at)s::timestamptz[], %(identity_id)s::uuid[],
            %(quote_id)s::uuid[])
        """,
        columns(
            checkouts,
            *("person_id", "checkout_id", "marketplace_code", "channel_code", "currency", "state", "total_minor", "to_country_code"),
            *("postcode_prefix", "method_code", "placed_at", "hold_expires_at", "identity_id", "quote_id"),
        ),
    )
    await execute(
        conn,
        """
        insert into payment (person_id, payment_id, checkout_id, method_code, state, currency, asked_minor, at)
        select * from unnest(%(person_id)s::uuid[], %(payment_id)s::uuid[], %(checkout_id)s::uuid[], %(method_code)s::text[], %(state)s::text[],
            %(currency)s::text[], %(asked_minor)s::bigint[], %(at)s::timestamptz[])
        """,
        columns(payments, "person_id", "payment_id", "checkout_id", "method_code", "state", "currency", "asked_minor", "at"),
    )


@batch
async def insert_orders(conn: Conn, orders: Sequence[Order], promises: Sequence[Promise]) -> None:
    """Write orders and the promises their lines point to."""
    await execute(
        conn,
        """
        insert into customer_order (merchant_id, order_id, person_id, checkout_id, number, marketplace_code, channel_code, currency, state,
                                    to_country_code, postcode_prefix, total_minor, placed_at, reference, speed_code)
        select * from unnest(%(merchant_id)s::uuid[], %(order_id)s::uuid[], %(person_id)s::uuid[], %(checkout_id)s::uuid[], %(number)s::text[],
            %(marketplace_code)s::text[], %(channel_code)s::text[], %(currency)s::text[], %(state)s::text[], %(to_country_code)s::text[],
            %(postcode_prefix)s::text[], %(total_minor)s::bigint[], %(placed_at)s::timestamptz[], %(reference)s::text[],
            %(speed_code)s::text[])
        """,
        columns(
            orders,
            *("merchant_id", "order_id", "person_id", "checkout_id", "number", "marketplace_code", "channel_code", "currency", "state"),
            *("to_country_code", "postcode_prefix", "total_minor", "placed_at", "reference", "speed_code"),
        ),
    )
    await insert_promises(conn, promises)


@batch
async def insert_promises(conn: Conn, promises: Sequence[Promise]) -> None:
    """Write windows that were shown; one that a quote showed already now also belongs to the order."""
    await execute(
        conn,
        """
        insert into promise (merchant_id, promise_id, order_id, quote_id, place_code, service_code, shown_at, ship_by_at, from_on, to_on)
        select * from unnest(%(merchant_id)s::uuid[], %(promise_id)s::uuid[], %(order_id)s::uuid[], %(quote_id)s::uuid[], %(place_code)s::text[],
            %(service_code)s::text[], %(shown_at)s::timestamptz[], %(ship_by_at)s::timestamptz[], %(from_on)s::date[], %(to_on)s::date[])
        on conflict (merchant_id, promise_id) do update set order_id = excluded.order_id where promise.order_id is null
        """,
        columns(
            promises,
            *("merchant_id", "promise_id", "order_id", "quote_id", "place_code", "service_code", "shown_at", "ship_by_at", "from_on", "to_on"),
        ),
    )


@batch
async def insert_lines(conn: Conn, lines: Sequence[Line]) -> None:
    """Write order lines."""
    await execute(
        conn,
        """
        insert into order_line (merchant_id, order_id, line_no, offer_id, stock_item_id, sku, model_code, plan_version, quantity,
                                unit_price_minor, listed_currency, charged_currency, settled_currency, rate_id, rate_locked_at, goods_minor,
                                discount_minor, freight_minor, insurance_minor, tax_minor, tax_on_top_minor, duty_minor, unit_weight_g, promise_id)
        select * from unnest(%(merchant_id)s::uuid[], %(order_id)s::uuid[], %(line_no)s::int[], %(offer_id)s::uuid[], %(stock_item_id)s::uuid[],
            %(sku)s::text[], %(model_code)s::text[], %(plan_version)s::int[], %(quantity)s::bigint[], %(unit_price_minor)s::bigint[],
            %(listed_currency)s::text[], %(charged_currency)s::text[], %(settled_currency)s::text[], %(rate_id)s::text[],
            %(rate_locked_at)s::timestamptz[], %(goods_minor)s::bigint[], %(discount_minor)s::bigint[], %(freight_minor)s::bigint[],
            %(insurance_minor)s::bigint[], %(tax_minor)s::bigint[], %(tax_on_top_minor)s::bigint[], %(duty_minor)s::bigint[],
            %(unit_weight_g)s::bigint[], %(promise_id)s::uuid[])
        """,
        columns(
            lines,
            *("merchant_id", "order_id", "line_no", "offer_id", "stock_item_id", "sku", "model_code", "plan_version", "quantity"),
            *("unit_price_minor", "listed_currency", "charged_currency", "settled_currency", "rate_id", "rate_locked_at", "goods_minor"),
            *("discount_minor", "freight_minor", "insurance_minor", "tax_minor", "tax_on_top_minor", "duty_minor", "unit_weight_g", "promise_id"),
        ),
    )


@batch
async def insert_allocations(conn: Conn, allocations: Sequence[Allocation]) -> None:
    """Write which place serves which units of which line."""
    await execute(
        conn,
        """
        insert into allocation (merchant_id, order_id, line_no, part_no, place_code, owner_id, customs_status, pool_code, consignment_id, quantity)
        select * from unnest(%(merchant_id)s::uuid[], %(order_id)s::uuid[], %(line_no)s::int[], %(part_no)s::int[], %(place_code)s::text[],
            %(owner_id)s::uuid[], %(customs_status)s::text[], %(pool_code)s::text[], %(consignment_id)s::uuid[], %(quantity)s::bigint[])
        """,
        columns(
            allocations,
            *("merchant_id", "order_id", "line_no", "part_no", "place_code", "owner_id", "customs_status", "pool_code", "consignment_id", "quantity"),
        ),
    )
