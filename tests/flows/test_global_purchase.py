"""Global Purchase end to end: direct (9610) and out of bond (1210), from the order to the merchant's balance, and what is refused before anything is written."""

import pytest
from tests.factories.china import (
    BONDED,
    DIRECT,
    LIMIT,
    LYON,
    ORDERER,
    OSAKA,
    PAYER,
    TASMAN,
    VITAMIN,
    balances,
    count_rows,
    declare,
    declared,
    deliver,
    offer_at,
    order,
    pack,
    place,
    proofs,
    send,
    snapshot,
    state_of,
    stock,
    with_customs,
    year,
)
from tests.factories.house import AT, BUYER, later, open_house

from entrepot.adapters.bank import BuiltInBank
from entrepot.base.due import take_due
from entrepot.books.stock.model import Consumption
from entrepot.books.stock.read import read_units
from entrepot.books.stock.reserve import release_units
from entrepot.catalogue.demo import DEMO
from entrepot.customs.fit import read_order_quota
from entrepot.customs.hold import release_quota
from entrepot.customs.quota import CloseAsk
from entrepot.customs.read import read_declarations_of_orders, read_messages
from entrepot.flows.hold import hold_checkouts
from entrepot.flows.open_house import admission_rule
from entrepot.flows.order_to_cash import SETTLE, place_orders, quote_checkouts, settle_orders
from entrepot.flows.plan_checkout import NET_CONTENT
from entrepot.flows.settle_period import close_periods, send_payouts
from entrepot.operations.registry import REGISTRY
from entrepot.orders.read import list_orders
from entrepot.parties.commands import open_models
from entrepot.parties.model import MerchantNotAdmittedError, ModelOpening, merchant_id_of
from entrepot.settlement.statements import read_payouts
from entrepot.warehouse.model import WorkState
from entrepot.warehouse.readers import read_queue

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("place_code", "regime", "expected"),
    [
        (DIRECT, "9610", [(1, "export", "EXPORT", "released", ""), (1, "import", "9610", "released", "")]),
        ("KR-ICN1", "9610", [(1, "export", "EXPORT", "released", ""), (1, "import", "9610", "released", "")]),
        (BONDED, "1210", [(1, "import", "1210", "released", "")]),
    ],
)
async def test_an_order_is_declared_packed_delivered_and_settled(conn, place_code, regime, expected):
    _, outside = await open_house(conn)
    offer = await offer_at(conn, TASMAN, VITAMIN, "480.00")
    await stock(conn, TASMAN, VITAMIN, place_code, 3)
    answer, key = await place(conn, outside, [(offer, 1)])
    assert (answer.total_minor, answer.currency) == (52_368, "CNY")
    assert await year(conn) == (0, 48_000, 0, LIMIT - 48_000)
    assert await state_of(conn, key) == "paid"
    assert await read_queue(conn, place_code, WorkState.QUEUED, 10) == []  # the floor waits for customs
    assert await declare(conn, outside, AT) == 1
    assert await declared(conn, key) == expected
    assert await year(conn) == (48_000, 0, 0, LIMIT - 48_000)
    assert await state_of(conn, key) == "in_work"
    assert len(await send(conn, outside, place_code, later(hours=3))) == 1
    await deliver(conn, outside, key, later(days=6))
    assert await state_of(conn, key) == "delivered"
    await settle_orders(conn, outside, await take_due(conn, SETTLE, later(days=30), 10), later(days=30))
    held = await balances(conn, key[0])
    assert (held["psp"], held["cbec_tax.CN"]) == (52_368, -4_368)
    assert held["fee.customs_service"] == -600
    fees = -sum(minor for account, minor in held.items() if account.startswith("fee."))
    assert held["mer"] == -(48_000 - fees)
    assert await year(conn) == (48_000, 0, 0, LIMIT - 48_000)
    assert dict(await read_units(conn)) == {"@customer": 1, "@supplier": -3, place_code: 2}
    assert await proofs(conn, outside, later(days=30)) == []
    assert regime in {row[2] for row in await declared(conn, key)}


async def test_the_merchant_is_paid_in_its_own_currency(conn):
    _, outside = await open_house(conn)
    offer = await offer_at(conn, TASMAN, VITAMIN, "480.00")
    await stock(conn, TASMAN, VITAMIN, BONDED, 3)
    _, key = await place(conn, outside, [(offer, 1)])
    await declare(conn, outside, AT)
    await send(conn, outside, BONDED, later(hours=3))
    await deliver(conn, outside, key, later(days=3))
    await settle_orders(conn, outside, await take_due(conn, SETTLE, later(days=30), 10), later(days=30))
    await close_periods(conn, outside, later(days=60))
    await send_payouts(conn, BuiltInBank(), later(days=60))
    (payout,) = await read_payouts(conn, key[0])
    assert (payout.currency, payout.paid_currency, str(payout.state)) == ("CNY", "AUD", "sent")
    assert await proofs(conn, outside, later(days=61)) == []


