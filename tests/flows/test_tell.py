"""The story of an order as a webhook and a buyer's mailbox read it."""

import pytest
from tests.factories.house import AT, BUYER, KEYRING, STAFF, find_offer, later, open_house, order_of, put_stock, request

from entrepot.adapters.mail import MailMessage
from entrepot.adapters.webhooks import Reach, WebhookAddressError
from entrepot.base.actor import RUNNER
from entrepot.base.audit import read_acts
from entrepot.base.ids import derived_id
from entrepot.base.notices import NoticeOutcome, NoticeResult, find_subscription, list_subscriptions, settle_notices, take_notices
from entrepot.flows.fulfil import hand_over, pick_and_pack
from entrepot.flows.open_house import open_demo_house
from entrepot.flows.order_to_cash import PAY, place_orders
from entrepot.flows.run_due import run_due
from entrepot.flows.tell import (
    MAIN_FACTS,
    TOLD_FACTS,
    UnknownEventError,
    UnknownWebhookError,
    UntoldFactError,
    add_webhook,
    end_mail,
    event_id_of,
    mail_subscription_id,
    remove_webhook,
    replay_event,
    replay_since,
    resume_mail,
)
from entrepot.flows.tell_buyers import write_mails
from entrepot.flows.track import record_tracking
from entrepot.freight.model import CarrierEvent, TrackingState
from entrepot.freight.read import read_parcels_of_orders
from entrepot.operations.registry import REGISTRY
from entrepot.parties.account_safety import choose_account_language
from entrepot.parties.accounts import NewStaff, StaffRole
from entrepot.parties.demo import demo_person_id
from entrepot.parties.model import UnknownMerchantError, merchant_id_of
from entrepot.parties.sign_in import create_staff
from entrepot.surfaces.web.voices import choose_voice
from entrepot.warehouse.model import WorkState
from entrepot.warehouse.readers import read_queue

pytestmark = pytest.mark.anyio
MERCHANT = "demo-shenzhen-audio"
MERCHANT_ID = merchant_id_of(MERCHANT)
WEBHOOK = derived_id("webhook", "tell")
URL = "https://shop.example/notices"


async def listen(conn, fact_codes=(), url=URL, reach=Reach.PUBLIC, merchant_id=MERCHANT_ID):
    return await add_webhook(conn, KEYRING, (merchant_id, WEBHOOK), url, fact_codes, reach, STAFF, AT)


async def sell(conn, outside, method="invoice"):
    offer = await find_offer(conn, MERCHANT, "ARIA-HEADPHONES", "GB", "fba")
    return order_of((await place_orders(conn, outside, [request([(offer, 2)], "GB", "GB", method=method, person="demo-buyer-gb")], BUYER))[0])


async def ship(conn, outside, key, at):
    await pick_and_pack(conn, outside, await read_queue(conn, "GB-LTN1", WorkState.QUEUED, 100), at)
    refs = [entry.order for entry in await read_queue(conn, "GB-LTN1", WorkState.PACKED, 100)]
    await hand_over(conn, outside, refs, STAFF, at)
    return (await read_parcels_of_orders(conn, [key[0]], [key[1]]))[0]


async def report(conn, outside, parcel, state, at):
    await record_tracking(conn, outside, [CarrierEvent(parcel.carrier_code, parcel.tracking_number, state, at, at, "carrier")], at)


async def hear(conn, subscription_id, at=AT):
    """Take and settle everything a subscription is told, in its order."""
    subscription = await find_subscription(conn, subscription_id)
    heard = []
    while taken := await take_notices(conn, subscription, at, later(days=999), 50):
        heard += taken
        await settle_notices(conn, [NoticeResult(one, NoticeOutcome.DELIVERED) for one in taken], at)
    return heard


@pytest.mark.parametrize("method", ["invoice", "card_ok"])
async def test_placed_paid_shipped_and_delivered_are_told_in_order(conn, method):
    _, outside = await open_house(conn)
    await put_stock(conn, MERCHANT, "ARIA-HEADPHONES", "GB-LTN1", 5)
    await listen(conn)
    key = await sell(conn, outside, method)
    await run_due(conn, outside, PAY, later(hours=1), 10)
    parcel = await ship(conn, outside, key, later(hours=3))
    await report(conn, outside, parcel, TrackingState.DELIVERED, later(days=2))
    heard = await hear(conn, WEBHOOK)
    assert [one.fact_code for one in heard] == ["order_placed", "order_paid", "parcel_shipped", "parcel_delivered"]
    assert {one.subject_id for one in heard} == {key[1]}
    assert heard[0].content["total_minor"] == 9398


async def test_money_that_goes_back_is_told(conn):
    _, outside = await open_house(conn)
    await put_stock(conn, MERCHANT, "ARIA-HEADPHONES", "GB-LTN1", 5)
    await listen(conn, TOLD_FACTS)
    key = await sell(conn, outside)
    parcel = await ship(conn, outside, key, later(hours=3))
    await report(conn, outside, parcel, TrackingState.LOST, later(days=9))
    heard = [(one.fact_code, one.content.get("total_minor")) for one in await hear(conn, WEBHOOK)]
    assert heard[:3] == [("order_placed", 9398), ("order_paid", 9398), ("parcel_shipped", None)]
    assert sorted(heard[3:]) == [("money_returned", 9398), ("parcel_lost", None)]