async def test_what_customs_gets_to_see(conn):
    house, outside = await open_house(conn)
    outside = with_customs(outside)
    offer = await offer_at(conn, TASMAN, VITAMIN, "240.00")
    await stock(conn, TASMAN, VITAMIN, DIRECT, 3)
    _, key = await place(conn, outside, [(offer, 2)])
    await declare(conn, outside, AT)
    export, imported = sorted((one.declaration for one in await read_declarations_of_orders(conn, [key[0]], [key[1]])), key=lambda one: one.kind)
    entity = house.parties.entity_ids
    assert (imported.declarant.code, imported.declarant.party_id) == ("domestic_agent", entity["entrepot-agent-cn-gp"])
    assert (imported.importer.code, imported.taxpayer.party_id) == ("buyer", ORDERER)
    assert (imported.exporter.code, imported.exporter.party_id) == ("merchant", key[0])
    assert (export.declarant.party_id, export.ship_from, export.ship_to) == (key[0], "HK", "CN")
    (line,) = imported.lines
    assert (line.quantity, line.customs_value_minor, line.duty_minor, line.tax_minor, line.net_weight_g) == (2, 48_000, 0, 4_368, 520)
    kinds = [message.kind for message in await read_messages(conn, key[0], imported.declaration_id)]
    assert sorted(kinds) == ["answer", "declaration", "logistics", "order", "payment"]
    (sent,) = [one for one in outside.customs.sent if one.kind == "import"]
    senders = [sent.order.sender_id, sent.payment.sender_id, sent.logistics.sender_id]
    assert senders == [entity[f"entrepot-{name}-cn-gp"] for name in ("marketplace", "payments", "logistics")]
    assert (sent.order.orderer_id, sent.payment.payer_id, sent.payment.paid_minor, sent.logistics.piece_count) == (ORDERER, ORDERER, 52_368, 2)


async def test_two_items_over_the_order_limit_are_refused_with_the_remedy(conn):
    _, outside = await open_house(conn)
    offer = await offer_at(conn, TASMAN, VITAMIN, "2600.00")
    await stock(conn, TASMAN, VITAMIN, BONDED, 3)
    before = await snapshot(conn)
    rows = await count_rows(conn, "customer_order", "quota_entry", "money_posting", "due_work", "checkout")
    (answer,) = await place_orders(conn, outside, [order([(offer, 2)])], BUYER)
    assert (answer.state, answer.refusal.code) == ("refused", "cbec_order_over_limit")
    assert "Split the items" in answer.refusal.remedy
    assert await snapshot(conn) == before
    assert await count_rows(conn, "customer_order", "quota_entry", "money_posting", "due_work", "checkout") == rows


async def test_the_order_limit_counts_all_places_of_an_order(conn):
    _, outside = await open_house(conn)
    vitamin = await offer_at(conn, TASMAN, VITAMIN, "2600.00")
    oil = await offer_at(conn, TASMAN, "TASMAN-FISH-OIL", "2600.00")
    await stock(conn, TASMAN, VITAMIN, BONDED, 3)
    await stock(conn, TASMAN, "TASMAN-FISH-OIL", DIRECT, 3)
    (answer,) = await place_orders(conn, outside, [order([(vitamin, 1), (oil, 1)])], BUYER)
    assert (answer.state, answer.refusal.code) == ("refused", "cbec_order_over_limit")
    assert await list_orders(conn, None, None, 10, 0) == []
    assert await year(conn) == (0, 0, 0, LIMIT)


@pytest.mark.parametrize("place_code", [DIRECT, BONDED])
async def test_one_item_over_the_order_limit_bears_full_tax(conn, place_code):
    _, outside = await open_house(conn)
    offer = await offer_at(conn, TASMAN, VITAMIN, "5000.01")
    await stock(conn, TASMAN, VITAMIN, place_code, 1)
    answer, key = await place(conn, outside, [(offer, 1)])
    tax = round(500_001 * (0.12 + 0.13 + 0.12 * 0.13))
    assert answer.total_minor == 500_001 + tax
    await declare(conn, outside, AT)
    (line,) = next(one.declaration.lines for one in await read_declarations_of_orders(conn, [key[0]], [key[1]]) if one.declaration.kind == "import")
    assert (line.duty_minor, line.duty_minor + line.tax_minor) == (60_000, tax)
    assert (await balances(conn, key[0]))["cbec_tax.CN"] == -tax
    assert await year(conn) == (500_001, 0, 0, LIMIT - 500_001)
    assert await proofs(conn, outside, AT) == []