async def test_a_buyer_is_mailed_with_the_parcels_number_and_a_replay_is_a_new_mail(conn):
    _, outside = await open_house(conn)
    await put_stock(conn, MERCHANT, "ARIA-HEADPHONES", "GB-LTN1", 5)
    key = await sell(conn, outside)
    parcel = await ship(conn, outside, key, later(hours=3))
    await report(conn, outside, parcel, TrackingState.DELIVERED, later(days=2))
    heard = await hear(conn, mail_subscription_id(MERCHANT_ID))
    mails = await write_mails(conn, KEYRING, heard, AT, choose_voice)
    assert [one.template_code for one in mails if isinstance(one, MailMessage)] == ["order_placed", "parcel_shipped", "parcel_delivered"]
    assert parcel.tracking_number in mails[1].body
    assert {one.recipient_address for one in mails} == {"gwen@example.com"}
    assert len({one.message_id for one in mails}) == 3
    assert await write_mails(conn, KEYRING, heard, AT, choose_voice) == mails
    assert {one.language_code for one in mails} == {"en"}


@pytest.mark.parametrize(("account", "store", "tag", "subject"), [("de", "GB", "de", "Ihre Bestellung"), (None, "DE", "de", "Ihre Bestellung")])
async def test_a_buyer_is_mailed_in_the_language_of_the_account_or_of_the_store(conn, account, store, tag, subject):
    _, outside = await open_house(conn)
    await put_stock(conn, MERCHANT, "ARIA-HEADPHONES", "GB-LTN1", 5)
    await sell(conn, outside)
    if account:
        member = NewStaff(derived_id("reader", 1), "reader", "x", "Gwen", StaffRole.BUYER, person_id=demo_person_id("demo-buyer-gb"))
        await create_staff(conn, [member], AT)
        await choose_account_language(conn, member.staff_id, account)
    else:
        await conn.execute("update customer_order set marketplace_code = %s", (store,))
    heard = await hear(conn, mail_subscription_id(MERCHANT_ID))
    (mail,) = await write_mails(conn, KEYRING, heard, AT, choose_voice)
    assert (mail.language_code, mail.subject.startswith(subject)) == (tag, True)


async def test_the_buyer_of_another_channel_gets_no_mail_from_us(conn):
    _, outside = await open_house(conn)
    await put_stock(conn, "demo-leeds-kitchen", "DALE-KNIFE", "GB-MAN2", 5)
    offer = await find_offer(conn, "demo-leeds-kitchen", "DALE-KNIFE", "GB", "logistics_service")
    ask = request([(offer, 1)], "GB", "GB", person="demo-buyer-gb", channel_code="external")
    assert (await place_orders(conn, outside, [ask], BUYER))[0].state == "placed"
    heard = await hear(conn, mail_subscription_id(merchant_id_of("demo-leeds-kitchen")))
    assert [one.fact_code for one in heard] == ["order_placed"]
    assert [one.outcome for one in await write_mails(conn, KEYRING, heard, AT, choose_voice)] == [NoticeOutcome.NOT_OURS]


async def test_a_webhook_is_added_replayed_and_removed_with_its_acts(conn):
    _, outside = await open_house(conn)
    await put_stock(conn, MERCHANT, "ARIA-HEADPHONES", "GB-LTN1", 5)
    added = await listen(conn)
    stored = await find_subscription(conn, WEBHOOK)
    assert tuple(stored.fact_codes) == MAIN_FACTS
    assert added.secret.encode() not in stored.sealed_secret
    await sell(conn, outside)
    first = await hear(conn, WEBHOOK)
    await replay_event(conn, WEBHOOK, event_id_of(first[1]), STAFF, later(hours=1))
    assert [(one.fact_code, one.replay_no) for one in await hear(conn, WEBHOOK, later(hours=1))] == [("order_paid", 1)]
    assert await replay_since(conn, WEBHOOK, AT, STAFF, later(hours=2)) == 2
    again = await hear(conn, WEBHOOK, later(hours=2))
    assert [(event_id_of(one), one.replay_no) for one in again] == [(event_id_of(first[0]), 1), (event_id_of(first[1]), 2)]
    await remove_webhook(conn, WEBHOOK, STAFF, later(hours=3))
    commands = [row[1] for row in await read_acts(conn, MERCHANT_ID, [WEBHOOK])]
    assert commands == ["add_webhook", "replay_webhook", "replay_webhook", "remove_webhook"]
    with pytest.raises(UnknownWebhookError):
        await replay_since(conn, WEBHOOK, AT, STAFF, later(hours=4))


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"fact_codes": ("order_placed", "moon_rose")}, UntoldFactError),
        ({"url": "http://127.0.0.1/"}, WebhookAddressError),
        ({"merchant_id": derived_id("nobody")}, UnknownMerchantError),
    ],
)
async def test_what_cannot_be_told_is_refused_and_nothing_is_written(conn, wrong, error):
    await open_house(conn)
    with pytest.raises(error):
        await listen(conn, **wrong)
    assert await find_subscription(conn, WEBHOOK) is None


@pytest.mark.parametrize("event_id", ["nonsense", f"{derived_id('order')}.order_placed.1"])
async def test_an_event_that_was_never_told_is_not_replayed(conn, event_id):
    await open_house(conn)
    await listen(conn)
    with pytest.raises(UnknownEventError):
        await replay_event(conn, WEBHOOK, event_id, STAFF, AT)


async def test_a_merchants_mail_stays_off_when_the_house_opens_again(conn):
    await open_house(conn)
    await end_mail(conn, MERCHANT_ID, RUNNER, AT)
    await open_demo_house(conn, REGISTRY, KEYRING, AT)
    [(mail, _)] = await list_subscriptions(conn, MERCHANT_ID)
    assert not mail.is_active
    await resume_mail(conn, MERCHANT_ID, RUNNER, later(hours=1))
    [(mail, _)] = await list_subscriptions(conn, MERCHANT_ID)
    assert mail.is_active