async def test_an_order_that_lifts_the_year_over_its_limit_is_refused_and_holds_nothing(conn):
    _, outside = await open_house(conn)
    offer = await offer_at(conn, TASMAN, VITAMIN, "5000.00")
    await stock(conn, TASMAN, VITAMIN, BONDED, 9)
    for _ in range(5):
        await place(conn, outside, [(offer, 1)])
    assert await year(conn) == (0, 2_500_000, 0, 100_000)
    before = await snapshot(conn)
    tables = ("customer_order", "order_line", "checkout", "quota_entry", "money_posting", "due_work", "tax_decision", "audit_entry")
    rows = await count_rows(conn, *tables)
    (answer,) = await place_orders(conn, outside, [order([(offer, 1)])], BUYER)
    assert (answer.state, answer.refusal.code) == ("refused", "cbec_year_over_limit")
    assert "1000.00 CNY" in answer.refusal.remedy
    assert (await snapshot(conn), await count_rows(conn, *tables)) == (before, rows)
    cheap = await offer_at(conn, TASMAN, VITAMIN, "1000.00")
    await place(conn, outside, [(cheap, 1)])
    assert await year(conn) == (0, 2_600_000, 0, 0)
    assert await proofs(conn, outside, AT) == []


async def test_a_checkout_outrun_in_its_year_holds_the_whole_of_it_when_it_comes_again(conn):
    """At the same instant, as while the business clock stands: its orders are the same ones, and one of them held its part before."""
    _, outside = await open_house(conn)
    offer, romper = await offer_at(conn, TASMAN, VITAMIN, "5000.00"), await offer_at(conn, OSAKA, "SAKURA-ROMPER", "900.00")
    await stock(conn, TASMAN, VITAMIN, BONDED, 9)
    await stock(conn, OSAKA, "SAKURA-ROMPER", BONDED, 3, "-")
    for _ in range(4):
        await place(conn, outside, [(offer, 1)])
    plans = await quote_checkouts(conn, outside, [order([(romper, 1), (offer, 1)])])
    _, faster = await place(conn, outside, [(offer, 1)])
    refused = await hold_checkouts(conn, outside.reference, plans)
    assert [refusal.code for refusal in refused.values()] == ["cbec_year_over_limit"]
    assert await year(conn) == (0, 2_500_000, 0, 100_000)
    await release_quota(conn, [CloseAsk(ORDERER, faster[1], 1, AT, "test")])
    for _ in range(2):
        assert await hold_checkouts(conn, outside.reference, plans) == {}
        assert await year(conn) == (0, 2_590_000, 0, 10_000)
        held = await read_order_quota(conn, [ORDERER] * 2, [line.order_id for line in plans[0].lines])
        await release_quota(conn, [CloseAsk(one.person_id, one.order_id, one.attempt, AT, "test") for one in held.values()])
        assert await year(conn) == (0, 2_000_000, 0, 600_000)
        await release_units(conn, [Consumption(line.ask.merchant_id, line.order_id, line.line_no, 1, 1) for line in plans[0].lines])


async def test_an_order_over_the_year_leaves_its_units_and_its_part_of_the_year_to_the_next_in_the_batch(conn):
    _, outside = await open_house(conn)
    offer, romper = await offer_at(conn, TASMAN, VITAMIN, "5000.00"), await offer_at(conn, OSAKA, "SAKURA-ROMPER", "900.00")
    await stock(conn, TASMAN, VITAMIN, BONDED, 6)
    await stock(conn, OSAKA, "SAKURA-ROMPER", BONDED, 3, "-")
    for _ in range(5):
        await place(conn, outside, [(offer, 1)])
    batch = [order([(romper, 1), (offer, 1)]), order([(offer, 1)], identity_id=PAYER), order([(romper, 1)])]
    answers = await place_orders(conn, outside, batch, BUYER)
    assert [answer.refusal.code if answer.refusal else answer.state for answer in answers] == ["cbec_year_over_limit", "placed", "placed"]
    assert (await year(conn), await year(conn, PAYER)) == ((0, 2_590_000, 0, 10_000), (0, 500_000, 0, LIMIT - 500_000))
    assert await proofs(conn, outside, AT) == []


async def test_what_a_buyer_or_a_page_lacks_is_refused(conn):
    _, outside = await open_house(conn)
    offer = await offer_at(conn, TASMAN, VITAMIN, "100.00")
    await stock(conn, TASMAN, VITAMIN, BONDED, 3)
    before = await snapshot(conn)
    asks = [order([(offer, 1)], identity_id=None), order([(offer, 1)], has_accepted_risk=False)]
    answers = await place_orders(conn, outside, asks, BUYER)
    await conn.execute("update offer set electronic_label = null where offer_id = %s", [offer.offer_id])
    answers += await place_orders(conn, outside, [order([(offer, 1)])], BUYER)
    assert [answer.refusal.code for answer in answers] == ["identity_missing", "risk_notice_missing", "label_missing"]
    assert all(answer.refusal.remedy for answer in answers)
    assert await snapshot(conn) == before
    assert await list_orders(conn, None, None, 10, 0) == []


async def test_a_mainland_merchant_cannot_open_it(conn):
    await open_house(conn)
    rules = {plan.model_code: admission_rule(plan) for plan in REGISTRY.plans()}
    opening = ModelOpening(merchant_id_of("demo-shenzhen-audio"), "CN_GP", "global_purchase")
    with pytest.raises(MerchantNotAdmittedError, match="CN"):
        await open_models(conn, [opening], rules, DEMO, AT.date(), AT)


async def test_cosmetics_are_taxed_by_the_content_their_label_states(conn):
    _, outside = await open_house(conn)
    offer = await offer_at(conn, LYON, "ROSE-CREAM", "180.00")
    assert offer.electronic_label[NET_CONTENT] == "180 克"  # one yuan per gram: below the threshold of consumption tax
    await stock(conn, LYON, "ROSE-CREAM", BONDED, 2)
    cheap, _ = await place(conn, outside, [(offer, 1)])
    dear, _ = await place(conn, outside, [(await offer_at(conn, LYON, "ROSE-CREAM", "1800.00"), 1)])
    assert cheap.total_minor == 18_000 + round(18_000 * 0.13 * 0.7)
    assert dear.total_minor == 180_000 + round(180_000 * (0.15 + 0.13) / 0.85 * 0.7)


async def test_several_merchants_and_places_of_one_checkout_are_declared_apart(conn):
    _, outside = await open_house(conn)
    vitamin, oil = await offer_at(conn, TASMAN, VITAMIN, "100.00"), await offer_at(conn, TASMAN, "TASMAN-FISH-OIL", "200.00")
    romper = await offer_at(conn, OSAKA, "SAKURA-ROMPER", "300.00")
    await stock(conn, TASMAN, VITAMIN, BONDED, 3)
    await stock(conn, TASMAN, "TASMAN-FISH-OIL", DIRECT, 3)
    await stock(conn, OSAKA, "SAKURA-ROMPER", BONDED, 3, "-")
    answer, _ = await place(conn, outside, [(vitamin, 1), (oil, 2), (romper, 1)])
    assert len(answer.orders) == 2
    assert await declare(conn, outside, AT) == 3
    found = [row[2:4] for key in answer.orders for row in await declared(conn, key)]
    assert sorted(found) == [("1210", "released"), ("1210", "released"), ("9610", "released"), ("EXPORT", "released")]
    assert await year(conn) == (80_000, 0, 0, LIMIT - 80_000)
    for place_code in (BONDED, DIRECT):
        await send(conn, outside, place_code, later(hours=2))
    assert [await state_of(conn, key) for key in answer.orders] == ["shipped", "shipped"]
    assert await proofs(conn, outside, later(hours=2)) == []


async def test_expired_lots_stay_and_the_lot_that_expires_first_goes_first(conn):
    _, outside = await open_house(conn)
    offer = await offer_at(conn, TASMAN, VITAMIN, "100.00")
    await stock(conn, TASMAN, VITAMIN, BONDED, 1, "LATER", AT.date().replace(year=2028))
    await stock(conn, TASMAN, VITAMIN, BONDED, 1, "SOONER", AT.date().replace(year=2027))
    _, key = await place(conn, outside, [(offer, 1)])
    await declare(conn, outside, AT)
    await pack(conn, outside, BONDED, later(hours=1))
    rows = await (
        await conn.execute("select lot_code, customs_status from stock_location where place_code = 'CN-NGB1' and spot_code = 'stage' and balance > 0")
    ).fetchall()
    assert rows == [("SOONER", "bonded")]
    assert key is not None


async def test_one_by_one_and_in_a_batch_the_same_declarations_come_out(conn):
    _, outside = await open_house(conn)
    offer = await offer_at(conn, TASMAN, VITAMIN, "100.00")
    await stock(conn, TASMAN, VITAMIN, BONDED, 9)
    asks = [order([(offer, 1)], at=later(minutes=number)) for number in range(3)]
    both = []
    for groups in ([asks], [[one] for one in asks]):
        async with conn.transaction(force_rollback=True):
            keys = [key for group in groups for answer in await place_orders(conn, outside, group, BUYER) for key in answer.orders]
            for _ in groups:
                await declare(conn, outside, later(hours=1))
            both.append(([await declared(conn, key) for key in keys], await year(conn), await snapshot(conn)))
    assert both[0] == both[1]
